#include "common/base/daemon.h"
#include "scratch.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int reads;
static bool readable;

static bool level_of(void *arg, const char *config, enum log_level *out, struct err *err)
{
    (void)arg;
    reads++;
    if (!readable) return err_set(err, ERR_CONFIG, "%s:1: nonsense", config);
    *out = LOG_INFO;
    return true;
}

static bool is_due(const struct daemon_signals *signals)
{
    struct pollfd item = {.fd = signals->fd, .events = POLLIN};
    return poll(&item, 1, 0) == 1;
}

TestSuite(daemon, .timeout = 30);

Test(daemon, a_signal_to_stop_is_taken_once)
{
    static const int stops[] = {SIGTERM, SIGINT};
    struct err err = {0};
    AUTO(daemon_signals)
    struct daemon_signals signals = {
        .program = "p", .config = "c", .reload = level_of, .changes = "log_level", .fd = -1};
    cr_assert(daemon_signals_open(&signals, &err), "%s", err.text);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_not(is_due(&signals));
        cr_assert_eq(raise(stops[i]), 0);
        cr_assert(is_due(&signals));
        cr_assert_eq(daemon_signals_take(&signals), DAEMON_STOP);
        cr_assert_not(is_due(&signals), "a loop that goes on waiting would not sleep");
        cr_assert_eq(daemon_signals_take(&signals), DAEMON_GO_ON);
    }
    cr_assert_eq(raise(SIGPIPE), 0);
    cr_assert_eq(reads, 0);
}

Test(daemon, hangup_reads_the_configuration_again_and_goes_on)
{
    struct err err = {0};
    AUTO(daemon_signals)
    struct daemon_signals signals = {
        .program = "p", .config = "c", .reload = level_of, .changes = "log_level", .fd = -1};
    cr_assert(daemon_signals_open(&signals, &err), "%s", err.text);
    readable = true;
    cr_assert_eq(raise(SIGHUP), 0);
    cr_assert_eq(daemon_signals_take(&signals), DAEMON_GO_ON);
    readable = false;
    cr_assert_eq(raise(SIGHUP), 0);
    cr_assert_eq(raise(SIGTERM), 0);
    cr_assert_eq(daemon_signals_take(&signals), DAEMON_STOP);
    cr_assert_eq(reads, 2);
}

static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@') address.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, size), 0);
    return fd;
}

static void expect_told(const char *name)
{
    AUTO(fd) int fd = listen_at(name);
    char text[32] = "";
    cr_assert_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
    daemon_notify("READY=1");
    cr_assert_eq(recv(fd, text, sizeof(text), MSG_DONTWAIT), 7, "%s", name);
    cr_assert_str_eq(text, "READY=1");
}

Test(daemon, systemd_is_told_at_a_path_and_at_an_abstract_name)
{
    AUTO(scratch) struct scratch scratch = scratch_make();
    char path[sizeof(scratch.path) + 16], name[64];
    (void)snprintf(path, sizeof(path), "%s/notify", scratch.path);
    (void)snprintf(name, sizeof(name), "@sealift-daemon-test-%ld", (long)getpid());
    expect_told(path);
    expect_told(name);
    cr_assert_eq(unsetenv("NOTIFY_SOCKET"), 0);
    daemon_notify("READY=1");
    cr_assert_eq(setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1), 0);
    daemon_notify("READY=1");
}

Test(daemon, a_state_directory_has_one_process)
{
    struct err err = {0};
    AUTO(scratch) struct scratch scratch = scratch_make();
    char nowhere[sizeof(scratch.path) + 16];
    (void)snprintf(nowhere, sizeof(nowhere), "%s/nowhere", scratch.path);
    {
        AUTO(fd) int first = -1;
        int second = -1;
        cr_assert(daemon_state_lock(scratch.path, &first, &err), "%s", err.text);
        cr_assert_not(daemon_state_lock(scratch.path, &second, &err));
        cr_assert_eq(err.code, ERR_BUSY);
        cr_assert_eq(second, -1);
        cr_assert_not(daemon_state_lock(nowhere, &second, &err));
        cr_assert_eq(err.code, ERR_NOT_FOUND);
    }
    AUTO(fd) int third = -1;
    cr_assert(daemon_state_lock(scratch.path, &third, &err), "%s", err.text);
}

Test(daemon, a_clock_that_was_never_set_is_refused)
{
    struct err err = {0};
    cr_assert(daemon_clock_check(time(NULL), &err), "%s", err.text);
    cr_assert_not(daemon_clock_check(0, &err));
    cr_assert_eq(err.code, ERR_FAILED);
    cr_assert_str_eq(err.text, "the clock says 1970-01-01: set it, then start again");
    cr_assert_not(daemon_clock_check((time_t)1 << 40, &err));
    cr_assert_not(daemon_clock_check((time_t)1 << 60, &err));
    cr_assert_not(daemon_clock_check(-1, &err));
}
