#include "common/base/alloc.h"
#include "errand.h"
#include "tests/support/remove_tree.h"

#include <criterion/criterion.h>
#include <sys/stat.h>

/* vault has lost its packs, and what it knew of them; web's cache claims that everything is there. */
static void lose_packs(struct errand *errand)
{
    struct host *vault = errand->target;
    AUTO(free) char *packs = xasprintf("%s/packs", errand->store);
    AUTO(free)
    char *known = xasprintf("%s/repositories/04000000000000000000000000000000/index", vault->state);
    host_stop(vault);
    cr_assert(remove_tree(packs) && remove_tree(known));
    cr_assert(mkdir(packs, 0700) == 0 && mkdir(known, 0700) == 0);
    host_start(errand->hosts, vault);
}

static uint64_t sent_by(struct errand *errand, enum err_code code)
{
    AUTO(trip) struct trip trip = {.relay = NULL};
    errand_back_up(errand, &trip);
    cr_assert_eq(trip.source.code, (uint32_t)code, "%u: %s", trip.source.code, trip.source.text);
    cr_assert_eq(trip.target.code, 0, "%u: %s", trip.target.code, trip.target.text);
    cr_assert(code == 0 || leg_explains(errand->hosts, &trip.source, "chunks"));
    return trip.source.sent_bytes;
}

Test(missing_run, what_a_cache_claims_and_the_target_has_lost_is_read_and_sent_again, .timeout = 60)
{
    AUTO(hosts) struct hosts *hosts = hosts_new();
    AUTO(errand) struct errand errand;
    errand_init(&errand, &hosts->web, &hosts->vault, NULL, hosts);
    uint64_t first = sent_by(&errand, ERR_NONE), unchanged = sent_by(&errand, ERR_NONE);
    cr_assert(unchanged < first / 20, "%llu bytes of %llu", (unsigned long long)unchanged,
              (unsigned long long)first);
    lose_packs(&errand);
    uint64_t again = sent_by(&errand, 1);
    cr_assert(again > first - first / 10 && again < first + first / 10, "%llu bytes of %llu",
              (unsigned long long)again, (unsigned long long)first);

    AUTO(trip) struct trip trip = {.relay = NULL};
    errand_order(&errand, 1, &hosts->web, 0);
    const struct assignment recovery = errand_recovery(&errand, 1, &hosts->web);
    trip_run(hosts, &recovery, &trip);
    cr_assert_eq(trip.target.code, 0, "%u: %s", trip.target.code, trip.target.text);
    errand_assert_restored(&errand, 1);
}
