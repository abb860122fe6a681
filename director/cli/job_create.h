/* sealift job create. */
#ifndef SEALIFT_CLI_JOB_CREATE_H
#define SEALIFT_CLI_JOB_CREATE_H

#include "director/cli/command.h"

extern const struct option_spec job_create_options[];
command_fn job_create;

#endif
