#include "transporter/session/stripe_growth.h"

void stripe_growth_init(struct stripe_growth *growth, unsigned most)
{
    *growth = (struct stripe_growth){.count = 1, .most = most, .trip_ms = UINT64_MAX};
}

static void begin_window(struct stripe_growth *growth, uint64_t now_ms)
{
    growth->began_ms = now_ms;
    growth->sent_before = growth->sent;
    growth->messages_before = growth->messages;
    growth->crowded_ms = 0;
    if (growth->crowded_since_ms) growth->crowded_since_ms = now_ms;
}

void stripe_growth_begin(struct stripe_growth *growth, uint64_t now_ms)
{
    growth->count = 1;
    growth->acked = growth->arrived = 0;
    growth->rate = growth->best = 0;
    growth->count_before = 0;
    growth->settled = false;
    growth->crowded_since_ms = 0;
    growth->sent = growth->messages = 0;
    growth->epoch_ms = now_ms;
    begin_window(growth, now_ms);
}

void stripe_growth_echo(struct stripe_growth *growth, uint64_t trip_ms)
{
    growth->echoes++;
    if (trip_ms < growth->trip_ms) growth->trip_ms = trip_ms;
}

void stripe_growth_measured(struct stripe_growth *growth, uint64_t trip_ms)
{
    stripe_growth_echo(growth, trip_ms);
    if (growth->echoes < STRIPE_GROWTH_ECHOES) growth->echoes = STRIPE_GROWTH_ECHOES;
}

static bool is_short(const struct stripe_growth *growth)
{
    return growth->echoes > 0 && growth->trip_ms < STRIPE_GROWTH_LONG_MS;
}

bool stripe_growth_is_long(const struct stripe_growth *growth)
{
    return growth->echoes >= STRIPE_GROWTH_ECHOES && !is_short(growth);
}

unsigned stripe_growth_opens(const struct stripe_growth *growth)
{
    return stripe_growth_is_long(growth) ? growth->most : 1;
}

bool stripe_growth_wants_echo(const struct stripe_growth *growth)
{
    return growth->most > 1 && growth->echoes < STRIPE_GROWTH_ECHOES && !is_short(growth);
}

void stripe_growth_sent(struct stripe_growth *growth, uint64_t messages, uint64_t bytes)
{
    growth->messages = messages;
    growth->sent = bytes;
}

void stripe_growth_acked(struct stripe_growth *growth, uint64_t acked, uint64_t now_ms)
{
    uint64_t since_ms = now_ms - growth->acked_at_ms;
    if (since_ms < growth->trip_ms || since_ms == 0) return;
    growth->arrived =
        growth->acked && acked > growth->acked ? (acked - growth->acked) * growth->trip_ms / since_ms : 0;
    growth->acked = acked;
    growth->acked_at_ms = now_ms;
}

void stripe_growth_room(struct stripe_growth *growth, enum stripe_room room, uint64_t now_ms)
{
    if (growth->sent == 0 && !growth->crowded_since_ms) { /* until then there was nothing to send */
        begin_window(growth, now_ms);
        growth->epoch_ms = now_ms;
    }
    if (growth->crowded_since_ms) growth->crowded_ms += now_ms - growth->crowded_since_ms;
    growth->crowded_since_ms = room == STRIPE_NO_ROOM ? now_ms : 0;
}

static uint64_t window_of(const struct stripe_growth *growth)
{
    uint64_t window_ms = (growth->count > 1 ? STRIPE_GROWTH_WINDOW_TRIPS : 1) * growth->trip_ms;
    return window_ms > STRIPE_GROWTH_WINDOW_LEAST_MS ? window_ms : STRIPE_GROWTH_WINDOW_LEAST_MS;
}

static bool may_change(const struct stripe_growth *growth)
{
    return (growth->count < growth->most || growth->count_before) && !growth->settled &&
           stripe_growth_is_long(growth);
}

uint64_t stripe_growth_left(const struct stripe_growth *growth, uint64_t now_ms)
{
    if (!may_change(growth)) return UINT64_MAX;
    uint64_t until_ms = growth->began_ms + window_of(growth);
    return until_ms > now_ms ? until_ms - now_ms : 0;
}

static unsigned at_most(const struct stripe_growth *growth, uint64_t count)
{
    return count < growth->most ? (unsigned)count : growth->most;
}

static uint64_t needed_of(const struct stripe_growth *growth)
{
    return (growth->trip_ms + STRIPE_GROWTH_SPAN_MS / 2) / STRIPE_GROWTH_SPAN_MS;
}

/* One connection that carries much, and more every round trip. */
static bool is_fat(const struct stripe_growth *growth, uint64_t flight)
{
    bool arrives = growth->arrived >= STRIPE_GROWTH_ARRIVED &&
                   growth->arrived >= growth->trip_ms * STRIPE_GROWTH_ARRIVED_EACH_MS;
    return growth->count == 1 && needed_of(growth) > 1 && (arrives || flight >= STRIPE_GROWTH_FAT);
}

/* Whether it is time for a trial of so many. */
static bool may_try(const struct stripe_growth *growth, unsigned count, uint64_t now_ms)
{
    if (2 * count >= 3 * growth->count) return true;
    return now_ms - growth->epoch_ms >= STRIPE_GROWTH_LATE_TRIPS * growth->trip_ms;
}

/* At a speed that does not rise by itself. */
static unsigned judge(struct stripe_growth *growth, uint64_t rate, uint64_t flight, uint64_t now_ms)
{
    unsigned before = growth->count_before;
    growth->count_before = 0;
    if (before && rate < growth->best + growth->best / 8) {
        growth->settled = true;
        return before;
    }
    if (flight / growth->count < STRIPE_GROWTH_FLIGHT || growth->count >= growth->most) return growth->count;
    const unsigned more = at_most(growth, 2 * growth->count);
    if (!may_try(growth, more, now_ms)) return growth->count;
    growth->count_before = growth->count;
    return more;
}

unsigned stripe_growth_look(struct stripe_growth *growth, uint64_t now_ms)
{
    if (may_change(growth) && growth->crowded_since_ms && is_fat(growth, 0)) {
        begin_window(growth, now_ms);
        return at_most(growth, needed_of(growth));
    }
    if (!may_change(growth) || stripe_growth_left(growth, now_ms) > 0 ||
        growth->messages - growth->messages_before < STRIPE_GROWTH_MESSAGES)
        return growth->count;
    stripe_growth_room(growth, growth->crowded_since_ms ? STRIPE_NO_ROOM : STRIPE_ROOM, now_ms);
    uint64_t window_ms = now_ms - growth->began_ms;
    uint64_t rate = (growth->sent - growth->sent_before) * 1000 / window_ms;
    uint64_t flight = rate * growth->trip_ms / 1000;
    bool crowded = 2 * growth->crowded_ms >= window_ms;
    bool rises = rate > growth->rate + growth->rate / 8;
    growth->rate = rate;
    if (rate > growth->best && !growth->count_before) growth->best = rate;
    begin_window(growth, now_ms);
    if (!crowded) return growth->count;
    if (is_fat(growth, flight)) return at_most(growth, needed_of(growth));
    return rises ? growth->count : judge(growth, rate, flight, now_ms);
}

void stripe_growth_grown(struct stripe_growth *growth, unsigned count)
{
    growth->count = count;
}

void stripe_growth_lost(struct stripe_growth *growth, unsigned opened)
{
    growth->most = opened > 1 ? opened / 2 : 1;
}
