/* The tables of verbs, one of each file verb_*.c. */
#ifndef SEALIFT_CLI_VERBS_H
#define SEALIFT_CLI_VERBS_H

#include "director/cli/command.h"

extern const struct command operator_commands[];
extern const struct command transporter_commands[];
extern const struct command link_commands[];
extern const struct command repository_commands[];
extern const struct command key_commands[];
extern const struct command job_commands[];
extern const struct command point_commands[];
extern const struct command restore_commands[];
extern const struct command status_commands[];
extern const struct command offline_commands[];
extern const struct command care_commands[];
extern const struct command config_commands[];
extern const struct command attach_commands[];
extern const struct command sessions_commands[];
extern const struct command absent_commands[];

#endif
