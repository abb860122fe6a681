#include "director/loop/inside.h"
#include "tests/unit/base/capture.h"

#include "common/base/alloc.h"
#include "common/base/log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void say_event(struct director *director, const char *event, unsigned who, const char *text)
{
    const struct net_peer peer = {.key = {(uint8_t)who}};
    say_once(director, event, &peer, text);
}

static void say(struct director *director, unsigned who, const char *text)
{
    say_event(director, "dropped", who, text);
}

/* Whoever knocks with many keys must not silence what is said of another for good. */
Test(said, what_was_left_out_for_the_number_of_lines_is_said_when_it_comes_again)
{
    AUTO(buf) struct buf text = {0};
    AUTO(free) struct director *director = xcalloc(1, sizeof(*director));
    log_init("sealift-test", LOG_INFO);
    struct capture capture = capture_start();
    for (unsigned who = 1; who <= LOG_GATE_LINES; who++)
        say(director, who, "a knock");
    say(director, 200, "of another");
    director->now.mono_ms = LOG_GATE_MS;
    say(director, 200, "of another");
    say(director, 200, "of another");
    const char *lines = capture_stop(&capture, &text);
    const char *first = strstr(lines, "of another");
    cr_assert(first, "%s", lines);
    cr_assert_null(strstr(first + 1, "of another"), "once: %s", lines);
}

Test(said, what_strangers_cause_silences_nothing_that_a_host_does)
{
    AUTO(buf) struct buf text = {0};
    AUTO(free) struct director *director = xcalloc(1, sizeof(*director));
    log_init("sealift-test", LOG_INFO);
    struct capture capture = capture_start();
    for (unsigned who = 1; who <= 2 * LOG_GATE_LINES; who++)
        say_event(director, "join_refused", who, "a stranger");
    say_event(director, "point_refused", 1, "a host");
    const char *lines = capture_stop(&capture, &text);
    cr_assert(strstr(lines, "event=point_refused"), "%s", lines);
    cr_assert(strstr(lines, "lines_left_out of=join_refused"), "%s", lines);
}

/* More events than there are gates share one, which bounds them still. */
Test(said, however_many_events_there_are_their_lines_are_bounded)
{
    static const char events[26][2] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m",
                                       "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z"};
    AUTO(free) struct director *director = xcalloc(1, sizeof(*director));
    for (unsigned i = 0; i < 26; i++) {
        struct log_gate *gate = said_gate(director, events[i]);
        cr_assert_eq(gate, said_gate(director, events[i]));
        cr_assert_eq(gate == &director->strangers, i >= sizeof(director->said) / sizeof(director->said[0]));
    }
}
