#include "director/cli/verbs.h"

const struct command *const command_tables[] = {
    operator_commands, transporter_commands, link_commands,   repository_commands,
    key_commands,      job_commands,         point_commands,  restore_commands,
    status_commands,   offline_commands,     absent_commands, NULL,
};
