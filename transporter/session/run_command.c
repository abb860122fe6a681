#include "transporter/session/run_command.h"

#include "common/base/alloc.h"
#include "common/base/text.h"

#include <stdlib.h>

static const struct role {
    const char *noun;
    enum command_use use;
} roles[] = {
    [RUN_COMMAND_STREAM] = {"stream", COMMAND_READ},
    [RUN_COMMAND_RESTORE] = {"restore command of the stream", COMMAND_WRITE},
    [RUN_COMMAND_BEFORE] = {"script before the run", COMMAND_ALONE},
    [RUN_COMMAND_AFTER] = {"script after the run", COMMAND_ALONE},
};

/* Restores and the like are no job's. */
static char *job_variable(const struct run *run)
{
    bool job = run->subject_type == SEALIFT__STATEMENT_TYPE__STATEMENT_JOB;
    return xasprintf("SEALIFT_JOB=%s", job ? run_job(run)->name : "");
}

bool run_command_start(struct run *run, const struct policy_command *configured, enum run_command_role role,
                       const char *result, struct run_command *out, struct err *err)
{
    char hex[2 * ID_LEN + 1];
    hex_encode(run->id.bytes, ID_LEN, hex);
    AUTO(free) char *job = job_variable(run);
    AUTO(free) char *id = xasprintf("SEALIFT_RUN=%s", hex);
    AUTO(free) char *outcome = xasprintf("SEALIFT_RESULT=%s", result ? result : "");
    AUTO(free) char *what = xasprintf("%s '%s'", roles[role].noun, configured->name);
    const char *const environment[] = {job, id, result ? outcome : NULL, NULL};
    struct command_request request = {
        .what = what,
        .argv = role == RUN_COMMAND_RESTORE ? configured->restore : configured->argv,
        .environment = environment,
        .timeout_ms = configured->timeout_ms,
        .use = roles[role].use,
    };
    struct command *command = NULL;
    if (!command_start(&request, &command, err)) return false;
    *out = (struct run_command){.run = run, .what = what, .command = command};
    what = NULL;
    return true;
}

static void tell_words(struct run_command *command)
{
    const char *words = command_words(command->command);
    if (words[0] == '\0') return;
    struct err said = {0};
    (void)err_set(&said, ERR_FAILED, "the %s said: %s", command->what, words);
    run_warn(command->run, span_of(NULL, 0), &said);
}

void run_command_deinit(struct run_command *command)
{
    if (command->command) tell_words(command);
    command_free(command->command);
    free(command->what);
    *command = (struct run_command){0};
}

bool run_command_whole(struct run *run, const struct policy_command *configured, enum run_command_role role,
                       const char *result, const _Atomic bool *stopped, struct err *err)
{
    AUTO(run_command) struct run_command command = {0};
    return run_command_start(run, configured, role, result, &command, err) &&
           command_finish(command.command, stopped, err);
}
