/* The table of all commands, noun by noun. */
#include "director/cli/verbs.h"

/* clang-format off: one a line */
const struct command *const command_tables[] = {
    operator_commands, transporter_commands,
    link_commands,     repository_commands,
    key_commands,      job_commands,
    point_commands,    restore_commands,
    offline_commands,  status_commands,
    care_commands,     config_commands,
    attach_commands,   sessions_commands,
    absent_commands,   NULL,
};
