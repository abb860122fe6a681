#include "common/base/alloc.h"
#include "common/base/file.h"
#include "errand.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

/* A point of web in vault's plaintext repository, and orders to bring it back. */
static struct hosts *hosts;
static struct errand errand;

static void setup(void)
{
    hosts = hosts_new();
    errand_init(&errand, &hosts->web, &hosts->vault, NULL, hosts);
    errand_make_point(&errand);
}

static void teardown(void)
{
    errand_deinit(&errand);
    hosts_free(hosts);
}

TestSuite(order_run, .init = setup, .fini = teardown, .timeout = 60);

static struct assignment ordered(uint8_t number)
{
    errand_order(&errand, number, &hosts->web, 0);
    return errand_recovery(&errand, number, &hosts->web);
}

/* Both sides end with this code. */
static void run_both(const struct assignment *assignment, enum err_code code, struct trip *trip)
{
    trip_run(hosts, assignment, trip);
    cr_assert_eq(trip->target.code, (uint32_t)code, "target: %u: %s", trip->target.code, trip->target.text);
    cr_assert_eq(trip->source.code, (uint32_t)code, "source: %u: %s", trip->source.code, trip->source.text);
}

Test(order_run, is_carried_out_at_most_once_and_says_what_to_do)
{
    const struct assignment assignment = ordered(1);
    AUTO(trip) struct trip first = {.relay = NULL};
    AUTO(trip) struct trip second = {.relay = NULL};
    run_both(&assignment, ERR_NONE, &first);
    errand_assert_restored(&errand, 1);
    run_both(&assignment, ERR_EXISTS, &second);
    cr_assert(leg_explains(hosts, &second.target, "each is carried out at most once: make a new one"));
}

Test(order_run, goes_on_over_a_cut_connection)
{
    struct assignment assignment = ordered(1);
    assignment.cut_after = 1500000;
    AUTO(trip) struct trip trip = {.relay = NULL};
    run_both(&assignment, ERR_NONE, &trip);
    cr_assert_eq(atomic_load(&trip.relay->accepted), 2);
    errand_assert_restored(&errand, 1);
}

/* What one order has begun, no director begins again; another order goes on. */
Test(order_run, that_lost_its_peer_is_spent_and_a_new_order_goes_on)
{
    struct assignment assignment = ordered(1);
    assignment.cut_after = 1500000;
    assignment.stay_down = true;
    hosts->lease_ms = 300;
    AUTO(trip) struct trip lost = {.relay = NULL};
    AUTO(trip) struct trip again = {.relay = NULL};
    AUTO(trip) struct trip anew = {.relay = NULL};
    run_both(&assignment, ERR_UNREACHABLE, &lost);
    hosts->lease_ms = 20000;
    assignment.cut_after = 0;
    run_both(&assignment, ERR_EXISTS, &again);
    const struct assignment next = ordered(2);
    run_both(&next, ERR_NONE, &anew);
    errand_assert_restored(&errand, 2);
}

/* An order that the director kept back. The authority takes none that has expired: it had taken this one
 * before. */
Test(order_run, of_an_order_that_has_expired_since_it_came_is_refused)
{
    const struct id id = {{9}};
    struct err err = {0};
    AUTO(statement)
    struct statement *order =
        site_restore(&hosts->site, &(struct restore_draft){.id = id,
                                                           .repository = {{4}},
                                                           .point = errand.point,
                                                           .point_hash = errand.point_hash,
                                                           .expiry_s = 1000,
                                                           .target = hosts->web.self,
                                                           .destination = hosts->dir});
    struct accepted accepted;
    cr_assert_not(authority_accept(hosts->web.authority, buf_span(&order->bytes), &accepted, &err));
    AUTO(free)
    char *path = xasprintf("%s/statements/order-09000000000000000000000000000000", hosts->web.state);
    cr_assert(file_replace(AT_FDCWD, path, buf_span(&order->bytes), 0600, &err), "%s", err.text);
    host_stop(&hosts->web);
    host_start(hosts, &hosts->web);
    const struct assignment assignment = errand_recovery(&errand, 9, &hosts->web);
    AUTO(trip) struct trip trip = {.relay = NULL};
    trip_run(hosts, &assignment, &trip);
    cr_assert_eq(trip.target.code, ERR_POLICY, "%s", trip.target.text);
    cr_assert_str_eq(trip.target.text, "the order has expired");
}
