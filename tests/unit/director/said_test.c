#include "director/loop/inside.h"
#include "tests/unit/base/capture.h"

#include "common/base/alloc.h"
#include "common/base/log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void say(struct director *director, unsigned who, const char *text)
{
    const struct net_peer peer = {.key = {(uint8_t)who}};
    say_once(director, "dropped", &peer, text);
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
