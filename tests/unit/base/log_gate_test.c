#include "common/base/log_gate.h"

#include "capture.h"
#include "common/base/log.h"

#include <criterion/criterion.h>
#include <string.h>

/* How many of so many lines pass. */
static unsigned passed(struct log_gate *gate, unsigned asked, uint64_t now_ms)
{
    unsigned count = 0;
    for (unsigned i = 0; i < asked; i++)
        count += log_gate_pass(gate, "knock", now_ms);
    return count;
}

Test(log_gate, lets_some_lines_a_minute_pass_and_counts_the_others)
{
    AUTO(buf) struct buf text = {0};
    struct log_gate gate = {0};
    log_init("sealift-test", LOG_INFO);
    struct capture capture = capture_start();
    unsigned first = passed(&gate, LOG_GATE_LINES + 940, 5000);
    unsigned same = passed(&gate, 60, 5000 + LOG_GATE_MS - 1);
    unsigned next = passed(&gate, 2, 5000 + LOG_GATE_MS);
    unsigned last = passed(&gate, 1, 5000 + 3 * LOG_GATE_MS);
    const char *lines = capture_stop(&capture, &text);
    cr_assert_eq(first, LOG_GATE_LINES);
    cr_assert_eq(same, 0);
    cr_assert_eq(next, 2);
    cr_assert_eq(last, 1);
    cr_assert_str_eq(
        lines, "level=warn program=sealift-test event=lines_left_out of=knock next=\"no more of these for "
               "up to a minute\"\n"
               "level=warn program=sealift-test event=lines_left_out of=knock count=1000\n");
}

Test(log_gate, says_what_was_left_out_and_not_what_comes_next)
{
    AUTO(buf) struct buf text = {0};
    struct log_gate gate = {0};
    log_init("sealift-test", LOG_INFO);
    struct capture capture = capture_start();
    (void)passed(&gate, LOG_GATE_LINES + 2, 0);
    (void)log_gate_pass(&gate, "ring", LOG_GATE_MS);
    (void)passed(&gate, LOG_GATE_LINES, LOG_GATE_MS);
    (void)log_gate_pass(&gate, "ring", LOG_GATE_MS);
    (void)log_gate_pass(&gate, "ring", (uint64_t)2 * LOG_GATE_MS);
    const char *lines = capture_stop(&capture, &text);
    cr_assert(strstr(lines, "of=knock count=2\n"), "%s", lines);
    cr_assert(strstr(lines, "of=several count=2\n"), "%s", lines);
}
