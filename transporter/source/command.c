#include "transporter/source/command.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/source/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOOK_MS = 100,       /* between two looks at `stopped` */
    GRACE_MS = 2000,     /* between SIGTERM and SIGKILL */
    WORDS_KEPT = 2048,   /* of standard error */
    WORDS_MOST = 400,    /* of it in a text */
    STEP = 4096,         /* read of standard error at a time */
    PASSWD_ROOM = 16384, /* for an entry of the user database */
};

struct command {
    char *what;
    enum command_use use;
    uint64_t timeout_ms, until_ms;
    pid_t group; /* and who leads and guards it */
    int life;    /* the guard ends the group when this is closed: when we die */
    pid_t pid;
    int ended_fd; /* readable once it has ended */
    int data;     /* our end of its output or input */
    int errors;   /* of its standard error */
    bool ended;
    bool finished;
    siginfo_t how;
    struct buf heard; /* the end of what it wrote to standard error */
    char words[WORDS_MOST + 1];
};

static void close_end(int *fd)
{
    auto_close_fd(*fd);
    *fd = -1;
}

/* --- what it says --- */

static void hear(struct command *command, const uint8_t *bytes, size_t len)
{
    struct buf *heard = &command->heard;
    buf_put(heard, bytes, len);
    if (heard->len <= WORDS_KEPT) return;
    memmove(heard->data, heard->data + heard->len - WORDS_KEPT, WORDS_KEPT);
    heard->len = WORDS_KEPT;
}

/* All that is there now. */
static void listen_to(struct command *command)
{
    uint8_t bytes[STEP];
    while (command->errors >= 0) {
        ssize_t got = read(command->errors, bytes, sizeof(bytes));
        if (got > 0)
            hear(command, bytes, (size_t)got);
        else if (got < 0 && errno == EINTR)
            continue;
        else if (got < 0 && errno == EAGAIN)
            return;
        else
            close_end(&command->errors);
    }
}

static bool is_end_of_line(uint8_t byte)
{
    return byte == '\n' || byte == '\r';
}

static struct span without_end(struct span text)
{
    while (text.len > 0 && (is_end_of_line(text.data[text.len - 1]) || text.data[text.len - 1] == ' '))
        text.len--;
    return text;
}

/* Lines are told apart by bars, and nothing in them moves a terminal's cursor. */
static void make_words(struct command *command, struct span text)
{
    text = without_end(text);
    if (text.len > WORDS_MOST) text = span_of(text.data + text.len - WORDS_MOST, WORDS_MOST);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        bool plain = byte >= ' ' && byte != 0x7f;
        command->words[i] = (char)(plain ? byte : is_end_of_line(byte) ? '|' : '?');
    }
    command->words[text.len] = '\0';
}

const char *command_words(struct command *command)
{
    listen_to(command);
    make_words(command, buf_span(&command->heard));
    return command->words;
}

static const char *last_line(struct command *command)
{
    listen_to(command);
    struct span text = without_end(buf_span(&command->heard));
    size_t start = text.len;
    while (start > 0 && !is_end_of_line(text.data[start - 1]))
        start--;
    make_words(command, span_of(text.data + start, text.len - start));
    return command->words;
}

/* --- how it ended --- */

static bool has_failed(const struct command *command)
{
    return command->ended && !(command->how.si_code == CLD_EXITED && command->how.si_status == 0);
}

static bool tell_failure(struct command *command, struct err *err)
{
    const char *line = last_line(command);
    const char *colon = line[0] ? ": " : "";
    int status = command->how.si_status;
    if (command->how.si_code == CLD_EXITED)
        return err_set(err, ERR_FAILED, "the %s failed with exit status %d%s%s", command->what, status, colon,
                       line);
    return err_set(err, ERR_FAILED, "the %s was ended by signal %d%s%s", command->what, status, colon, line);
}

static bool learn_end(struct command *command, struct err *err)
{
    siginfo_t how = {0};
    if (waitid(P_PID, (id_t)command->pid, &how, WEXITED | WNOHANG | WNOWAIT) != 0)
        return err_sys(err, errno, "cannot tell how the %s ended", command->what);
    command->ended = how.si_pid == command->pid;
    if (command->ended) command->how = how;
    return true;
}

static bool may_go_on(const struct command *command, const _Atomic bool *stopped, uint64_t now_ms,
                      struct err *err)
{
    if (stopped && atomic_load(stopped)) return err_set(err, ERR_CANCELLED, "cancelled");
    if (now_ms < command->until_ms) return true;
    return err_set(err, ERR_FAILED, "the %s took longer than its time limit of %llu s", command->what,
                   (unsigned long long)(command->timeout_ms / 1000));
}

/* Waits for the descriptor, or with -1 for the end; what it says is heard meanwhile. */
static bool await(struct command *command, int fd, short events, const _Atomic bool *stopped, struct err *err)
{
    for (;;) {
        uint64_t now_ms = clock_steady_ms();
        if (!may_go_on(command, stopped, now_ms, err)) return false;
        uint64_t left_ms = command->until_ms - now_ms;
        struct pollfd watched[] = {
            {.fd = fd, .events = events},
            {.fd = command->errors, .events = POLLIN},
            {.fd = command->ended ? -1 : command->ended_fd, .events = POLLIN},
        };
        if (poll(watched, 3, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS) < 0 && errno != EINTR)
            return err_sys(err, errno, "cannot wait for the %s", command->what);
        if (watched[1].revents) listen_to(command);
        if (watched[2].revents && !learn_end(command, err)) return false;
        if (has_failed(command)) return tell_failure(command, err);
        if (fd >= 0 ? watched[0].revents != 0 : command->ended) return true;
    }
}

/* --- starting --- */

struct texts {
    char **items;
    size_t count;
};

static void texts_deinit(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->items[i]);
    free(texts->items);
}
DEFINE_AUTO_IN_PLACE(texts, struct texts, texts_deinit)

static void texts_add(struct texts *texts, char *text)
{
    texts->items = xreallocarray(texts->items, texts->count + 2, sizeof(char *));
    texts->items[texts->count++] = text;
    texts->items[texts->count] = NULL;
}

/* Enough to find programs and a home: nothing of the daemon's own environment. */
static void make_environment(const struct command_request *request, struct texts *out)
{
    AUTO(free) char *room = xmalloc(PASSWD_ROOM);
    struct passwd entry, *user = NULL;
    texts_add(out, xstrdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    texts_add(out, xstrdup("LANG=C.UTF-8"));
    if (getpwuid_r(geteuid(), &entry, room, PASSWD_ROOM, &user) == 0 && user) {
        texts_add(out, xasprintf("HOME=%s", user->pw_dir));
        texts_add(out, xasprintf("USER=%s", user->pw_name));
        texts_add(out, xasprintf("LOGNAME=%s", user->pw_name));
    }
    for (const char *const *at = request->environment; at && *at; at++)
        texts_add(out, xstrdup(*at));
}

/* A shell that waits for the end of a pipe that only this process holds: then it is dead, and the group is
 * ended, with all that the command has started. It leads the group, whose number is nobody else's while it is
 * there. */
static bool start_guard(struct command *command, int null, struct err *err)
{
    static char shell[] = "/bin/sh", option[] = "-c",
                script[] = "trap '' TERM HUP INT; read -r end; kill -s KILL -- -$$";
    char *const argv[] = {shell, option, script, NULL};
    char *const environment[] = {NULL};
    AUTO(fd) int end = -1;
    AUTO(free) char *what = xasprintf("guard of the %s", command->what);
    if (!child_pipe(PIPE_TO_CHILD, &command->life, &end, err)) return false;
    const struct child_request request = {.what = what,
                                          .argv = argv,
                                          .environment = environment,
                                          .in = end,
                                          .out = null,
                                          .err = null,
                                          .end = CHILD_STAYS};
    return child_start(&request, &command->group, err);
}

static bool start_child(struct command *command, const struct command_request *request, int data, int null,
                        struct err *err)
{
    AUTO(fd) int errors = -1;
    AUTO(texts) struct texts environment = {0};
    make_environment(request, &environment);
    if (!child_pipe(PIPE_FROM_CHILD, &command->errors, &errors, err)) return false;
    const struct child_request child = {.what = request->what,
                                        .argv = request->argv,
                                        .environment = environment.items,
                                        .in = request->use == COMMAND_WRITE ? data : null,
                                        .out = request->use == COMMAND_READ ? data : null,
                                        .err = errors,
                                        .group = command->group,
                                        .end = CHILD_DIES_WITH_THREAD};
    if (!child_start(&child, &command->pid, err)) return false;
    command->ended_fd = pidfd_open(command->pid, 0);
    return command->ended_fd >= 0 || err_sys(err, errno, "cannot watch the %s", command->what);
}

static bool start(struct command *command, const struct command_request *request, struct err *err)
{
    AUTO(fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO(fd) int data = -1;
    if (null < 0) return err_sys(err, errno, "cannot open '/dev/null'");
    if (request->use == COMMAND_READ && !child_pipe(PIPE_FROM_CHILD, &command->data, &data, err))
        return false;
    if (request->use == COMMAND_WRITE && !child_pipe(PIPE_TO_CHILD, &command->data, &data, err)) return false;
    return start_guard(command, null, err) && start_child(command, request, data, null, err);
}

bool command_start(const struct command_request *request, struct command **out, struct err *err)
{
    AUTO(command) struct command *command = xcalloc(1, sizeof(*command));
    *command = (struct command){
        .what = xstrdup(request->what),
        .use = request->use,
        .timeout_ms = request->timeout_ms,
        .until_ms = clock_steady_ms() + request->timeout_ms,
        .ended_fd = -1,
        .data = -1,
        .errors = -1,
        .life = -1,
    };
    if (!start(command, request, err)) return false;
    *out = command;
    command = NULL;
    return true;
}

/* --- using --- */

bool command_read(struct command *command, const _Atomic bool *stopped, uint8_t *out, size_t room,
                  size_t *got, struct err *err)
{
    for (;;) {
        if (!await(command, command->data, POLLIN, stopped, err)) return false;
        ssize_t len = read(command->data, out, room);
        if (len >= 0) {
            *got = (size_t)len;
            return true;
        }
        if (errno != EAGAIN && errno != EINTR)
            return err_sys(err, errno, "cannot read the output of the %s", command->what);
    }
}

/* Its failure, if that is why, says more than a broken pipe. */
static bool tell_closed(struct command *command, const _Atomic bool *stopped, struct err *err)
{
    return await(command, -1, 0, stopped, err) &&
           err_set(err, ERR_FAILED, "the %s ended before it had taken everything", command->what);
}

bool command_write(struct command *command, const _Atomic bool *stopped, struct span bytes, struct err *err)
{
    while (bytes.len > 0) {
        if (!await(command, command->data, POLLOUT, stopped, err)) return false;
        ssize_t len = write(command->data, bytes.data, bytes.len);
        if (len >= 0)
            bytes = span_of(bytes.data + len, bytes.len - (size_t)len);
        else if (errno == EPIPE)
            return tell_closed(command, stopped, err);
        else if (errno != EAGAIN && errno != EINTR)
            return err_sys(err, errno, "cannot write to the %s", command->what);
    }
    return true;
}

bool command_finish(struct command *command, const _Atomic bool *stopped, struct err *err)
{
    close_end(&command->data);
    if (!await(command, -1, 0, stopped, err)) return false;
    command->finished = true;
    return true;
}

/* It may have left the group for one of its own. */
static void signal_all(const struct command *command, int signal)
{
    (void)kill(-command->group, signal);
    (void)kill(-command->pid, signal);
    (void)kill(command->pid, signal);
}

static void end_all(const struct command *command)
{
    struct pollfd watched = {.fd = command->ended_fd, .events = POLLIN};
    signal_all(command, SIGTERM);
    if (command->ended_fd >= 0) (void)poll(&watched, 1, GRACE_MS);
    signal_all(command, SIGKILL);
}

static void reap(pid_t pid)
{
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

void command_free(struct command *command)
{
    if (!command) return;
    if (command->pid > 0 && !command->finished) end_all(command);
    if (command->group > 0) (void)kill(command->group, SIGKILL); /* what a finished command left may stay */
    reap(command->pid);
    reap(command->group);
    close_end(&command->life);
    close_end(&command->data);
    close_end(&command->errors);
    close_end(&command->ended_fd);
    buf_deinit(&command->heard);
    free(command->what);
    free(command);
}
