#include "transporter/session/bandwidth.h"

#include "common/base/clock.h"

#include <criterion/criterion.h>
#include <pthread.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)

static struct bandwidth_rule rate(uint64_t bytes_per_s)
{
    return (struct bandwidth_rule){.count = 1, .parts = {{.bytes_per_s = bytes_per_s, .days = 0x7f}}};
}

static const struct bandwidth_rule unlimited;

/* A run that always has something to send. */
struct sender {
    struct bandwidth_share *share;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic uint64_t sent;
    _Atomic uint64_t *all, enough;
};

static void *send_on(void *arg)
{
    struct sender *sender = arg;
    while (!sender->stop && *sender->all < sender->enough) {
        bandwidth_take(sender->share, 64 * KIB, &sender->stop);
        if (sender->stop) break;
        sender->sent += 64 * KIB;
        *sender->all += 64 * KIB;
    }
    return NULL;
}

static void start(struct sender *sender, struct bandwidth_share *share, _Atomic uint64_t *all,
                  uint64_t enough)
{
    *sender = (struct sender){.share = share, .all = all, .enough = enough};
    cr_assert_eq(pthread_create(&sender->thread, NULL, send_on, sender), 0);
}

static void join(struct sender *sender)
{
    cr_assert_eq(pthread_join(sender->thread, NULL), 0);
    bandwidth_leave(sender->share);
}

Test(bandwidth, runs_share_a_transporters_limit_equally)
{
    struct bandwidth_rule limit = rate(16 * MIB);
    AUTO(bandwidth) struct bandwidth *bandwidth = bandwidth_new(&limit);
    struct sender senders[4];
    _Atomic uint64_t all = 0;
    uint64_t begin_ms = clock_steady_ms();
    for (size_t i = 0; i < 4; i++)
        start(&senders[i], bandwidth_join(bandwidth, NULL), &all, 16 * MIB);
    for (size_t i = 0; i < 4; i++)
        join(&senders[i]);
    /* a burst of 1.6 MiB is at once there for who comes first */
    cr_assert_geq(clock_steady_ms() - begin_ms, 850, "16 MiB at 16 MiB/s, but for the burst");
    for (size_t i = 0; i < 4; i++) {
        cr_assert_geq(senders[i].sent, 3 * MIB, "run %zu: %lu", i, senders[i].sent);
        cr_assert_leq(senders[i].sent, 6 * MIB, "run %zu: %lu", i, senders[i].sent);
    }
}

Test(bandwidth, what_a_job_with_a_limit_of_its_own_leaves_is_the_others)
{
    struct bandwidth_rule limit = rate(16 * MIB), slow = rate(2 * MIB);
    AUTO(bandwidth) struct bandwidth *bandwidth = bandwidth_new(&limit);
    struct sender limited, other;
    _Atomic uint64_t all = 0;
    start(&limited, bandwidth_join(bandwidth, &slow), &all, 8 * MIB);
    start(&other, bandwidth_join(bandwidth, NULL), &all, 8 * MIB);
    join(&limited);
    join(&other);
    cr_assert_leq(limited.sent, 2 * MIB, "%lu", limited.sent);
    cr_assert_geq(other.sent, 6 * MIB, "%lu", other.sent);
}

Test(bandwidth, a_limit_that_is_lifted_lets_waiting_runs_go)
{
    struct bandwidth_rule limit = rate(BANDWIDTH_LEAST);
    AUTO(bandwidth) struct bandwidth *bandwidth = bandwidth_new(&limit);
    struct sender sender;
    _Atomic uint64_t all = 0;
    /* 100 MiB would take two hours */
    start(&sender, bandwidth_join(bandwidth, &limit), &all, 100 * MIB);
    while (sender.sent == 0)
        sched_yield();
    bandwidth_set(bandwidth, &unlimited);
    bandwidth_share_set(sender.share, NULL);
    join(&sender);
    cr_assert_geq(sender.sent, 100 * MIB);
}

Test(bandwidth, who_is_given_up_waits_no_longer_and_holds_up_nobody)
{
    struct bandwidth_rule limit = rate(BANDWIDTH_LEAST);
    AUTO(bandwidth) struct bandwidth *bandwidth = bandwidth_new(&limit);
    struct sender senders[3];
    _Atomic uint64_t all = 0;
    for (size_t i = 0; i < 3; i++)
        start(&senders[i], bandwidth_join(bandwidth, NULL), &all, 100 * MIB);
    while (all == 0)
        sched_yield();
    senders[0].stop = senders[1].stop = true;
    join(&senders[0]);
    join(&senders[1]);
    bandwidth_set(bandwidth, &unlimited);
    join(&senders[2]);
    cr_assert_geq(all, 100 * MIB);
}

Test(bandwidth, a_short_limit_makes_the_window_small_but_not_smaller_than_a_message)
{
    struct bandwidth_rule limit = rate(5 * MIB), slow = rate(MIB);
    AUTO(bandwidth) struct bandwidth *bandwidth = bandwidth_new(&limit);
    struct bandwidth_share *share = bandwidth_join(bandwidth, NULL);
    cr_assert_eq(bandwidth_window(share, 24 * MIB), 20 * MIB);
    bandwidth_share_set(share, &slow);
    cr_assert_eq(bandwidth_window(share, 24 * MIB), 9 * MIB);
    cr_assert_eq(bandwidth_window(share, 2 * MIB), 2 * MIB);
    bandwidth_set(bandwidth, &unlimited);
    bandwidth_share_set(share, NULL);
    cr_assert_eq(bandwidth_window(share, 24 * MIB), 24 * MIB);
    cr_assert_eq(bandwidth_window(NULL, 24 * MIB), 24 * MIB);
    bandwidth_leave(share);
}
