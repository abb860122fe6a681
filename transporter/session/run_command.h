/* Commands of this host's configuration as runs use them: what they write to standard error becomes a
 * warning, which is sealed to the operators. Private to run*.c; the run's thread. */
#ifndef SEALIFT_SESSION_RUN_COMMAND_H
#define SEALIFT_SESSION_RUN_COMMAND_H

#include "transporter/session/run_inside.h"
#include "transporter/source/command.h"

/* A command of a run, told by `what` ("stream 'db'"). */
struct run_command {
    struct run *run;
    char *what;
    struct command *command;
};

enum run_command_role { RUN_COMMAND_STREAM, RUN_COMMAND_RESTORE, RUN_COMMAND_BEFORE, RUN_COMMAND_AFTER };

/* `result` is what a script that runs afterwards is told of the run; else NULL. {0} after a failure. */
bool run_command_start(struct run *run, const struct policy_command *configured, enum run_command_role role,
                       const char *result, struct run_command *out, struct err *err) MUST_CHECK;
/* Ends it if it still runs, and warns of what it said. */
void run_command_deinit(struct run_command *command);
DEFINE_AUTO_IN_PLACE(run_command, struct run_command, run_command_deinit)

/* From start to end. `stopped` as in command.h. */
bool run_command_whole(struct run *run, const struct policy_command *configured, enum run_command_role role,
                       const char *result, const _Atomic bool *stopped, struct err *err) MUST_CHECK;

#endif
