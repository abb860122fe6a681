/* What every verb is given. One of it in the process; main thread. */
#ifndef SEALIFT_CLI_CLI_H
#define SEALIFT_CLI_CLI_H

#include "director/cli/command.h"
#include "director/cli/output.h"
#include "director/cli/secret_input.h"

enum {
    EXIT_DONE = 0,
    EXIT_WARNINGS = 1,
    EXIT_INTERRUPTED = 130,
};

struct cli {
    struct output output;
    char *state_dir;
    struct secret_source identity_password;
    int exit_code; /* of a verb that succeeds */

    /* made when first asked for: access.h */
    struct state *state;
    struct client *client;
    struct identity *identity;
};

#endif
