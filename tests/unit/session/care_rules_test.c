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
    const char *copies; /* a copy of this label; "": of all; NULL: a backup */
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
    if (draft->copies) {
        body.kind = SEALIFT__JOB_KIND__JOB_COPY;
        body.placement = SEALIFT__PLACEMENT__PLACE_AS_STORED;
        body.from_repository = lent_id(&elsewhere);
        body.from_job = lent_text(draft->copies);
        body.key_id = body.domain_id = (ProtobufCBinaryData){0};
        body.key_label = body.domain = lent_text("");
        body.cipher = 0;
        body.n_plan = 0;
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
