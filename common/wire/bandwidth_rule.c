#include "common/wire/bandwidth_rule.h"

#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

enum {
    DAYS = 7,
    ALL_DAYS = (1 << DAYS) - 1,
    DAY_MIN = 24 * 60,
    FIRST_WEEKDAY = 4, /* 1970-01-01 was a Thursday, counted from Sunday */
    PART_MAX = 63,
};
#define MINUTE_NS (UINT64_C(60) * 1000000000)

static bool refuse(const char *text, struct err *err)
{
    return err_set(err, ERR_USAGE,
                   "'%s' is no bandwidth: a rate, as 20MiB or 20MiB/s (at least 16KiB) or unlimited, with a "
                   "time behind it "
                   "or none: '20MiB@mon-fri 08:00-18:00, 100MiB' (UTC)",
                   text);
}

/* The "/s" may be said. */
static bool take_rate(char *word, uint64_t *out)
{
    struct err ignored;
    if (strcmp(word, "unlimited") == 0) {
        *out = BANDWIDTH_UNLIMITED;
        return true;
    }
    uint64_t rate = 0;
    size_t len = strlen(word);
    if (len > 2 && strcmp(word + len - 2, "/s") == 0) word[len - 2] = '\0';
    if (!size_parse(word, &rate, &ignored) || rate < BANDWIDTH_LEAST || rate > BANDWIDTH_MOST) return false;
    *out = rate;
    return true;
}

/* "08:00-18:00" */
static bool take_clocks(const char *word, struct bandwidth_part *out)
{
    unsigned hours[2], minutes[2];
    static const char shape[] = "dd:dd-dd:dd";
    if (strlen(word) != strlen(shape)) return false;
    for (size_t i = 0; shape[i]; i++)
        if (shape[i] == 'd' ? word[i] < '0' || word[i] > '9' : word[i] != shape[i]) return false;
    /* of two digits each: NOLINTNEXTLINE(cert-err34-c) */
    if (sscanf(word, "%2u:%2u-%2u:%2u", &hours[0], &minutes[0], &hours[1], &minutes[1]) != 4) return false;
    if (hours[0] > 23 || hours[1] > 24 || minutes[0] > 59 || minutes[1] > 59) return false;
    unsigned to = hours[1] * 60 + minutes[1];
    if (to > DAY_MIN) return false;
    out->from_min = (uint16_t)(hours[0] * 60 + minutes[0]);
    out->to_min = (uint16_t)(to % DAY_MIN);
    return true;
}

static bool take_weekday(const char *word, unsigned *out)
{
    static const char *const names[DAYS] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    for (unsigned i = 0; i < DAYS; i++) {
        if (strncmp(word, names[i], 3) != 0) continue;
        *out = i;
        return true;
    }
    return false;
}

/* "sat", "mon-fri" */
static bool take_days(const char *word, uint8_t *out)
{
    unsigned first = 0, last = 0, days = 0;
    size_t len = strlen(word);
    if ((len != 3 && !(len == 7 && word[3] == '-')) || !take_weekday(word, &first)) return false;
    last = first;
    if (len == 7 && !take_weekday(word + 4, &last)) return false;
    for (unsigned day = first;; day = (day + 1) % DAYS) {
        days |= 1u << day;
        if (day == last) break;
    }
    *out = (uint8_t)days;
    return true;
}

static bool take_time(char *text, struct bandwidth_part *out)
{
    char *rest = text;
    const char *first = strtok_r(rest, " ", &rest), *second = strtok_r(NULL, " ", &rest);
    if (!first || strtok_r(NULL, " ", &rest)) return false;
    if (!second) return take_clocks(first, out) || take_days(first, &out->days);
    return take_days(first, &out->days) && take_clocks(second, out);
}

static bool take_part(const char *text, size_t len, struct bandwidth_part *out)
{
    char part[PART_MAX + 1];
    if (len > PART_MAX) return false;
    memcpy(part, text, len);
    part[len] = '\0';
    *out = (struct bandwidth_part){.days = ALL_DAYS};
    char *at = strchr(part, '@'), *rest = part;
    if (at) *at = '\0';
    char *rate = strtok_r(rest, " ", &rest);
    if (!rate || strtok_r(NULL, " ", &rest) || !take_rate(rate, &out->bytes_per_s)) return false;
    return !at || take_time(at + 1, out);
}

bool bandwidth_rule_parse(const char *text, struct bandwidth_rule *out, struct err *err)
{
    struct bandwidth_rule rule = {0};
    if (strlen(text) > BANDWIDTH_TEXT_MAX)
        return err_set(err, ERR_USAGE, "a bandwidth of more than %d characters", BANDWIDTH_TEXT_MAX);
    for (const char *part = text;; part++) {
        size_t len = strcspn(part, ",");
        if (rule.count == BANDWIDTH_PARTS_MAX || !take_part(part, len, &rule.parts[rule.count]))
            return refuse(text, err);
        rule.count++;
        part += len;
        if (!*part) break;
    }
    *out = rule;
    return true;
}

static bool holds(const struct bandwidth_part *part, unsigned day, unsigned minute)
{
    unsigned yesterday = (day + DAYS - 1) % DAYS;
    bool today = part->days >> day & 1, before = part->days >> yesterday & 1;
    if (part->from_min == part->to_min) return today;
    if (part->from_min < part->to_min) return today && minute >= part->from_min && minute < part->to_min;
    return (today && minute >= part->from_min) || (before && minute < part->to_min);
}

uint64_t bandwidth_rule_at(const struct bandwidth_rule *rule, uint64_t time_ns)
{
    uint64_t minutes = time_ns / MINUTE_NS;
    unsigned day = (unsigned)((minutes / DAY_MIN + FIRST_WEEKDAY) % DAYS);
    unsigned minute = (unsigned)(minutes % DAY_MIN);
    for (size_t i = 0; i < rule->count; i++)
        if (holds(&rule->parts[i], day, minute)) return rule->parts[i].bytes_per_s;
    return BANDWIDTH_UNLIMITED;
}
