#include "transporter/core/retention.h"

#include "common/base/alloc.h"
#include "common/base/auto.h"

#include <stdlib.h>

enum { SECONDS_A_DAY = 86400 };
#define NS_PER_S UINT64_C(1000000000)

struct retention_floor retention_stricter(const struct retention_floor *a, const struct retention_floor *b)
{
    return (struct retention_floor){
        .keep_least = a->keep_least > b->keep_least ? a->keep_least : b->keep_least,
        .keep_age_s = a->keep_age_s > b->keep_age_s ? a->keep_age_s : b->keep_age_s};
}

const char *retention_reason_text(enum retention_reason reason)
{
    static const char *const texts[] = {
        [RETENTION_REMOVE] = "remove",      [RETENTION_KEEP_NEWEST] = "newest",
        [RETENTION_KEEP_HELD] = "held",     [RETENTION_KEEP_IMMUTABLE] = "immutable",
        [RETENTION_KEEP_LEAST] = "least",   [RETENTION_KEEP_AGE] = "age",
        [RETENTION_KEEP_LAST] = "last",     [RETENTION_KEEP_DAILY] = "daily",
        [RETENTION_KEEP_WEEKLY] = "weekly", [RETENTION_KEEP_MONTHLY] = "monthly",
        [RETENTION_KEEP_YEARLY] = "yearly", [RETENTION_KEEP_ALL] = "all",
    };
    return texts[reason];
}

/* --- periods, as numbers that differ where the periods do (UTC) --- */

static uint64_t day_of(uint64_t time_ns)
{
    return time_ns / NS_PER_S / SECONDS_A_DAY;
}

/* ISO weeks begin on Monday; day 0, 1970-01-01, was a Thursday. */
static uint64_t week_of(uint64_t time_ns)
{
    return (day_of(time_ns) + 3) / 7;
}

/* Months since March of year 0 of the proleptic Gregorian calendar: H. Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms", civil_from_days. */
static uint64_t month_of(uint64_t time_ns)
{
    uint64_t days = day_of(time_ns) + 719468; /* since 0000-03-01 */
    uint64_t era = days / 146097;
    uint64_t day = days % 146097;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    uint64_t day_of_year = day - (365 * year + year / 4 - year / 100);
    return (era * 400 + year) * 12 + (5 * day_of_year + 2) / 153;
}

/* Counted from January, which is the tenth month after March. */
static uint64_t year_of(uint64_t time_ns)
{
    return (month_of(time_ns) + 2) / 12;
}

/* --- rules --- */

static bool is_younger(const struct retention_point *point, uint64_t now_ns, uint64_t age_s)
{
    uint64_t age_ns = now_ns > point->time_ns ? now_ns - point->time_ns : 0;
    return age_ns / NS_PER_S < age_s;
}

static void keep(enum retention_reason *out, enum retention_reason reason)
{
    if (*out == RETENTION_REMOVE) *out = reason;
}

static void keep_last(const struct retention_point *points, size_t count, uint32_t last,
                      enum retention_reason reason, enum retention_reason *out)
{
    for (size_t i = count; i > 0 && count - i < last; i--)
        keep(&out[i - 1], reason);
}

/* The newest point of each of the newest `periods` periods that have one. */
static void keep_periods(const struct retention_point *points, size_t count, uint32_t periods,
                         uint64_t (*period_of)(uint64_t time_ns), enum retention_reason reason,
                         enum retention_reason *out)
{
    uint64_t last = UINT64_MAX;
    for (size_t i = count; i > 0 && periods > 0; i--) {
        uint64_t period = period_of(points[i - 1].time_ns);
        if (period == last) continue;
        last = period;
        periods--;
        keep(&out[i - 1], reason);
    }
}

static bool has_no_rule(const struct retention *rule)
{
    return !rule->last && !rule->daily && !rule->weekly && !rule->monthly && !rule->yearly;
}

/* What no rule and no order removes. */
static enum retention_reason protection_of(const struct retention_point *point, const struct retention *rule,
                                           const struct retention_floor *floor, uint64_t now_ns)
{
    if (point->hold == RETENTION_HELD) return RETENTION_KEEP_HELD;
    if (is_younger(point, now_ns, rule->immutable_s)) return RETENTION_KEEP_IMMUTABLE;
    if (is_younger(point, now_ns, floor->keep_age_s)) return RETENTION_KEEP_AGE;
    return RETENTION_REMOVE;
}

static void judge_protection(const struct retention_point *points, size_t count, const struct retention *rule,
                             const struct retention_floor *floor, uint64_t now_ns, enum retention_reason *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = i + 1 == count ? RETENTION_KEEP_NEWEST : protection_of(&points[i], rule, floor, now_ns);
        bool among_least = count - i <= floor->keep_least;
        if (among_least && (out[i] == RETENTION_REMOVE || out[i] == RETENTION_KEEP_AGE))
            out[i] = RETENTION_KEEP_LEAST;
    }
}

/* Points that are counted together. */
static void judge_together(const struct retention_point *points, size_t count, const struct retention *rule,
                           const struct retention_floor *floor, uint64_t now_ns, enum retention_reason *out)
{
    judge_protection(points, count, rule, floor, now_ns, out);
    if (has_no_rule(rule)) keep_last(points, count, UINT32_MAX, RETENTION_KEEP_ALL, out);
    keep_last(points, count, rule->last, RETENTION_KEEP_LAST, out);
    keep_periods(points, count, rule->daily, day_of, RETENTION_KEEP_DAILY, out);
    keep_periods(points, count, rule->weekly, week_of, RETENTION_KEEP_WEEKLY, out);
    keep_periods(points, count, rule->monthly, month_of, RETENTION_KEEP_MONTHLY, out);
    keep_periods(points, count, rule->yearly, year_of, RETENTION_KEEP_YEARLY, out);
}

/* --- lines --- */

/* Of the points of one line and its heir: which they are, and what becomes of them. */
struct gathered {
    struct retention_point *points;
    size_t *at;
    enum retention_reason *reasons;
    size_t count;
};

static void gathered_deinit(struct gathered *gathered)
{
    free(gathered->points);
    free(gathered->at);
    free(gathered->reasons);
}
DEFINE_AUTO_IN_PLACE(gathered, struct gathered, gathered_deinit)

static void gather(const struct retention_point *points, size_t count, uint32_t line, uint32_t heir,
                   struct gathered *out)
{
    out->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (points[i].line != line && points[i].line != heir) continue;
        out->points[out->count] = points[i];
        out->at[out->count++] = i;
    }
}

void retention_judge(const struct retention_point *points, size_t count, const struct retention *rule,
                     const struct retention_floor *floor, uint64_t now_ns, enum retention_reason *out)
{
    AUTO(gathered)
    struct gathered together = {.points = xcalloc(count + 1, sizeof(*together.points)),
                                .at = xcalloc(count + 1, sizeof(*together.at)),
                                .reasons = xcalloc(count + 1, sizeof(*together.reasons))};
    AUTO(free) bool *judged = xcalloc(count + 1, sizeof(*judged));
    for (size_t first = 0; first < count; first++) {
        uint32_t line = points[first].line;
        if (judged[first]) continue;
        gather(points, count, line, points[first].heir, &together);
        judge_together(together.points, together.count, rule, floor, now_ns, together.reasons);
        for (size_t i = 0; i < together.count; i++) {
            if (together.points[i].line != line) continue;
            out[together.at[i]] = together.reasons[i];
            judged[together.at[i]] = true;
        }
    }
}

bool retention_may_delete(const struct retention_point *points, size_t count, size_t at,
                          const struct retention *rule, const struct retention_floor *floor, uint64_t now_ns,
                          struct err *err)
{
    switch (protection_of(&points[at], rule, floor, now_ns)) {
    case RETENTION_KEEP_HELD:
        return err_set(err, ERR_POLICY, "the point is held: release it first");
    case RETENTION_KEEP_IMMUTABLE:
        return err_set(err, ERR_POLICY, "the point is immutable: its job keeps points for %llu seconds",
                       (unsigned long long)rule->immutable_s);
    case RETENTION_KEEP_AGE:
        return err_set(err, ERR_POLICY, "the repository keeps every point for %llu seconds",
                       (unsigned long long)floor->keep_age_s);
    default:
        break;
    }
    if (count <= 1) return err_set(err, ERR_POLICY, "it is the last point of its job");
    if (count <= floor->keep_least)
        return err_set(err, ERR_POLICY, "the repository keeps at least %u points of each job",
                       floor->keep_least);
    return true;
}
