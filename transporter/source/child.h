/* Starts a program as a child process: with the standard streams that it is given, nothing else inherited,
 * signals as programs expect them, in '/'. */
#ifndef SEALIFT_SOURCE_CHILD_H
#define SEALIFT_SOURCE_CHILD_H

#include "common/base/err.h"

#include <sys/types.h>

enum child_end {
    CHILD_STAYS,            /* when we die */
    CHILD_DIES_WITH_THREAD, /* by SIGKILL: the thread that starts it */
};

struct child_request {
    const char *what;         /* "stream 'db'": how errors call it */
    char *const *argv;        /* up to a NULL; argv[0] is the program's full path */
    char *const *environment; /* up to a NULL */
    int in, out, err;         /* become its standard streams */
    pid_t group;              /* the process group that it joins; 0: one of its own */
    enum child_end end;
};

/* Returns when it is being executed. Its id is the caller's to wait for. ERR_SYSTEM; ERR_FAILED: it cannot be
 * executed. */
bool child_start(const struct child_request *request, pid_t *out, struct err *err) MUST_CHECK;

/* A pipe of which one end is ours and does not block, the other for a child; both close-on-exec. */
enum pipe_way { PIPE_FROM_CHILD, PIPE_TO_CHILD };
bool child_pipe(enum pipe_way way, int *ours, int *its, struct err *err) MUST_CHECK;

#endif
