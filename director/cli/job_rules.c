#include "director/cli/job_rules.h"

#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/time_word.h"
#include "director/core/schedule.h"

#include <inttypes.h>
#include <string.h>

enum { KEEP_MAX = 1000000 };

static bool read_retention(const struct args *args, Sealift__Retention *retention, struct err *err)
{
    const struct {
        const char *option;
        uint32_t *field;
    } rules[] = {
        {"keep-last", &retention->last},     {"keep-daily", &retention->daily},
        {"keep-weekly", &retention->weekly}, {"keep-monthly", &retention->monthly},
        {"keep-yearly", &retention->yearly},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        unsigned number = *rules[i].field;
        if (!args_number(args, rules[i].option, 0, KEEP_MAX, &number, err)) return false;
        *rules[i].field = number;
    }
    uint64_t age_ms = 0;
    const char *immutable = args_value(args, "immutable");
    if (!immutable) return true;
    if (!duration_parse(immutable, &age_ms, err)) return err_wrap(err, "--immutable");
    retention->immutable_s = age_ms / 1000;
    return true;
}

static bool says_something(const Sealift__Retention *retention)
{
    return retention->last || retention->daily || retention->weekly || retention->monthly ||
           retention->yearly || retention->immutable_s;
}

bool job_rules_read(const struct args *args, const struct id *job, Sealift__Retention *retention,
                    Sealift__JobBody *body, struct err *err)
{
    struct schedule schedule;
    Sealift__Retention rules = SEALIFT__RETENTION__INIT;
    const char *spec = args_value(args, "schedule");
    if (body->retention) rules = *body->retention;
    if (!read_retention(args, &rules, err)) return false;
    if (spec && !schedule_parse(spec, job, &schedule, err)) return err_wrap(err, "--schedule");
    *retention = rules;
    body->retention = says_something(retention) ? retention : NULL;
    if (spec) body->schedule = lent_text(spec);
    return true;
}

static json_t *retention_json(const Sealift__Retention *retention)
{
    if (!retention) return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "last", json_count(retention->last), "daily",
                     json_count(retention->daily), "weekly", json_count(retention->weekly), "monthly",
                     json_count(retention->monthly), "yearly", json_count(retention->yearly), "immutable_s",
                     json_count(retention->immutable_s));
}

json_t *job_rules_keep_words(const Sealift__JobBody *body)
{
    const Sealift__Retention *retention = body->retention;
    AUTO(buf) struct buf words = {0};
    if (!retention) return json_string("every point");
    const struct {
        const char *what;
        uint64_t count;
    } rules[] = {{"last", retention->last},
                 {"daily", retention->daily},
                 {"weekly", retention->weekly},
                 {"monthly", retention->monthly},
                 {"yearly", retention->yearly}};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (rules[i].count > 0)
            buf_printf(&words, "%s%s %" PRIu64, words.len ? ", " : "", rules[i].what, rules[i].count);
    if (retention->immutable_s > 0) {
        char age[24];
        time_word_age((uint64_t)retention->immutable_s * 1000000000, age);
        buf_printf(&words, "%simmutable for %s", words.len ? ", " : "", age);
    }
    return json_string(words.len ? buf_cstr(&words) : "every point");
}

bool job_rules_is_started(const Sealift__JobBody *body)
{
    return body->schedule[0] && strcmp(body->schedule, "none") != 0;
}

void job_rules_json(const Sealift__JobBody *body, json_t *object)
{
    (void)json_object_set_new(object, "schedule",
                              body->schedule[0] ? json_string(body->schedule) : json_null());
    (void)json_object_set_new(object, "keep", retention_json(body->retention));
}
