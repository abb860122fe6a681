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
    growth->in_a_row = 0;
    growth->rate_before = 0;
    growth->crowded_since_ms = 0;
    growth->sent = growth->messages = 0;
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

void stripe_growth_room(struct stripe_growth *growth, enum stripe_room room, uint64_t now_ms)
{
    if (growth->crowded_since_ms) growth->crowded_ms += now_ms - growth->crowded_since_ms;
    growth->crowded_since_ms = room == STRIPE_NO_ROOM ? now_ms : 0;
}

static uint64_t window_of(const struct stripe_growth *growth)
{
    uint64_t window_ms = (growth->count > 1 ? STRIPE_GROWTH_WINDOW_TRIPS : 1) * growth->trip_ms;
    return window_ms > STRIPE_GROWTH_WINDOW_LEAST_MS ? window_ms : STRIPE_GROWTH_WINDOW_LEAST_MS;
}

static bool may_grow(const struct stripe_growth *growth)
{
    return growth->count < growth->most && stripe_growth_is_long(growth);
}

uint64_t stripe_growth_left(const struct stripe_growth *growth, uint64_t now_ms)
{
    if (!may_grow(growth)) return UINT64_MAX;
    uint64_t until_ms = growth->began_ms + window_of(growth);
    return until_ms > now_ms ? until_ms - now_ms : 0;
}

unsigned stripe_growth_look(struct stripe_growth *growth, uint64_t now_ms)
{
    if (!may_grow(growth) || stripe_growth_left(growth, now_ms) > 0 ||
        growth->messages - growth->messages_before < STRIPE_GROWTH_MESSAGES)
        return growth->count;
    stripe_growth_room(growth, growth->crowded_since_ms ? STRIPE_NO_ROOM : STRIPE_ROOM, now_ms);
    uint64_t window_ms = now_ms - growth->began_ms;
    uint64_t rate = (growth->sent - growth->sent_before) * 1000 / window_ms;
    uint64_t flight = rate * growth->trip_ms / 1000 / growth->count;
    bool better = rate > growth->rate_before + growth->rate_before / 8;
    bool more = 2 * growth->crowded_ms >= window_ms && flight >= STRIPE_GROWTH_FLIGHT &&
                (better || flight >= STRIPE_GROWTH_FAT);
    begin_window(growth, now_ms);
    growth->in_a_row = more ? growth->in_a_row + 1 : 0;
    uint64_t wanted = 2 * growth->count;
    if (growth->count == 1 && flight >= STRIPE_GROWTH_FAT)
        wanted = flight / STRIPE_GROWTH_SHARE;
    else if (growth->count == 1 && growth->in_a_row < STRIPE_GROWTH_FIRST)
        wanted = 1;
    if (!more || wanted == growth->count) return growth->count;
    growth->rate_before = rate;
    return wanted < growth->most ? (unsigned)wanted : growth->most;
}

void stripe_growth_grown(struct stripe_growth *growth, unsigned count)
{
    growth->count = count;
}

void stripe_growth_lost(struct stripe_growth *growth, unsigned opened)
{
    growth->most = opened > 1 ? opened / 2 : 1;
}
