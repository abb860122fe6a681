#include "transporter/source/child.h"

#include "common/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_NOT_STARTED = 127 };

/* In the child: only what is safe between fork and exec. */
static void become(const struct child_request *request, int why_fd, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    if (request->end == CHILD_DIES_WITH_THREAD) (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(EXIT_NOT_STARTED); /* it died before that was said */
    bool ready = setpgid(0, request->group) == 0 && dup2(request->in, STDIN_FILENO) >= 0 &&
                 dup2(request->out, STDOUT_FILENO) >= 0 && dup2(request->err, STDERR_FILENO) >= 0 &&
                 close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) == 0 && chdir("/") == 0 &&
                 signal(SIGPIPE, SIG_DFL) != SIG_ERR && sigprocmask(SIG_SETMASK, &none, NULL) == 0;
    if (ready) (void)execve(request->argv[0], request->argv, request->environment);
    int why = errno;
    (void)!write(why_fd, &why, sizeof(why));
    _exit(EXIT_NOT_STARTED);
}

/* Nothing to read: it is being executed. */
static bool await_exec(const struct child_request *request, int why_fd, struct err *err)
{
    int why = 0;
    ssize_t got;
    do
        got = read(why_fd, &why, sizeof(why));
    while (got < 0 && errno == EINTR);
    if (got == 0) return true;
    if (got == (ssize_t)sizeof(why)) {
        (void)err_sys(err, why, "cannot execute '%s' of the %s", request->argv[0], request->what);
        err->code = ERR_FAILED;
        return false;
    }
    return err_set(err, ERR_FAILED, "the %s could not be started", request->what);
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

bool child_start(const struct child_request *request, pid_t *out, struct err *err)
{
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) != 0) return err_sys(err, errno, "cannot make a pipe");
    AUTO(fd) int why_read = pair[0], why = pair[1];
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) return err_sys(err, errno, "cannot start the %s", request->what);
    if (pid == 0) become(request, why, parent);
    auto_close_fd(why); /* else its end would never be seen */
    why = -1;
    if (!await_exec(request, why_read, err)) {
        reap(pid);
        return false;
    }
    *out = pid;
    return true;
}

bool child_pipe(enum pipe_way way, int *ours, int *its, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(err, errno, "cannot make a pipe");
    *ours = way == PIPE_FROM_CHILD ? ends[0] : ends[1];
    *its = way == PIPE_FROM_CHILD ? ends[1] : ends[0];
    int flags = fcntl(*ours, F_GETFL);
    if (flags >= 0 && fcntl(*ours, F_SETFL, flags | O_NONBLOCK) == 0) return true;
    return err_sys(err, errno, "cannot make a pipe");
}
