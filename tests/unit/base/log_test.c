#include "common/base/log.h"

#include "capture.h"

#include <criterion/criterion.h>

static void expect_line(const char *value, const char *written)
{
    AUTO(buf) struct buf text = {0};
    AUTO(buf) struct buf wanted = {0};
    struct capture capture = capture_start();
    log_event(LOG_WARN, "seen", "value", value, "next", "retry", NULL);
    const char *line = capture_stop(&capture, &text);
    buf_printf(&wanted, "level=warn program=sealift-test event=seen value=%s next=retry\n", written);
    cr_assert_str_eq(line, buf_cstr(&wanted));
}

Test(log, a_line_is_level_program_event_and_pairs)
{
    log_init("sealift-test", LOG_INFO);
    expect_line("12", "12");
}

Test(log, values_cannot_forge_a_pair_or_a_line)
{
    static const struct {
        const char *value;
        const char *written;
    } rows[] = {
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"x\nlevel=error", "\"x\\nlevel=error\""},
        {"tab\there", "\"tab\\there\""},
        {"q\"q", "\"q\\\"q\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"\x1b[31m", "\"\\x1b[31m\""},
        {"del\x7f", "\"del\\x7f\""},
        {"c1\xc2\x9b", "\"c1\\xc2\x9b\""},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
    };
    log_init("sealift-test", LOG_INFO);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        expect_line(rows[i].value, rows[i].written);
}

Test(log, lines_below_the_level_are_dropped)
{
    AUTO(buf) struct buf text = {0};
    log_init("sealift-test", LOG_WARN);
    struct capture capture = capture_start();
    log_event(LOG_DEBUG, "dropped", NULL);
    log_event(LOG_INFO, "dropped", NULL);
    log_event(LOG_ERROR, "kept", NULL);
    cr_assert_str_eq(capture_stop(&capture, &text), "level=error program=sealift-test event=kept\n");
}

Test(log, a_closed_stderr_is_no_failure)
{
    struct capture capture = capture_start();
    (void)close(STDERR_FILENO);
    log_event(LOG_ERROR, "unseen", NULL);
    AUTO(buf) struct buf text = {0};
    cr_assert_str_empty(capture_stop(&capture, &text));
}
