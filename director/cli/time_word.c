#include "director/cli/time_word.h"

#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

/* Do the digits and separators stand as in the picture, in which 'd' is a digit? */
static bool looks_like(const char *text, const char *picture)
{
    for (; *picture; text++, picture++)
        if (*picture == 'd' ? *text < '0' || *text > '9' : *text != *picture) return false;
    return *text == '\0';
}

static unsigned number_at(const char *text, size_t at, size_t digits)
{
    unsigned value = 0;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned)(text[at + i] - '0');
    return value;
}

bool time_word_is_date(const char *text)
{
    return looks_like(text, "dddd-dd-dd");
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool to_ns(const char *text, bool timed, bool seconds, uint64_t *out)
{
    unsigned year = number_at(text, 0, 4), month = number_at(text, 5, 2), day = number_at(text, 8, 2);
    unsigned hour = timed ? number_at(text, 11, 2) : 0, minute = timed ? number_at(text, 14, 2) : 0;
    unsigned second = seconds ? number_at(text, 17, 2) : 0;
    if (year < 1970 || year > 2500 || month < 1 || month > 12 || day < 1 || day > days_in(year, month))
        return false;
    if (hour > 23 || minute > 59 || second > 59) return false;
    uint64_t days = day - 1;
    for (unsigned y = 1970; y < year; y++)
        days += days_in(y, 2) == 29 ? 366 : 365;
    for (unsigned m = 1; m < month; m++)
        days += days_in(year, m);
    *out = (((days * 24 + hour) * 60 + minute) * 60 + second) * UINT64_C(1000000000);
    return true;
}

bool time_word_parse(const char *text, uint64_t now_ns, uint64_t *out_ns, struct err *err)
{
    static const struct {
        const char *picture;
        bool timed, seconds;
    } forms[] = {
        {"dddd-dd-dd", false, false},        {"dddd-dd-ddZ", false, false},
        {"dddd-dd-ddTdd:dd", true, false},   {"dddd-dd-ddTdd:ddZ", true, false},
        {"dddd-dd-ddTdd:dd:dd", true, true}, {"dddd-dd-ddTdd:dd:ddZ", true, true},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (!looks_like(text, forms[i].picture)) continue;
        if (to_ns(text, forms[i].timed, forms[i].seconds, out_ns)) return true;
        return err_set(err, ERR_USAGE, "'%s' is no day of the calendar", text);
    }
    uint64_t ago_ms = 0;
    struct err ignored = {0};
    if (!duration_parse(text, &ago_ms, &ignored) || ago_ms > now_ns / 1000000)
        return err_set(err, ERR_USAGE, "'%s' is no time: 2026-11-20, 2026-11-20T03:00 (UTC) or an age as 12h",
                       text);
    *out_ns = now_ns - ago_ms * 1000000;
    return true;
}

void time_word_age(uint64_t age_ns, char out[static 24])
{
    static const struct {
        uint64_t seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    uint64_t seconds = age_ns / 1000000000;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (seconds >= 2 * units[i].seconds || units[i].seconds == 1) {
            (void)snprintf(out, 24, "%llu %s", (unsigned long long)(seconds / units[i].seconds),
                           units[i].unit);
            return;
        }
}
