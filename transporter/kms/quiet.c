#include "transporter/kms/quiet.h"

#include <pthread.h>
#include <time.h>

struct quiet quiet_begin(void)
{
    struct quiet quiet;
    sigset_t pipe;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &quiet.before);
    return quiet;
}

/* The signal, if there was one, is of this thread: it is taken before it can be delivered. */
void quiet_end(struct quiet *quiet)
{
    const struct timespec now = {0};
    sigset_t pipe;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    if (sigismember(&quiet->before, SIGPIPE) == 0) (void)sigtimedwait(&pipe, NULL, &now);
    (void)pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}
