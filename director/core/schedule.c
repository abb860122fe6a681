#include "director/core/schedule.h"

#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

enum {
    HOUR_S = 3600,
    DAY_S = 86400,
    WEEK_S = 7 * DAY_S,
    MOST_DAYS = 366,
    WORDS_MAX = 3,
    FIRST_WEEKDAY = 4 /* 1970-01-01 was a Thursday, counted from Sunday */
};
#define NS_PER_S UINT64_C(1000000000)

static bool refuse(const char *text, struct err *err)
{
    return err_set(err, ERR_USAGE,
                   "'%s' is no schedule: hourly, daily [02:30], weekly [sun] [03:00], every 6h or none (UTC)",
                   text);
}

/* What the text leaves open, below `limit`. */
static uint64_t spread_over(const struct id *spread, uint64_t limit)
{
    struct hash hash = hash_of(span_of(spread->bytes, ID_LEN));
    return le64_get(hash.bytes) % limit;
}

static bool take_clock(const char *word, uint64_t *out_s)
{
    unsigned hour = 0, minute = 0;
    bool shaped = strlen(word) == 5 && word[2] == ':' && strspn(word, "0123456789:") == 5 &&
                  /* of two digits each: NOLINTNEXTLINE(cert-err34-c) */
                  sscanf(word, "%2u:%2u", &hour, &minute) == 2;
    if (!shaped || hour > 23 || minute > 59) return false;
    *out_s = (uint64_t)hour * HOUR_S + minute * 60;
    return true;
}

static bool take_weekday(const char *word, uint64_t *out_s)
{
    static const char *const names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    for (unsigned i = 0; i < 7; i++) {
        if (strcmp(word, names[i]) != 0) continue;
        *out_s = (uint64_t)((i + 7 - FIRST_WEEKDAY) % 7) * DAY_S;
        return true;
    }
    return false;
}

struct words {
    char text[SCHEDULE_TEXT_MAX + 1];
    const char *words[WORDS_MAX];
    size_t count;
};

static bool split(const char *text, struct words *out)
{
    char *rest = out->text;
    if (strlen(text) > SCHEDULE_TEXT_MAX) return false;
    (void)snprintf(out->text, sizeof(out->text), "%s", text);
    for (char *word = strtok_r(rest, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (out->count == WORDS_MAX) return false;
        out->words[out->count++] = word;
    }
    return out->count > 0;
}

static bool take_daily(const struct words *words, const struct id *spread, struct schedule *out)
{
    *out = (struct schedule){.period_s = DAY_S, .phase_s = spread_over(spread, DAY_S)};
    return words->count == 1 || (words->count == 2 && take_clock(words->words[1], &out->phase_s));
}

static bool take_weekly(const struct words *words, const struct id *spread, struct schedule *out)
{
    uint64_t day_s = spread_over(spread, WEEK_S) / DAY_S * DAY_S, clock_s = spread_over(spread, DAY_S);
    size_t at = 1;
    if (at < words->count && take_weekday(words->words[at], &day_s)) at++;
    if (at < words->count && take_clock(words->words[at], &clock_s)) at++;
    *out = (struct schedule){.period_s = WEEK_S, .phase_s = day_s + clock_s};
    return at == words->count;
}

static bool take_every(const struct words *words, const struct id *spread, struct schedule *out)
{
    uint64_t period_ms = 0;
    struct err ignored;
    if (words->count != 2 || !duration_parse(words->words[1], &period_ms, &ignored) || period_ms < 1000 ||
        period_ms % 1000 != 0 || period_ms / 1000 > (uint64_t)MOST_DAYS * DAY_S)
        return false;
    *out = (struct schedule){.period_s = period_ms / 1000, .phase_s = spread_over(spread, period_ms / 1000)};
    return true;
}

bool schedule_parse(const char *text, const struct id *spread, struct schedule *out, struct err *err)
{
    struct words words = {0};
    struct schedule schedule = {0};
    bool good = split(text, &words);
    const char *first = good ? words.words[0] : "";
    if (strcmp(first, "hourly") == 0) {
        schedule = (struct schedule){.period_s = HOUR_S, .phase_s = spread_over(spread, HOUR_S)};
        good = words.count == 1;
    } else if (strcmp(first, "daily") == 0) {
        good = take_daily(&words, spread, &schedule);
    } else if (strcmp(first, "weekly") == 0) {
        good = take_weekly(&words, spread, &schedule);
    } else if (strcmp(first, "every") == 0) {
        good = take_every(&words, spread, &schedule);
    } else {
        good = words.count == 1 && strcmp(first, "none") == 0;
    }
    if (!good) return refuse(text, err);
    *out = schedule;
    return true;
}

uint64_t schedule_next(const struct schedule *schedule, uint64_t now_ns)
{
    uint64_t period = schedule->period_s, now_s = now_ns / NS_PER_S;
    if (period == 0) return UINT64_MAX;
    uint64_t next_s = now_s / period * period + schedule->phase_s;
    if (next_s <= now_s) next_s += period;
    return next_s > UINT64_MAX / NS_PER_S ? UINT64_MAX : next_s * NS_PER_S;
}
