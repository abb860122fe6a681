#include "transporter/session/bandwidth.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/core/token_bucket.h"

#include <pthread.h>

enum { LOOK_MS = 200, WINDOW_S = 4 };
#define WINDOW_LEAST (UINT64_C(9) << 20) /* more than any one message */

struct bandwidth {
    pthread_mutex_t lock; /* of all below, and of the shares */
    pthread_cond_t changed;
    struct bandwidth_rule rule;
    struct token_bucket bucket;
    struct bandwidth_share *turn, **turn_end; /* who wants to pass, in turn */
};

struct bandwidth_share {
    struct bandwidth *bandwidth;
    struct bandwidth_rule own; /* without parts: none */
    struct token_bucket bucket;
    struct bandwidth_share *next; /* in turn */
};

struct bandwidth *bandwidth_new(const struct bandwidth_rule *rule)
{
    struct bandwidth *bandwidth = xcalloc(1, sizeof(*bandwidth));
    (void)pthread_mutex_init(&bandwidth->lock, NULL);
    (void)pthread_cond_init(&bandwidth->changed, NULL);
    bandwidth->rule = *rule;
    bandwidth->turn_end = &bandwidth->turn;
    return bandwidth;
}

void bandwidth_free(struct bandwidth *bandwidth)
{
    if (!bandwidth) return;
    (void)pthread_cond_destroy(&bandwidth->changed);
    (void)pthread_mutex_destroy(&bandwidth->lock);
    free(bandwidth);
}

void bandwidth_set(struct bandwidth *bandwidth, const struct bandwidth_rule *rule)
{
    (void)pthread_mutex_lock(&bandwidth->lock);
    bandwidth->rule = *rule;
    (void)pthread_cond_broadcast(&bandwidth->changed);
    (void)pthread_mutex_unlock(&bandwidth->lock);
}

struct bandwidth_share *bandwidth_join(struct bandwidth *bandwidth, const struct bandwidth_rule *own)
{
    struct bandwidth_share *share = xcalloc(1, sizeof(*share));
    share->bandwidth = bandwidth;
    if (own) share->own = *own;
    return share;
}

void bandwidth_leave(struct bandwidth_share *share)
{
    free(share);
}

void bandwidth_share_set(struct bandwidth_share *share, const struct bandwidth_rule *own)
{
    (void)pthread_mutex_lock(&share->bandwidth->lock);
    share->own = own ? *own : (struct bandwidth_rule){0};
    (void)pthread_cond_broadcast(&share->bandwidth->changed);
    (void)pthread_mutex_unlock(&share->bandwidth->lock);
}

/* --- waiting, under the lock --- */

static void pause_for(struct bandwidth *bandwidth, uint64_t wait_ms)
{
    clock_wait(&bandwidth->changed, &bandwidth->lock,
               clock_steady_ms() + (wait_ms < LOOK_MS ? wait_ms : LOOK_MS));
}

static void wait_for_bucket(struct bandwidth *bandwidth, const struct bandwidth_rule *rule,
                            struct token_bucket *bucket, const _Atomic bool *given_up)
{
    while (!atomic_load(given_up)) {
        uint64_t rate = bandwidth_rule_at(rule, clock_real_ns());
        uint64_t wait_ms = token_bucket_wait(bucket, rate, clock_steady_ms());
        if (wait_ms == 0) return;
        pause_for(bandwidth, wait_ms);
    }
}

static void queue_up(struct bandwidth_share *share)
{
    share->next = NULL;
    *share->bandwidth->turn_end = share;
    share->bandwidth->turn_end = &share->next;
}

static void step_out(struct bandwidth_share *share)
{
    struct bandwidth *bandwidth = share->bandwidth;
    struct bandwidth_share **place = &bandwidth->turn;
    while (*place != share)
        place = &(*place)->next;
    *place = share->next;
    if (bandwidth->turn_end == &share->next) bandwidth->turn_end = place;
    (void)pthread_cond_broadcast(&bandwidth->changed);
}

void bandwidth_take(struct bandwidth_share *share, uint64_t bytes, const _Atomic bool *given_up)
{
    if (!share) return;
    struct bandwidth *bandwidth = share->bandwidth;
    (void)pthread_mutex_lock(&bandwidth->lock);
    wait_for_bucket(bandwidth, &share->own, &share->bucket, given_up);
    queue_up(share);
    while (bandwidth->turn != share && !atomic_load(given_up))
        pause_for(bandwidth, LOOK_MS);
    if (bandwidth->turn == share) wait_for_bucket(bandwidth, &bandwidth->rule, &bandwidth->bucket, given_up);
    step_out(share);
    if (!atomic_load(given_up)) {
        token_bucket_take(&share->bucket, bytes);
        token_bucket_take(&bandwidth->bucket, bytes);
    }
    (void)pthread_mutex_unlock(&bandwidth->lock);
}

static uint64_t window_of(const struct bandwidth_rule *rule, uint64_t most)
{
    uint64_t rate = bandwidth_rule_at(rule, clock_real_ns());
    return rate == BANDWIDTH_UNLIMITED || rate >= most / WINDOW_S ? most : rate * WINDOW_S;
}

uint64_t bandwidth_window(struct bandwidth_share *share, uint64_t most)
{
    if (!share) return most;
    (void)pthread_mutex_lock(&share->bandwidth->lock);
    uint64_t window = window_of(&share->own, window_of(&share->bandwidth->rule, most));
    (void)pthread_mutex_unlock(&share->bandwidth->lock);
    uint64_t least = most < WINDOW_LEAST ? most : WINDOW_LEAST;
    return window > least ? window : least;
}
