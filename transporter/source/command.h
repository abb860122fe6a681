/* A command of this host's own configuration being executed: its output read, or its input written. No
 * shell; a minimal environment; standard streams and nothing else inherited; a process group of its own,
 * which ends as a whole when the command is given up, and also when this process is killed. One thread at a
 * time, the one that started it: the command dies with that thread. */
#ifndef SEALIFT_SOURCE_COMMAND_H
#define SEALIFT_SOURCE_COMMAND_H

#include "common/base/auto.h"
#include "common/base/bytes.h"
#include "common/base/err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum command_use {
    COMMAND_READ,  /* its standard output is a pipe to us */
    COMMAND_WRITE, /* its standard input is a pipe from us */
    COMMAND_ALONE, /* neither */
};

struct command_request {
    const char *what;               /* "stream 'db'": how errors call it */
    char *const *argv;              /* up to a NULL; argv[0] is the program's full path */
    const char *const *environment; /* further NAME=value, up to a NULL; NULL: none */
    uint64_t timeout_ms;
    enum command_use use;
};

struct command;

/* ERR_SYSTEM; ERR_FAILED: the program cannot be executed. */
bool command_start(const struct command_request *request, struct command **out, struct err *err) MUST_CHECK;
/* Ends it if it still runs: SIGTERM to its group, SIGKILL a moment later. A pipe to it stays open until
 * then, so that it never takes a broken-off input for a whole one. */
void command_free(struct command *command);
DEFINE_AUTO(command, struct command *, command_free)

/* `stopped`, which may be NULL: when it becomes true, ERR_CANCELLED. After the time limit: ERR_FAILED. After
 * a failure only command_free and command_words are allowed. */

/* *got = 0: it has closed its output. ERR_FAILED at once when it has failed. */
bool command_read(struct command *command, const _Atomic bool *stopped, uint8_t *out, size_t room,
                  size_t *got, struct err *err) MUST_CHECK;
/* ERR_FAILED when it closed its input before the end. */
bool command_write(struct command *command, const _Atomic bool *stopped, struct span bytes,
                   struct err *err) MUST_CHECK;
/* Closes its input and waits until it ends. ERR_FAILED unless it exits with 0: the text names the status,
 * and the last line that it wrote to standard error. */
bool command_finish(struct command *command, const _Atomic bool *stopped, struct err *err) MUST_CHECK;

/* The last lines of its standard error so far, printable text; empty if it wrote none. */
const char *command_words(struct command *command);

#endif
