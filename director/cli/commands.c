#include "director/cli/verbs.h"

const struct command *const command_tables[] = {
    absent_commands,
    NULL,
};
