#include "common/base/daemon.h"

#include "common/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

bool daemon_signals_open(struct daemon_signals *signals, struct err *err)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return err_sys(err, errno, "cannot block signals");
    (void)signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) return err_sys(err, errno, "cannot take signals");
    signals->fd = fd;
    return true;
}

void daemon_signals_close(struct daemon_signals *signals)
{
    auto_close_fd(signals->fd);
    signals->fd = -1;
}

static void reload(const struct daemon_signals *signals)
{
    struct err err = {0};
    enum log_level level = LOG_INFO;
    if (!signals->reload(signals->arg, signals->config, &level, &err)) {
        log_event(LOG_WARN, "reload_failed", "reason", err.text, "next", "the old settings stay", NULL);
        return;
    }
    log_init(signals->program, level);
    log_event(LOG_INFO, "reloaded", "what", signals->changes, NULL);
}

enum daemon_wish daemon_signals_take(void *signals)
{
    const struct daemon_signals *from = signals;
    enum daemon_wish wish = DAEMON_GO_ON;
    struct signalfd_siginfo info;
    while (read(from->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            reload(from);
        else
            wish = DAEMON_STOP;
    }
    if (wish == DAEMON_STOP) daemon_notify("STOPPING=1");
    return wish;
}

bool daemon_state_lock(const char *state_dir, int *fd, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/lock", state_dir);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
        *fd = lock;
        return true;
    }
    int sys = errno;
    (void)close(lock);
    if (sys != EWOULDBLOCK) return err_sys(err, sys, "cannot lock '%s'", path);
    return err_set(err, ERR_BUSY, "'%s' is in use by another process", state_dir);
}

bool daemon_clock_check(time_t now, struct err *err)
{
    const time_t first = 1735689600, last = 7258118400; /* 2025-01-01 and 2200-01-01 */
    struct tm date = {0};
    char text[32] = "another age";
    if (now >= first && now < last) return true;
    if (gmtime_r(&now, &date)) (void)strftime(text, sizeof(text), "%Y-%m-%d", &date);
    return err_set(err, ERR_FAILED, "the clock says %s: set it, then start again", text);
}

void daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) return;
    AUTO(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    size_t len = strlen(path);
    memcpy(address.sun_path, path, len);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    /* the length matters: of an abstract name every byte counts, also zeros behind it */
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (sendto(fd, state, strlen(state), 0, (const struct sockaddr *)&address, size) < 0)
        log_event(LOG_WARN, "not_notified", "reason", strerror(errno), NULL);
}
