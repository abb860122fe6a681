/* sealift job run, stop, history and log. */
#ifndef SEALIFT_CLI_JOB_RUN_H
#define SEALIFT_CLI_JOB_RUN_H

#include "director/cli/command.h"

command_fn job_run, job_stop, job_history, job_log;
/* job_run of the job with this name, with its options --wait and --stats. */
bool job_run_named(struct cli *cli, const struct args *args, const char *name, struct err *err) MUST_CHECK;

#endif
