#include "transporter/session/care_rules.h"

#include "common/wire/lent.h"
#include "common/wire/stored.h"
#include "tests/support/remove_tree.h"
#include "tests/unit/wire/fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct site site;
static char state[] = "/tmp/sealift-care-rules-XXXXXX";
static struct authority *authority;
static const struct id here = {{5}}, elsewhere = {{6}};
static struct policy policy;

static void setup(void)
{
    struct err err = {0};
    struct site_line line = {0};
    struct accepted accepted;
    site_init(&site);
    cr_assert_not_null(mkdtemp(state));
    line.site = site.id;
    memcpy(line.admin, site.admin->known.sign_pk, SIGN_PK_LEN);
    cr_assert(authority_open(state, &line, site.target, &authority, &err), "%s", err.text);
    AUTO(statement) struct statement *roster = site_roster(&site, &(struct roster_draft){.version = 1});
    cr_assert(authority_accept(authority, buf_span(&roster->bytes), &accepted, &err), "%s", err.text);
    policy = (struct policy){0};
}

static void teardown(void)
{
    authority_close(authority);
    site_deinit(&site);
    cr_assert(remove_tree(state));
}

TestSuite(care_rules, .init = setup, .fini = teardown);

/* A job as the operators sign it. */
struct draft {
    uint8_t id;
    uint64_t version; /* 0: 1 */
    const char *name;
    const struct id *repository;
    const char *copies;            /* a copy of this label; "": of all; NULL: a backup */
    Sealift__Placement placement;  /* 0: the source seals; of a copy: as stored */
    const struct identity *source; /* NULL: the site's */
    uint32_t last, daily;
    uint64_t immutable_s;
    bool deleted;
};

static bool tell(const struct draft *draft, struct err *err)
{
    Sealift__JobBody body;
    Sealift__SealedCopy copy, *copies[1];
    Sealift__Retention retention = SEALIFT__RETENTION__INIT;
    AUTO(buf) struct buf encoded = {0}, bytes = {0};
    struct accepted accepted;
    site_job_body(&site, &body, &copy, copies, draft->name);
    body.repository = lent_id(draft->repository);
    if (draft->placement) body.placement = draft->placement;
    if (draft->source) body.source = lent_bytes(draft->source->known.sign_pk, SIGN_PK_LEN);
    if (draft->copies) {
        body.kind = SEALIFT__JOB_KIND__JOB_COPY;
        body.from_repository = lent_id(&elsewhere);
        body.from_job = lent_text(draft->copies);
        body.n_plan = 0;
    }
    if (draft->copies && !draft->placement) {
        body.placement = SEALIFT__PLACEMENT__PLACE_AS_STORED;
        body.key_id = body.domain_id = (ProtobufCBinaryData){0};
        body.key_label = body.domain = lent_text("");
        body.cipher = 0;
    }
    retention.last = draft->last;
    retention.daily = draft->daily;
    retention.immutable_s = draft->immutable_s;
    body.retention = &retention;
    body.deleted = draft->deleted;
    statement_body_encode(&body, &encoded);
    struct statement_draft signed_one = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                         .site = site.id,
                                         .id = {{draft->id}},
                                         .version = draft->version ? draft->version : 1,
                                         .body = buf_span(&encoded)};
    cr_assert(statement_sign(site.admin->sign, &signed_one, &bytes, err), "%s", err->text);
    return authority_accept(authority, buf_span(&bytes), &accepted, err);
}

static void told(const struct draft *draft)
{
    struct err err = {0};
    cr_assert(tell(draft, &err), "%s", err.text);
}

static struct care_rule rule(const char *label, const Sealift__Retention *asked, uint32_t least,
                             uint64_t age_s)
{
    Sealift__RepositoryBody body = SEALIFT__REPOSITORY_BODY__INIT;
    struct statement repository = {.id = here};
    body.keep_least = least;
    body.keep_age_s = age_s;
    repository.body.repository = &body;
    return care_rule_of(authority, &repository, &policy, label, asked, span_of(NULL, 0));
}

static struct care_rule rule_for(uint32_t last)
{
    Sealift__Retention asked = SEALIFT__RETENTION__INIT;
    asked.last = last;
    return rule("web", &asked, 0, 0);
}

Test(care_rules, the_job_that_is_asked_for_says_what_stays)
{
    told(&(struct draft){.id = 1, .name = "web", .repository = &here, .last = 3, .immutable_s = 60});
    struct care_rule found = rule_for(3);
    cr_assert_eq(found.retention.last, 3);
    cr_assert_eq(found.retention.daily, 0);
    cr_assert_eq(found.retention.immutable_s, 60);
    cr_assert_str_eq(found.job, "web");
}

/* A director may ask for whichever job's prune it likes. */
Test(care_rules, what_any_other_job_of_the_label_keeps_stays_too)
{
    told(&(struct draft){.id = 1, .name = "web", .repository = &here, .last = 10});
    told(&(struct draft){.id = 2, .name = "c", .repository = &here, .copies = "web", .last = 1, .daily = 7});
    struct care_rule found = rule_for(1);
    cr_assert_eq(found.retention.last, 10);
    cr_assert_eq(found.retention.daily, 7);
}

/* The rule of a job that keeps all is not the one that is asked for; a director asks for the other. */
Test(care_rules, what_a_job_without_a_rule_keeps_is_pruned_by_no_other_job)
{
    told(&(struct draft){.id = 1, .name = "web", .repository = &here, .immutable_s = 9});
    told(&(struct draft){.id = 2, .name = "c", .repository = &here, .copies = "web", .last = 1});
    struct care_rule found = rule_for(1);
    cr_assert_eq(found.retention.last, 0, "no rule: all stay");
    cr_assert_eq(found.retention.immutable_s, 9);
    told(&(struct draft){
        .id = 1, .version = 2, .name = "web", .repository = &here, .immutable_s = 9, .deleted = true});
    cr_assert_eq(rule_for(1).retention.last, 1, "a deleted job has no say");
}

Test(care_rules, the_immutability_of_a_job_is_not_shortened_by_a_later_version)
{
    struct err err = {0};
    told(&(struct draft){.id = 1, .name = "web", .repository = &here, .last = 3, .immutable_s = 60});
    cr_assert_not(tell(
        &(struct draft){.id = 1, .version = 2, .name = "web", .repository = &here, .immutable_s = 59}, &err));
    cr_assert_eq(err.code, ERR_POLICY);
    cr_assert_not(tell(
        &(struct draft){.id = 1, .version = 2, .name = "web", .repository = &elsewhere, .immutable_s = 60},
        &err));
    cr_assert_eq(err.code, ERR_POLICY);
    cr_assert_eq(rule_for(3).retention.immutable_s, 60);
    told(&(struct draft){.id = 1, .version = 3, .name = "web", .repository = &here, .immutable_s = 61});
    cr_assert_eq(rule_for(3).retention.immutable_s, 61);
}

Test(care_rules, what_any_other_copy_of_all_jobs_keeps_stays_too)
{
    told(&(struct draft){.id = 1, .name = "near", .repository = &here, .copies = "", .last = 2});
    told(&(struct draft){.id = 2, .name = "far", .repository = &here, .copies = "", .last = 90, .daily = 7});
    struct care_rule found = rule_for(2);
    cr_assert_eq(found.retention.last, 90);
    cr_assert_eq(found.retention.daily, 7);
    told(&(struct draft){.id = 3, .name = "all", .repository = &here, .copies = ""});
    cr_assert_eq(rule_for(2).retention.last, 0, "this one keeps all");
    told(&(struct draft){.id = 4, .name = "web", .repository = &here, .last = 3});
    cr_assert_eq(rule_for(3).retention.last, 3, "the label has a job of its own");
}

Test(care_rules, other_labels_other_repositories_and_deleted_jobs_have_no_say_but_immutability_stays)
{
    told(&(struct draft){.id = 1, .name = "app", .repository = &here, .last = 50, .immutable_s = 500});
    told(&(struct draft){.id = 2, .name = "web", .repository = &elsewhere, .last = 60, .immutable_s = 600});
    told(&(struct draft){.id = 3,
                         .name = "old",
                         .repository = &here,
                         .copies = "web",
                         .last = 70,
                         .immutable_s = 70,
                         .deleted = true});
    told(&(struct draft){
        .id = 4, .name = "all", .repository = &here, .copies = "", .last = 80, .immutable_s = 20});
    struct care_rule found = rule_for(1);
    cr_assert_eq(found.retention.last, 1);
    cr_assert_eq(found.retention.immutable_s, 70, "what a deleted job promised holds");
}

Test(care_rules, a_job_without_a_rule_keeps_all_and_an_order_has_none)
{
    told(&(struct draft){.id = 1, .name = "web", .repository = &here, .last = 2, .immutable_s = 9});
    struct care_rule none = rule_for(0);
    cr_assert_eq(none.retention.last, 0, "not the rule of another job");
    cr_assert_eq(none.retention.immutable_s, 9);
    struct care_rule order = rule("web", NULL, 0, 0);
    cr_assert_eq(order.retention.last, 0);
    cr_assert_eq(order.retention.immutable_s, 9);
}

Test(care_rules, the_floor_is_the_stricter_of_statement_and_configuration)
{
    policy.keep_least = 5;
    policy.keep_age_s = 100;
    struct care_rule found = rule("web", NULL, 3, 900);
    cr_assert_eq(found.floor.keep_least, 5);
    cr_assert_eq(found.floor.keep_age_s, 900);
}

Test(care_rules, an_older_statement_of_the_job_is_not_believed)
{
    struct err err = {0};
    told(&(struct draft){
        .id = 1, .version = 2, .name = "web", .repository = &here, .last = 10, .immutable_s = 99});
    cr_assert_not(
        tell(&(struct draft){.id = 1, .version = 1, .name = "web", .repository = &here, .last = 1}, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
    cr_assert_eq(rule_for(1).retention.last, 10);
    cr_assert_eq(rule_for(1).retention.immutable_s, 99);
}

Test(care_rules, a_label_is_taken_by_a_job_of_its_own_also_when_that_was_deleted)
{
    told(&(struct draft){.id = 1, .name = "web", .repository = &here});
    told(&(struct draft){.id = 2, .name = "gone", .repository = &here, .deleted = true});
    told(&(struct draft){.id = 3, .name = "far", .repository = &elsewhere});
    told(&(struct draft){.id = 4, .name = "c", .repository = &here, .copies = "mail"});
    told(&(struct draft){.id = 5, .name = "all", .repository = &here, .copies = ""});
    cr_assert(care_label_is_taken(authority, &here, "web"));
    cr_assert(care_label_is_taken(authority, &here, "gone"));
    cr_assert(care_label_is_taken(authority, &here, "mail"));
    cr_assert_not(care_label_is_taken(authority, &here, "far"));
    cr_assert_not(care_label_is_taken(authority, &here, "c"), "a copy writes the labels that it copies");
    cr_assert_not(care_label_is_taken(authority, &here, "all"));
}

/* --- whose points count together --- */

enum { SINCE_NS = 1000 }; /* when the first `web` was revoked */

static struct identity *old_web;
static struct roster *roster;

/* `web` has been replaced under its name. */
static void setup_writers(void)
{
    struct err err = {0};
    setup();
    cr_assert(identity_new("web", &old_web, &err), "%s", err.text);
    AUTO(statement)
    struct statement *statement =
        site_roster(&site, &(struct roster_draft){.version = 1,
                                                  .target_zone = SEALIFT__ZONE__ZONE_TRUSTED,
                                                  .revoked = old_web,
                                                  .since_ns = SINCE_NS});
    cr_assert(roster_first(statement, &site.id, site.admin->known.sign_pk, &roster, &err), "%s", err.text);
}

static void teardown_writers(void)
{
    roster_free(roster);
    identity_free(old_web);
    teardown();
}

TestSuite(care_writers, .init = setup_writers, .fini = teardown_writers);

static const uint8_t *pk(const struct identity *identity)
{
    static const uint8_t none[SIGN_PK_LEN];
    return identity ? identity->known.sign_pk : none;
}

static struct care_line line_of(const struct identity *signer, const struct identity *origin)
{
    struct care_line line = {0};
    memcpy(line.signer, pk(signer), SIGN_PK_LEN);
    memcpy(line.origin, pk(origin), SIGN_PK_LEN);
    return line;
}

static bool same_line(const struct care_line *a, const struct care_line *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Of a point of the label `web` in the repository, which the target owns. */
static void place(const struct care_line *said, uint64_t time_ns, struct care_line *line,
                  struct care_line *heir)
{
    Sealift__RepositoryBody body = SEALIFT__REPOSITORY_BODY__INIT;
    struct statement repository = {.id = here};
    struct care_writers writers;
    body.owner = lent_bytes(pk(site.target), SIGN_PK_LEN);
    repository.body.repository = &body;
    care_writers_of(authority, roster, &repository, "web", &writers);
    *line = *said;
    care_line_of(&writers, time_ns, line, heir);
}

static void expect_heir(const struct identity *signer, const struct identity *origin,
                        const struct identity *heir_signer, const struct identity *heir_origin)
{
    struct care_line said = line_of(signer, origin), wanted = line_of(heir_signer, heir_origin), line, heir;
    place(&said, SINCE_NS - 1, &line, &heir);
    cr_expect(same_line(&line, &said), "it is of its own line");
    cr_expect(same_line(&heir, &wanted), "%s is the heir of %s", heir_signer->known.name, signer->known.name);
}

static void expect_none(const struct identity *signer, const struct identity *origin)
{
    expect_heir(signer, origin, signer, origin);
}

Test(care_writers, who_was_let_in_under_the_name_of_a_revoked_host_is_its_heir)
{
    expect_heir(old_web, NULL, site.source, NULL);
    expect_none(site.source, NULL);
    expect_none(site.target, NULL);
    expect_none(site.helper, NULL); /* no transporter at all */
    expect_heir(site.target, old_web, site.target, site.source);
    expect_heir(old_web, site.target, site.source, site.target);
    expect_none(site.target, site.source);
}

Test(care_writers, whom_the_jobs_of_the_label_name_is_the_heir_of_all_others)
{
    told(&(struct draft){.id = 1, .name = "web", .repository = &here});
    expect_heir(site.target, NULL, site.source, NULL);
    expect_none(site.source, NULL);
    expect_none(site.target, site.source); /* of copies it says nothing */
    told(&(struct draft){.id = 2,
                         .name = "c",
                         .repository = &here,
                         .copies = "web",
                         .placement = SEALIFT__PLACEMENT__PLACE_TARGET});
    expect_heir(site.source, old_web, site.target, site.source);
    expect_none(site.target, site.source);
    told(&(struct draft){.id = 3, .name = "d", .repository = &here, .copies = "web"}); /* as stored */
    expect_heir(site.target, NULL, site.source, NULL);
}

/* The repository has come to another owner. */
Test(care_writers, of_what_the_target_seals_the_owner_of_today_is_the_heir)
{
    told(&(struct draft){
        .id = 1, .name = "web", .repository = &here, .placement = SEALIFT__PLACEMENT__PLACE_TARGET});
    expect_heir(site.source, NULL, site.target, NULL);
    expect_none(site.target, NULL);
}

Test(care_writers, jobs_that_name_two_or_one_who_is_out_make_no_heir)
{
    told(&(struct draft){.id = 1, .name = "web", .repository = &here, .source = old_web});
    expect_none(site.target, NULL);
    expect_heir(old_web, NULL, site.source, NULL);
    told(&(struct draft){.id = 2, .name = "web", .repository = &here});
    expect_none(site.target, NULL);
}

Test(care_writers, other_labels_other_repositories_and_deleted_jobs_make_no_heir)
{
    told(&(struct draft){.id = 1, .name = "app", .repository = &here});
    told(&(struct draft){.id = 2, .name = "web", .repository = &elsewhere});
    told(&(struct draft){.id = 3, .name = "web", .repository = &here, .deleted = true});
    told(&(struct draft){.id = 4,
                         .name = "all",
                         .repository = &here,
                         .copies = "",
                         .placement = SEALIFT__PLACEMENT__PLACE_SOURCE});
    expect_none(site.target, NULL);
    expect_none(site.target, site.source); /* the label has a job of its own */
}

/* Whoever has the key of a host can go on signing by it. */
Test(care_writers, what_came_after_its_signer_or_origin_was_revoked_counts_against_nothing_from_before)
{
    struct care_line early, late, heir, late_heir;
    const struct identity *cases[][2] = {{old_web, NULL}, {site.target, old_web}, {old_web, site.target}};
    for (size_t i = 0; i < 3; i++) {
        struct care_line said = line_of(cases[i][0], cases[i][1]);
        place(&said, SINCE_NS - 1, &early, &heir);
        place(&said, SINCE_NS, &late, &late_heir);
        cr_expect(same_line(&early, &said));
        cr_expect_not(same_line(&late, &early));
        cr_expect(same_line(&heir, &late_heir) && !same_line(&late, &late_heir));
    }
    struct care_line said = line_of(site.source, NULL);
    place(&said, UINT64_MAX - 1, &late, &late_heir);
    cr_expect(same_line(&late, &said), "who is not revoked is trusted");
}

/* Each would keep points of its own for good. */
Test(care_writers, origins_that_somebody_makes_up_are_one)
{
    struct care_line one, other, heir;
    struct care_line said = line_of(site.source, site.admin), also = line_of(site.source, site.helper);
    place(&said, 1, &one, &heir);
    place(&also, 1, &other, &heir);
    cr_expect(same_line(&one, &other));
    said = line_of(site.source, NULL);
    place(&said, 1, &other, &heir);
    cr_expect_not(same_line(&one, &other));
}
