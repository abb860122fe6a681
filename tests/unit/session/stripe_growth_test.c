#include "transporter/session/stripe_growth.h"

#include <criterion/criterion.h>

enum { TRIP_MS = 100, STEP_MS = 10, MESSAGE = 512 << 10 };

/* A session on a way of which each connection carries `each` bytes a second and all together `link`. */
struct way {
    uint64_t each, link;
    uint64_t now_ms, sent;
    enum stripe_room room;
};

static struct stripe_growth growth_on(struct way *way, uint64_t trip_ms)
{
    struct stripe_growth growth;
    stripe_growth_init(&growth, STRIPES_MAX);
    way->now_ms = 1000;
    stripe_growth_begin(&growth, way->now_ms);
    while (stripe_growth_wants_echo(&growth))
        stripe_growth_echo(&growth, trip_ms);
    return growth;
}

static unsigned run_for(struct stripe_growth *growth, struct way *way, uint64_t ms)
{
    for (uint64_t end = way->now_ms + ms; way->now_ms < end; way->now_ms += STEP_MS) {
        uint64_t rate = way->each * growth->count;
        way->sent += (rate < way->link ? rate : way->link) * STEP_MS / 1000;
        stripe_growth_sent(growth, way->sent / MESSAGE, way->sent);
        stripe_growth_room(growth, way->room, way->now_ms);
        stripe_growth_grown(growth, stripe_growth_look(growth, way->now_ms));
    }
    return growth->count;
}

Test(stripe_growth, on_a_long_fat_way_goes_to_all_within_some_round_trips)
{
    struct way way = {.each = 27000000, .link = 1000000000, .room = STRIPE_NO_ROOM};
    struct stripe_growth growth = growth_on(&way, 80);
    cr_assert_eq(run_for(&growth, &way, 80), 1);
    cr_assert_eq(run_for(&growth, &way, 12 * 80), STRIPES_MAX);
}

/* From six to eight: a third more at best. */
Test(stripe_growth, tries_a_few_more_only_late)
{
    struct way way = {.each = 27000000, .link = 1000000000, .room = STRIPE_NO_ROOM};
    struct stripe_growth growth = growth_on(&way, TRIP_MS);
    cr_assert_eq(run_for(&growth, &way, (STRIPE_GROWTH_LATE_TRIPS - 1) * TRIP_MS), 6);
    cr_assert_eq(run_for(&growth, &way, 12 * TRIP_MS), STRIPES_MAX);
}

Test(stripe_growth, on_a_short_way_stays_with_one_and_measures_once)
{
    struct way way = {.each = 500000000, .link = 500000000, .room = STRIPE_NO_ROOM};
    struct stripe_growth growth = growth_on(&way, STRIPE_GROWTH_LONG_MS - 1);
    cr_assert_eq(growth.echoes, 1);
    cr_assert_eq(run_for(&growth, &way, 10000), 1);
    cr_assert_eq(stripe_growth_left(&growth, way.now_ms), UINT64_MAX);
}

/* 2 Mbit/s at 300 ms */
Test(stripe_growth, on_a_thin_way_stays_with_one)
{
    struct way way = {.each = 250000, .link = 250000, .room = STRIPE_NO_ROOM};
    struct stripe_growth growth = growth_on(&way, 300);
    cr_assert_eq(run_for(&growth, &way, 60000), 1);
}

/* What a kernel's buffer takes at once is no measure of the way. */
Test(stripe_growth, is_not_misled_by_what_the_kernel_takes_at_first)
{
    struct way way = {.each = 250000, .link = 250000, .room = STRIPE_NO_ROOM, .sent = 700000};
    struct stripe_growth growth = growth_on(&way, 300);
    cr_assert_eq(run_for(&growth, &way, 60000), 1);
}

Test(stripe_growth, leaves_those_that_bring_no_more)
{
    struct way way = {.each = 4000000, .link = 4000000, .room = STRIPE_NO_ROOM};
    struct stripe_growth growth = growth_on(&way, TRIP_MS);
    unsigned most = 1;
    for (int i = 0; i < 100; i++) {
        unsigned count = run_for(&growth, &way, TRIP_MS);
        most = count > most ? count : most;
    }
    cr_assert_eq(most, 2, "it was tried");
    cr_assert_eq(growth.count, 1);
    cr_assert_eq(stripe_growth_left(&growth, way.now_ms), UINT64_MAX, "once");
}

Test(stripe_growth, on_a_way_that_some_fill_uses_some)
{
    struct way way = {.each = 27000000, .link = 125000000, .room = STRIPE_NO_ROOM};
    struct stripe_growth growth = growth_on(&way, TRIP_MS);
    cr_assert_eq(run_for(&growth, &way, 60 * TRIP_MS), 6);
    struct way near = {.each = 110000000, .link = 125000000, .room = STRIPE_NO_ROOM};
    growth = growth_on(&near, 20);
    cr_assert_leq(run_for(&growth, &near, 60 * TRIP_MS), 2);
}

/* While each of them is still finding its speed, more going out is not to the credit of their number. */
Test(stripe_growth, judges_nothing_while_the_speed_rises)
{
    struct way way = {.each = 2000000, .link = 1000000000, .room = STRIPE_NO_ROOM};
    struct stripe_growth growth = growth_on(&way, TRIP_MS);
    cr_assert_eq(run_for(&growth, &way, TRIP_MS + STEP_MS), 1);
    for (int i = 0; i < 4; i++) { /* windows of one round trip: half as much again in each */
        way.each += way.each / 2;
        (void)run_for(&growth, &way, TRIP_MS);
        if (growth.count == 1) cr_assert_eq(growth.count_before, 0);
    }
    cr_assert_gt(growth.count, 1, "the first one was joined by others");
}

Test(stripe_growth, does_not_grow_where_the_connections_have_room)
{
    struct way way = {.each = 20000000, .link = 125000000, .room = STRIPE_ROOM};
    struct stripe_growth growth = growth_on(&way, TRIP_MS);
    cr_assert_eq(run_for(&growth, &way, 10000), 1);
}

/* One measurement may have waited for a processor. */
Test(stripe_growth, takes_the_least_of_its_measurements)
{
    struct stripe_growth growth;
    stripe_growth_init(&growth, STRIPES_MAX);
    stripe_growth_begin(&growth, 1000);
    stripe_growth_echo(&growth, 30);
    cr_assert(stripe_growth_wants_echo(&growth));
    cr_assert_not(stripe_growth_is_long(&growth));
    stripe_growth_echo(&growth, 1);
    cr_assert_not(stripe_growth_is_long(&growth));
    cr_assert_not(stripe_growth_wants_echo(&growth));
}

Test(stripe_growth, goes_to_half_of_what_did_not_last_in_later_epochs)
{
    struct way way = {.each = 10000000, .link = 125000000, .room = STRIPE_NO_ROOM};
    struct stripe_growth growth = growth_on(&way, 80);
    cr_assert_eq(run_for(&growth, &way, 60 * TRIP_MS), STRIPES_MAX);
    stripe_growth_lost(&growth, STRIPES_MAX);
    way.sent = 0;
    stripe_growth_begin(&growth, way.now_ms);
    cr_assert_eq(growth.count, 1);
    cr_assert_eq(run_for(&growth, &way, 60 * TRIP_MS), STRIPES_MAX / 2);
}

/* Its processes may take long to answer, TCP does not. */
Test(stripe_growth, believes_one_measurement_of_tcp)
{
    struct stripe_growth growth;
    stripe_growth_init(&growth, STRIPES_MAX);
    cr_assert_eq(stripe_growth_opens(&growth), 1);
    stripe_growth_measured(&growth, 30);
    cr_assert(stripe_growth_is_long(&growth));
    cr_assert_eq(stripe_growth_opens(&growth), STRIPES_MAX);
    stripe_growth_echo(&growth, 1);
    cr_assert_not(stripe_growth_is_long(&growth), "the least counts");
    cr_assert_eq(stripe_growth_opens(&growth), 1);
}

/* All are at hand: the first one has shown within a round trip what two of them would have to. */
Test(stripe_growth, from_one_fat_connection_goes_to_as_many_as_the_way_may_need)
{
    struct way way = {.each = 27000000, .link = 125000000, .room = STRIPE_NO_ROOM};
    struct stripe_growth growth = growth_on(&way, TRIP_MS);
    cr_assert_eq(run_for(&growth, &way, TRIP_MS + 2 * STEP_MS), 6);
    struct way lesser = {.each = 6000000, .link = 125000000, .room = STRIPE_NO_ROOM};
    growth = growth_on(&lesser, TRIP_MS);
    (void)run_for(&growth, &lesser, 3 * TRIP_MS);
    cr_assert_eq(growth.count, 6);
}

/* TCP's word is of what has arrived: no buffer makes it more. */
Test(stripe_growth, goes_at_once_by_what_has_arrived)
{
    struct way way = {.each = 1000000, .link = 125000000, .room = STRIPE_NO_ROOM};
    struct stripe_growth growth = growth_on(&way, TRIP_MS);
    uint64_t acked = 0;
    for (int i = 0; i < 5; i++, way.now_ms += TRIP_MS) { /* at most 100 KiB in a round trip */
        stripe_growth_acked(&growth, acked += 100 << 10, way.now_ms);
        stripe_growth_room(&growth, STRIPE_NO_ROOM, way.now_ms);
        cr_assert_eq(stripe_growth_look(&growth, way.now_ms), 1);
    }
    stripe_growth_acked(&growth, acked + (400 << 10), way.now_ms);
    cr_assert_eq(stripe_growth_look(&growth, way.now_ms), 6);
    stripe_growth_room(&growth, STRIPE_ROOM, way.now_ms);
    cr_assert_eq(stripe_growth_look(&growth, way.now_ms), 1, "there is nothing that waits");
}
