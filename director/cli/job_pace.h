/* How fast the runs of a job may send, and which of those that wait comes first: options, and how they are
 * shown. */
#ifndef SEALIFT_CLI_JOB_PACE_H
#define SEALIFT_CLI_JOB_PACE_H

#include "director/cli/args.h"
#include "director/cli/output.h"
#include "proto/statement.pb-c.h"

/* clang-format off: elements of an array of struct option_spec */
#define JOB_PACE_OPTIONS                                                                                     \
    {"bandwidth", "RULE",                                                                                    \
     "what its runs send in a second at most, as 20MiB, 5MiB@mon-fri 08:00-18:00, or unlimited (UTC)"},      \
    {                                                                                                        \
        "priority", "N", "1 (first) to 5, among runs that wait for a slot (default: 3)"                      \
    }
/* clang-format on */

/* What is not given stays as it is. The text is borrowed from `args`. ERR_USAGE. */
bool job_pace_read(const struct args *args, Sealift__JobBody *body, struct err *err) MUST_CHECK;
/* "bandwidth" (null: no limit of its own) and "priority" */
void job_pace_json(const Sealift__JobBody *body, json_t *object);

#endif
