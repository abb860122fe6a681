#include "director/cli/progress.h"

#include "tests/unit/base/capture.h"

#include <criterion/criterion.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

static struct progress_sample sample(uint64_t bytes, uint64_t total)
{
    return (struct progress_sample){.phase = "running", .files = 12, .bytes = bytes, .total_bytes = total};
}

static void feed(struct progress *progress, uint64_t bytes, uint64_t total, uint64_t now_ms)
{
    struct progress_sample now = sample(bytes, total);
    progress_update(progress, &now, now_ms);
}

static size_t lines(const char *text)
{
    size_t count = 0;
    for (; (text = strchr(text, '\n')); text++)
        count++;
    return count;
}

Test(progress, the_rate_is_that_of_the_last_seconds)
{
    struct progress progress;
    progress_init(&progress, PROGRESS_NONE, 0, 0);
    cr_assert_eq(progress_rate(&progress), 0);
    for (uint64_t i = 0; i <= 10; i++)
        feed(&progress, i * MIB, 100 * MIB, i * 1000);
    cr_assert_eq(progress_rate(&progress), MIB);
    for (uint64_t i = 1; i <= PROGRESS_WINDOW; i++)
        feed(&progress, (10 + 4 * i) * MIB, 1000 * MIB, (10 + i) * 1000);
    cr_assert_eq(progress_rate(&progress), 4 * MIB, "what is older is forgotten");
}

Test(progress, a_new_attempt_begins_from_zero)
{
    struct progress progress;
    progress_init(&progress, PROGRESS_NONE, 0, 0);
    feed(&progress, 50 * MIB, 0, 1000);
    feed(&progress, 90 * MIB, 0, 2000);
    feed(&progress, 1 * MIB, 0, 3000);
    cr_assert_eq(progress_rate(&progress), 0, "never negative");
    feed(&progress, 3 * MIB, 0, 4000);
    cr_assert_eq(progress_rate(&progress), 2 * MIB);
}

Test(progress, the_line_says_how_far_and_how_long)
{
    struct progress progress;
    AUTO(buf) struct buf line = {0};
    progress_init(&progress, PROGRESS_NONE, 0, 0);
    feed(&progress, 0, 100 * MIB, 1000);
    feed(&progress, 10 * MIB, 100 * MIB, 2000);
    struct progress_sample now = sample(10 * MIB, 100 * MIB);
    now.deduplicated_bytes = 2 * MIB;
    now.sent_bytes = 1536 * 1024;
    now.stored_bytes = MIB;
    now.warnings = 3;
    progress_line(&progress, &now, &line);
    cr_assert_str_eq(buf_cstr(&line), "running  10.0 MiB of 100.0 MiB (10%)  12 files  10.0 MiB/s  0:09 left"
                                      "  deduplicated 2.0 MiB  sent 1.5 MiB  stored 1.0 MiB  3 warnings");
}

Test(progress, before_anything_is_done_the_line_says_who_is_waited_for)
{
    struct progress progress;
    AUTO(buf) struct buf line = {0};
    struct progress_sample now = sample(0, 0);
    progress_init(&progress, PROGRESS_NONE, 0, 0);
    now.waits_for = "waiting for 'vault' to begin";
    progress_line(&progress, &now, &line);
    cr_assert_str_eq(buf_cstr(&line), "waiting for 'vault' to begin");
}

Test(progress, what_is_not_known_is_not_shown)
{
    struct progress progress;
    AUTO(buf) struct buf line = {0};
    progress_init(&progress, PROGRESS_NONE, 0, 0);
    const struct progress_sample now = sample(10 * MIB, 0);
    progress_line(&progress, &now, &line);
    cr_assert_str_eq(buf_cstr(&line), "running  10.0 MiB  12 files");
}

Test(progress, elsewhere_than_on_a_terminal_each_tenth_is_a_line)
{
    struct progress progress;
    AUTO(buf) struct buf text = {0};
    struct capture capture = capture_start();
    progress_init(&progress, PROGRESS_LINES, 0, 0);
    for (uint64_t i = 0; i <= 100; i++)
        feed(&progress, i * MIB, 100 * MIB, i * 1000);
    cr_assert_eq(lines(capture_stop(&capture, &text)), 10);
}

Test(progress, without_a_total_a_line_comes_now_and_then)
{
    struct progress progress;
    AUTO(buf) struct buf text = {0};
    struct capture capture = capture_start();
    progress_init(&progress, PROGRESS_LINES, 10, 0);
    for (uint64_t i = 0; i <= 100; i++)
        feed(&progress, i * MIB, 0, i * 1000);
    cr_assert_eq(lines(capture_stop(&capture, &text)), 10);
}

Test(progress, json_lines_are_json)
{
    struct progress progress;
    AUTO(buf) struct buf text = {0};
    struct capture capture = capture_start();
    progress_init(&progress, PROGRESS_JSON, 0, 0);
    feed(&progress, 5 * MIB, 10 * MIB, 2000);
    const char *line = capture_stop(&capture, &text);
    json_t *document = json_loads(line, 0, NULL);
    cr_assert_not_null(document, "%s", line);
    json_t *inner = json_object_get(document, "progress");
    cr_assert_eq(json_integer_value(json_object_get(inner, "bytes")), (json_int_t)(5 * MIB));
    cr_assert_eq(json_integer_value(json_object_get(inner, "total_bytes")), (json_int_t)(10 * MIB));
    json_decref(document);
}

Test(progress, quiet_is_quiet)
{
    struct output output = {.form = OUTPUT_JSON, .quiet = true};
    cr_assert_eq(progress_form_of(&output), PROGRESS_NONE);
}

Test(progress, what_a_run_does_not_count_is_not_called_0)
{
    struct progress progress;
    struct progress_sample copy = {.phase = "running", .sent_bytes = 713 * MIB, .stored_bytes = 703 * MIB};
    AUTO(buf) struct buf line = {0};
    progress_init(&progress, PROGRESS_LINES, 0, 0);
    progress_line(&progress, &copy, &line);
    cr_assert_str_eq(buf_cstr(&line), "running  sent 713.0 MiB  stored 703.0 MiB");
    buf_clear(&line);
    struct progress_sample check = {.phase = "running", .total_bytes = 10 * MIB};
    progress_line(&progress, &check, &line);
    cr_assert_str_eq(buf_cstr(&line), "running  0 B of 10.0 MiB (0%)");
}
