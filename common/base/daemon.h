/* What a daemon does as a process: signals as a descriptor that its loop waits for, and telling systemd how
 * it stands. */
#ifndef SEALIFT_BASE_DAEMON_H
#define SEALIFT_BASE_DAEMON_H

#include "common/base/auto.h"
#include "common/base/err.h"
#include "common/base/log.h"

#include <time.h>

enum daemon_wish { DAEMON_GO_ON, DAEMON_STOP };

struct daemon_signals {
    const char *program; /* as in log_init */
    const char *config;  /* the file that SIGHUP reads again */
    /* Takes what the file says now of what may change while the daemon runs; `out` is its log level. */
    bool (*reload)(void *arg, const char *config, enum log_level *out, struct err *err);
    void *arg;
    const char *changes; /* what changes, for the log */
    int fd;              /* readable: call daemon_signals_take */
};

/* Blocks SIGTERM, SIGINT and SIGHUP and makes `fd` of them; ignores SIGPIPE. Call before any thread is made,
 * so that all of them have the signals blocked. */
bool daemon_signals_open(struct daemon_signals *signals, struct err *err) MUST_CHECK;
void daemon_signals_close(struct daemon_signals *signals);
DEFINE_AUTO_IN_PLACE(daemon_signals, struct daemon_signals, daemon_signals_close)

/* Empties `fd`. SIGTERM and SIGINT are DAEMON_STOP, of which systemd is told; SIGHUP reloads, or logs why
 * it cannot. `signals` is a struct daemon_signals (the loops call it by a pointer). */
enum daemon_wish daemon_signals_take(void *signals);

/* One process for each state directory: takes STATE/lock, which is held as long as `*fd` is open. ERR_BUSY.
 */
bool daemon_state_lock(const char *state_dir, int *fd, struct err *err) MUST_CHECK;

/* A clock that is obviously not set: what a daemon stamps and what it takes for expired would be wrong for
 * good. `now`: time(NULL). ERR_FAILED says what to do. */
bool daemon_clock_check(time_t now, struct err *err) MUST_CHECK;

/* systemd's sd_notify(3): "READY=1", "STOPPING=1". Nothing without $NOTIFY_SOCKET. */
void daemon_notify(const char *state);

#endif
