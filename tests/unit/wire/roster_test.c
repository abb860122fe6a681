#include "fixture.h"

#include <criterion/criterion.h>
#include <string.h>

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
