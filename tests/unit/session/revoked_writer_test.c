#include "errand.h"

#include <criterion/criterion.h>
#include <string.h>

/* A point of vault in web's repository; then vault is revoked. */
static struct hosts *hosts;
static struct errand errand;

static void setup(void)
{
    hosts = hosts_new();
    errand_init(&errand, &hosts->vault, &hosts->web, NULL, hosts);
    errand_make_point(&errand);
}

static void teardown(void)
{
    errand_deinit(&errand);
    hosts_free(hosts);
}

TestSuite(revoked_writer, .init = setup, .fini = teardown, .timeout = 60);

static void revoke_vault(uint64_t since_ns)
{
    hosts_next_roster(hosts, (struct roster_draft){.target_zone = SEALIFT__ZONE__ZONE_TRUSTED,
                                                   .revoked = hosts->site.target,
                                                   .since_ns = since_ns});
}

static void restore(uint8_t number, uint32_t accept_revoked, struct trip *trip)
{
    errand_order(&errand, number, &hosts->web, accept_revoked);
    const struct assignment assignment = errand_recovery(&errand, number, &hosts->web);
    trip_run(hosts, &assignment, trip);
}

/* A host that was lost is revoked, and its backups are what is needed. */
Test(revoked_writer, what_it_wrote_before_is_restored)
{
    AUTO(trip) struct trip trip = {.relay = NULL};
    revoke_vault(errand.time_ns + 1);
    restore(1, 0, &trip);
    cr_assert_eq(trip.source.code, 0, "%s", trip.source.text);
    errand_assert_restored(&errand, 1);
}

Test(revoked_writer, what_it_wrote_since_then_is_restored_only_when_the_order_says_so)
{
    AUTO(trip) struct trip refused = {.relay = NULL};
    AUTO(trip) struct trip accepted = {.relay = NULL};
    revoke_vault(errand.time_ns);
    restore(1, 0, &refused);
    cr_assert_eq(refused.source.code, ERR_NOT_AUTHENTIC, "%s", refused.source.text);
    cr_assert_str_eq(refused.source.text, "the point was committed after its writer had been revoked");
    restore(2, 1, &accepted);
    cr_assert_eq(accepted.source.code, 0, "%s", accepted.source.text);
    errand_assert_restored(&errand, 2);
}

/* Nothing of this site is restored that somebody else signed. */
Test(revoked_writer, has_no_more_to_say)
{
    const struct assignment job = {
        SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, {{7}}, &hosts->vault, &hosts->web, 0, false};
    AUTO(trip) struct trip trip = {.relay = NULL};
    revoke_vault(errand.time_ns);
    trip_run(hosts, &job, &trip);
    cr_assert_eq(trip.target.code, ERR_NOT_FOUND, "%u: %s", trip.target.code, trip.target.text);
}
