/* sealift job edit. */
#ifndef SEALIFT_CLI_JOB_EDIT_H
#define SEALIFT_CLI_JOB_EDIT_H

#include "director/cli/command.h"

extern const struct option_spec job_edit_options[];
command_fn job_edit;

#endif
