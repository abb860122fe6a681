#include "fixture.h"

#include "common/wire/lent.h"

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

static struct site site;

static void setup(void)
{
    site_init(&site);
}

static void teardown(void)
{
    site_deinit(&site);
}

TestSuite(roster, .init = setup, .fini = teardown);

/* What roster_next says of a draft after the site's first roster. */
static enum err_code next_of(struct roster_draft draft, struct err *err)
{
    AUTO(roster) struct roster *first = site_first_roster(&site);
    AUTO(statement) struct statement *current = NULL;
    cr_assert(statement_decode(roster_bytes(first), &current, err));
    if (!draft.previous) draft.previous = &current->hash;
    AUTO(statement) struct statement *next = site_roster(&site, &draft);
    AUTO(roster) struct roster *second = NULL;
    *err = (struct err){0};
    return roster_next(first, next, &second, err) ? ERR_NONE : err->code;
}

Test(roster, finds_members_by_key_name_and_curve_key)
{
    AUTO(roster) struct roster *first = site_first_roster(&site);
    cr_assert_eq(roster_version(first), 1);
    cr_assert_str_eq(roster_transporter(first, site.target->known.sign_pk)->name, "vault");
    cr_assert_eq(roster_transporter_named(first, "web")->zone, SEALIFT__ZONE__ZONE_TRUSTED);
    cr_assert_str_eq(roster_by_curve(first, site.helper->known.transport_pk)->name, "ben");
    cr_assert_null(roster_transporter(first, site.admin->known.sign_pk));
    cr_assert_null(roster_operator_named(first, "web"));
}

Test(roster, first_must_be_signed_by_the_pinned_admin)
{
    AUTO(statement)
    struct statement *forged =
        site_roster(&site, &(struct roster_draft){.version = 1, .signer = site.helper});
    AUTO(roster) struct roster *roster = NULL;
    struct err err = {0};
    cr_assert_not(roster_first(forged, &site.id, site.admin->known.sign_pk, &roster, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "the first roster is not signed by the site's first admin");
}

Test(roster, next_by_an_admin_is_accepted)
{
    struct err err;
    cr_assert_eq(
        next_of((struct roster_draft){.version = 2, .target_zone = SEALIFT__ZONE__ZONE_TRUSTED}, &err),
        ERR_NONE, "%s", err.text);
}

Test(roster, next_by_a_plain_operator_is_refused)
{
    struct err err;
    cr_assert_eq(next_of((struct roster_draft){.version = 2, .signer = site.helper}, &err),
                 ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "roster version 2 is not signed by an admin of the one before it");
}

Test(roster, next_by_a_transporter_is_refused)
{
    struct err err;
    cr_assert_eq(next_of((struct roster_draft){.version = 2, .signer = site.target}, &err),
                 ERR_NOT_AUTHENTIC);
}

Test(roster, that_skips_a_version_waits_for_the_missing_one)
{
    struct err err;
    cr_assert_eq(next_of((struct roster_draft){.version = 3}, &err), ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "roster version 2 is missing before version 3");
}

Test(roster, that_follows_another_history_is_refused)
{
    struct err err;
    struct hash other = {{1}};
    cr_assert_eq(next_of((struct roster_draft){.version = 2, .previous = &other}, &err), ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "roster version 2 does not follow the known one");
}

Test(roster, without_an_admin_is_refused)
{
    struct err err;
    cr_assert_eq(
        next_of((struct roster_draft){.version = 2, .admin_role = SEALIFT__ROLE__ROLE_OPERATOR}, &err),
        ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "the roster has no admin");
}

Test(roster, that_uses_a_key_twice_is_refused)
{
    struct err err;
    struct identity_public twin = site.target->known;
    memcpy(twin.box_pk, site.source->known.sign_pk, 32);
    cr_assert_eq(next_of((struct roster_draft){.version = 2, .instead = &twin}, &err), ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "the roster uses a key of 'web' twice");
}

Test(roster, that_uses_a_name_twice_is_refused)
{
    struct err err;
    struct identity_public twin = site.target->known;
    memcpy(twin.name, "web", 4);
    cr_assert_eq(next_of((struct roster_draft){.version = 2, .instead = &twin}, &err), ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "the roster has the name 'web' twice");
}

/* As many members as a statement has room for; the last transporter's box key is `last_box`. */
static struct statement *longest_roster(const struct identity *signer, const struct hash *previous,
                                        const uint8_t *last_box)
{
    enum { COUNT = 9200 };
    static Sealift__Member transporters[COUNT], admin, *operators[] = {&admin}, *list[COUNT];
    static char names[COUNT][8];
    static uint8_t keys[COUNT][3][32];
    member_of(&site.admin->known, &admin);
    admin.role = SEALIFT__ROLE__ROLE_ADMIN;
    for (uint32_t i = 0; i < COUNT; i++) {
        Sealift__Member *member = list[i] = &transporters[i];
        (void)snprintf(names[i], sizeof(names[i]), "t%u", i);
        for (size_t k = 0; k < 3; k++) {
            struct hash key = hash_of(span_of(&(uint64_t){3ull * i + k}, 8));
            memcpy(keys[i][k], i == COUNT - 1 && k == 1 ? last_box : key.bytes, 32);
        }
        sealift__member__init(member);
        member->name = names[i];
        member->zone = SEALIFT__ZONE__ZONE_TRUSTED;
        member->sign_pk = lent_bytes(keys[i][0], 32);
        member->box_pk = lent_bytes(keys[i][1], 32);
        member->curve_pk = lent_bytes(keys[i][2], 32);
    }
    Sealift__RosterBody body = SEALIFT__ROSTER_BODY__INIT;
    body.operators = operators;
    body.n_operators = 1;
    body.transporters = list;
    body.n_transporters = COUNT;
    body.director_curve_pk = lent_bytes(site.director_curve, 32);
    body.previous = lent_bytes(previous->bytes, HASH_LEN);
    AUTO(buf) struct buf encoded = {0}, bytes = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER,
                                    .site = site.id,
                                    .version = 2,
                                    .body = buf_span(&encoded)};
    struct err err;
    cr_assert(statement_sign(signer->sign, &draft, &bytes, &err), "%s", err.text);
    cr_assert(bytes.len > 900u * 1024 && bytes.len <= STATEMENT_MAX, "%zu", bytes.len);
    struct statement *statement = NULL;
    cr_assert(statement_decode(buf_span(&bytes), &statement, &err), "%s", err.text);
    return statement;
}

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Comparing each member with each other one took seconds. */
Test(roster, of_the_greatest_length_is_looked_through_quickly)
{
    static const uint8_t last[32] = {9};
    AUTO(roster) struct roster *first = site_first_roster(&site);
    AUTO(statement) struct statement *current = NULL;
    AUTO(roster) struct roster *second = NULL;
    struct err err;
    cr_assert(statement_decode(roster_bytes(first), &current, &err));
    AUTO(statement) struct statement *sound = longest_roster(site.admin, &current->hash, last);
    AUTO(statement)
    struct statement *twin = longest_roster(site.admin, &current->hash, site.admin->known.box_pk);
    AUTO(statement) struct statement *forged = longest_roster(site.target, &current->hash, last);
    double before = cpu_seconds();
    cr_assert_not(roster_next(first, twin, &second, &err));
    cr_assert_str_eq(err.text, "the roster uses a key of 'anna' twice");
    cr_assert(cpu_seconds() - before < 0.5, "%f s", cpu_seconds() - before);
    before = cpu_seconds();
    for (int i = 0; i < 20; i++)
        cr_assert_not(roster_next(first, forged, &second, &err));
    cr_assert_str_eq(err.text, "roster version 2 is not signed by an admin of the one before it");
    cr_assert(cpu_seconds() - before < 0.5, "what nobody may sign is not looked through");
    cr_assert(roster_next(first, sound, &second, &err), "%s", err.text);
}

Test(roster, known_already_is_told_from_an_older_and_from_a_fork)
{
    AUTO(roster) struct roster *first = site_first_roster(&site);
    AUTO(statement) struct statement *same = NULL;
    struct err err = {0};
    cr_assert(statement_decode(roster_bytes(first), &same, &err));
    AUTO(statement)
    struct statement *fork =
        site_roster(&site, &(struct roster_draft){.version = 1, .target_zone = SEALIFT__ZONE__ZONE_TRUSTED});
    AUTO(roster) struct roster *out = NULL;
    cr_assert_not(roster_next(first, same, &out, &err));
    cr_assert_eq(err.code, ERR_EXISTS);
    cr_assert_not(roster_next(first, fork, &out, &err));
    cr_assert_str_eq(err.text, "two different rosters have version 1");

    AUTO(statement)
    struct statement *second =
        site_roster(&site, &(struct roster_draft){.version = 2, .previous = &same->hash});
    AUTO(roster) struct roster *newer = NULL;
    cr_assert(roster_next(first, second, &newer, &err), "%s", err.text);
    cr_assert_not(roster_next(newer, same, &out, &err));
    cr_assert_str_eq(err.text, "roster version 1 is older than the known version 2");
}

Test(roster, remembers_since_when_a_revoked_member_is_not_trusted)
{
    AUTO(statement)
    struct statement *statement = site_roster(
        &site, &(struct roster_draft){
                   .version = 1, .revoked = site.target, .target_zone = SEALIFT__ZONE__ZONE_TRUSTED});
    AUTO(roster) struct roster *roster = NULL;
    struct err err = {0};
    cr_assert(roster_first(statement, &site.id, site.admin->known.sign_pk, &roster, &err), "%s", err.text);
    uint64_t since_ns = 0;
    cr_assert(roster_ever_admitted(roster, site.target->known.sign_pk, &since_ns));
    cr_assert_eq(since_ns, 5);
    cr_assert_null(roster_transporter(roster, site.target->known.sign_pk));
    cr_assert(roster_ever_admitted(roster, site.source->known.sign_pk, &since_ns));
    cr_assert_eq(since_ns, UINT64_MAX);
    cr_assert_not(roster_ever_admitted(roster, site.admin->known.sign_pk, &since_ns));
}

/* Else the owner of an untrusted repository could plant chunks, sealed by himself, in a copy of it. */
Test(roster, admits_as_a_writer_nobody_outside_the_trusted_zone)
{
    AUTO(roster) struct roster *roster = site_first_roster(&site);
    uint64_t since_ns = 0;
    cr_assert(roster_ever_admitted(roster, site.source->known.sign_pk, &since_ns));
    cr_assert_not(roster_ever_admitted(roster, site.target->known.sign_pk, &since_ns));
    AUTO(statement)
    struct statement *statement =
        site_roster(&site, &(struct roster_draft){.version = 1, .revoked = site.target});
    AUTO(roster) struct roster *later = NULL;
    struct err err = {0};
    cr_assert(roster_first(statement, &site.id, site.admin->known.sign_pk, &later, &err), "%s", err.text);
    cr_assert_not(roster_ever_admitted(later, site.target->known.sign_pk, &since_ns));
}
