/* When a job is started by the director and which of its points are kept: options, and how they are shown. */
#ifndef SEALIFT_CLI_JOB_RULES_H
#define SEALIFT_CLI_JOB_RULES_H

#include "common/crypto/hash.h"
#include "director/cli/args.h"
#include "director/cli/output.h"
#include "proto/statement.pb-c.h"

/* clang-format off: elements of an array of struct option_spec */
#define JOB_RULES_OPTIONS                                                                                    \
    {"keep-last", "N", "how many newest points 'job prune' keeps (0: no such rule)"},                        \
        {"keep-daily", "N", "one a day, for so many days"}, {"keep-weekly", "N", "the same for weeks"},      \
        {"keep-monthly", "N", "the same for months"}, {"keep-yearly", "N", "the same for years"},            \
        {"immutable", "TIME", "a younger point is not removed by anybody, as 30d; it is never shortened"},   \
    {                                                                                                        \
        "schedule", "SPEC",                                                                                  \
            "the director starts it: hourly, daily [02:30], weekly [sun] [03:00], every 6h, or none (UTC; "  \
            "default: nobody does)"                                                                          \
    }
/* clang-format on */

/* What is not given stays as it is. `retention` holds what the body then refers to; texts are borrowed from
 * `args`. ERR_USAGE, ERR_CONFIG. */
bool job_rules_read(const struct args *args, const struct id *job, Sealift__Retention *retention,
                    Sealift__JobBody *body, struct err *err) MUST_CHECK;
/* Whether a schedule starts the job: there is one, and it is not "none". */
bool job_rules_is_started(const Sealift__JobBody *body);
/* "schedule" and "keep"; null: nobody starts it, every point is kept. */
void job_rules_json(const Sealift__JobBody *body, json_t *object);
/* The retention for people. A new reference. */
json_t *job_rules_keep_words(const Sealift__JobBody *body);

#endif
