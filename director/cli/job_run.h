/* sealift job run, stop, history and log. */
#ifndef SEALIFT_CLI_JOB_RUN_H
#define SEALIFT_CLI_JOB_RUN_H

#include "director/cli/command.h"

command_fn job_run, job_stop, job_history, job_log;

#endif
