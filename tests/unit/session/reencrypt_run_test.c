#include "common/base/alloc.h"
#include "common/base/file.h"
#include "errand.h"
#include "transporter/session/own_key.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

enum { SAFE = 5, NEAR = 6, COPY = 20 };

/* A point of vault in web's plaintext repository, which copies seal for a key that both hosts have: into a
 * repository of vault, and into another one of web. */
static struct hosts *hosts;
static struct errand errand;
static struct read_half *key;
static struct write_half *half;

static void put_key(struct host *host, const char *name)
{
    static const uint8_t s[KEY_SECRET_LEN] = {1};
    struct err err = {0};
    host->own_key_file = xasprintf("%s/%s.key", hosts->dir, name);
    cr_assert(file_replace(AT_FDCWD, host->own_key_file, span_of(s, sizeof(s)), 0600, &err), "%s", err.text);
}

static void put_repository(uint8_t id, const char *name, const struct host *owner)
{
    AUTO(free) char *path = xasprintf("%s/%s", hosts->dir, name);
    const struct repository_draft draft = {.id = {{id}}, .name = name, .path = path, .owner = owner->self};
    hosts_tell(hosts, site_repository(&hosts->site, &draft));
}

static void setup(void)
{
    struct err err = {0};
    hosts = hosts_new();
    put_key(&hosts->web, "web");
    put_key(&hosts->vault, "vault");
    cr_assert(own_key_load(hosts->web.own_key_file, &key, &err), "%s", err.text);
    half = write_half_of(key, "t:web");
    errand_init(&errand, &hosts->vault, &hosts->web, NULL, hosts);
    errand_make_point(&errand);
    put_repository(SAFE, "safe", &hosts->vault);
    put_repository(NEAR, "near", &hosts->web);
}

static void teardown(void)
{
    write_half_free(half);
    read_half_free(key);
    errand_deinit(&errand);
    hosts_free(hosts);
}

TestSuite(reencrypt_run, .init = setup, .fini = teardown, .timeout = 120);

static struct assignment copy_job(uint8_t id, uint8_t repository, Sealift__Placement placement)
{
    const struct copy_draft draft = {.id = {{id}},
                                     .repository = {{repository}},
                                     .from = {{4}},
                                     .source = hosts->web.self,
                                     .half = half,
                                     .placement = placement};
    hosts_tell(hosts, site_copy(&hosts->site, &draft));
    return (struct assignment){SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,           {{id}}, &hosts->web,
                               repository == NEAR ? &hosts->web : &hosts->vault, 0,      false};
}

static void run(const struct assignment *assignment, enum err_code code, struct trip *trip)
{
    trip_run(hosts, assignment, trip);
    cr_assert_eq(trip->source.code, (uint32_t)code, "%u: %s", trip->source.code, trip->source.text);
    cr_assert_eq(trip_end(trip)->code, (uint32_t)code, "%u: %s", trip_end(trip)->code, trip_end(trip)->text);
}

/* What the trip brought restores, opened by vault with its key. */
static void assert_copied(const struct trip *trip, uint8_t repository, uint8_t number)
{
    const struct leg *end = trip_end(trip);
    AUTO(free) char *destination = errand_destination(&errand, number);
    AUTO(trip) struct trip back = {.relay = NULL};
    struct host *owner = repository == NEAR ? &hosts->web : &hosts->vault;
    const struct restore_draft draft = {.id = {{number}},
                                        .repository = {{repository}},
                                        .point = end->point,
                                        .point_hash = end->point_hash,
                                        .target = owner->self,
                                        .key_id = &half->key_id,
                                        .destination = destination};
    const struct assignment assignment = {
        SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER, {{number}}, owner, owner, 0, false};
    hosts_tell(hosts, site_restore(&hosts->site, &draft));
    cr_assert_not(id_eq(&end->point, &errand.point), "it is a point of its own");
    run(&assignment, ERR_NONE, &back);
    errand_assert_restored(&errand, number);
}

static const Sealift__Placement placements[] = {SEALIFT__PLACEMENT__PLACE_SOURCE,
                                                SEALIFT__PLACEMENT__PLACE_TARGET};

Test(reencrypt_run, seals_on_either_side_once)
{
    for (uint8_t i = 0; i < 2; i++) {
        const struct assignment assignment = copy_job((uint8_t)(COPY + i), SAFE, placements[i]);
        AUTO(trip) struct trip trip = {.relay = NULL};
        AUTO(trip) struct trip again = {.relay = NULL};
        run(&assignment, ERR_NONE, &trip);
        if (i == 0) assert_copied(&trip, SAFE, 1);
        run(&assignment, ERR_NONE, &again);
        cr_assert_eq(again.target.sent_bytes, 0, "what either job has copied is there for both");
    }
}

Test(reencrypt_run, goes_on_over_a_cut_connection)
{
    struct assignment assignment = copy_job(COPY, SAFE, SEALIFT__PLACEMENT__PLACE_SOURCE);
    assignment.cut_after = 1500000;
    AUTO(trip) struct trip trip = {.relay = NULL};
    run(&assignment, ERR_NONE, &trip);
    cr_assert_geq(atomic_load(&trip.relay->accepted), 2); /* one more while it says good-bye */
    assert_copied(&trip, SAFE, 1);
}

Test(reencrypt_run, at_the_target_goes_on_over_a_cut_connection)
{
    static const uint64_t after[] = {4000, 1500000};
    for (uint8_t i = 0; i < 2; i++) {
        if (i == 1) put_repository(7, "other", &hosts->vault);
        struct assignment assignment =
            copy_job((uint8_t)(COPY + i), i ? 7 : SAFE, SEALIFT__PLACEMENT__PLACE_TARGET);
        assignment.cut_after = after[i];
        AUTO(trip) struct trip trip = {.relay = NULL};
        run(&assignment, ERR_NONE, &trip);
        cr_assert_geq(atomic_load(&trip.relay->accepted), 2); /* one more while it says good-bye */
        assert_copied(&trip, i ? 7 : SAFE, (uint8_t)(1 + i));
    }
}

Test(reencrypt_run, on_one_host_is_both_sides)
{
    const struct assignment assignment = copy_job(COPY, NEAR, SEALIFT__PLACEMENT__PLACE_SOURCE);
    AUTO(trip) struct trip trip = {.relay = NULL};
    run(&assignment, ERR_NONE, &trip);
    assert_copied(&trip, NEAR, 1);
}

static void revoke_vault(uint64_t since_ns)
{
    hosts_next_roster(hosts, (struct roster_draft){.target_zone = SEALIFT__ZONE__ZONE_TRUSTED,
                                                   .revoked = hosts->site.target,
                                                   .since_ns = since_ns});
}

/* Under the signature of who seals it nobody could tell any more. */
Test(reencrypt_run, gives_no_point_of_a_revoked_writer_a_good_name)
{
    const struct assignment assignment = copy_job(COPY, NEAR, SEALIFT__PLACEMENT__PLACE_SOURCE);
    AUTO(trip) struct trip trip = {.relay = NULL};
    revoke_vault(errand.time_ns);
    run(&assignment, ERR_NOT_AUTHENTIC, &trip);
    cr_assert(leg_explains(hosts, trip_end(&trip), "after its writer had been revoked"), "why is not said");
}

Test(reencrypt_run, copies_what_a_writer_wrote_before_it_was_revoked)
{
    const struct assignment assignment = copy_job(COPY, NEAR, SEALIFT__PLACEMENT__PLACE_SOURCE);
    AUTO(trip) struct trip trip = {.relay = NULL};
    revoke_vault(errand.time_ns + 1);
    run(&assignment, ERR_NONE, &trip);
    assert_copied(&trip, NEAR, 1);
}

/* Plaintext leaves a host only towards those whom its own configuration names; sealed first, it may go. */
Test(reencrypt_run, sends_plaintext_only_where_local_policy_lets_it)
{
    hosts->web.policy.plaintext_count = 0;
    const struct assignment open = copy_job(COPY, SAFE, SEALIFT__PLACEMENT__PLACE_TARGET);
    const struct assignment sealed = copy_job(COPY + 1, SAFE, SEALIFT__PLACEMENT__PLACE_SOURCE);
    AUTO(trip) struct trip refused = {.relay = NULL};
    AUTO(trip) struct trip sent = {.relay = NULL};
    hosts->lease_ms = 300;
    trip_run(hosts, &open, &refused);
    cr_assert_eq(refused.source.code, ERR_POLICY, "%u: %s", refused.source.code, refused.source.text);
    hosts->lease_ms = 20000;
    run(&sealed, ERR_NONE, &sent);
    assert_copied(&sent, SAFE, 1);
}
