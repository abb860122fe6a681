#include "director/cli/secret_input.h"

#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

enum { TRIES = 3 };

bool secret_source_of(const struct args *args, const char *file_option, const char *fd_option,
                      struct secret_source *out, struct err *err)
{
    unsigned number = 0;
    struct secret_source source = {.file = args_value(args, file_option), .fd = -1};
    if (args_value(args, fd_option)) {
        if (source.file)
            return err_set(err, ERR_USAGE, "--%s and --%s exclude each other", file_option, fd_option);
        if (!args_number(args, fd_option, 0, 1u << 20, &number, err)) return false;
        source.fd = (int)number;
    }
    *out = source;
    return true;
}

bool secret_terminal(void)
{
    AUTO(fd) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    return fd >= 0;
}

/* Up to a line end or the end; the line end is not kept. One byte at a time: what follows the line stays. */
static bool read_line(int fd, const char *name, struct secret **out, struct err *err)
{
    AUTO(secret) struct secret *line = secret_new(PASSWORD_MAX_LEN + 2);
    size_t len = 0;
    for (;;) {
        uint8_t byte;
        ssize_t got = read(fd, &byte, 1);
        if (got < 0 && errno == EINTR) return err_set(err, ERR_CANCELLED, "interrupted");
        if (got < 0) return err_sys(err, errno, "cannot read %s", name);
        if (got == 0 || byte == '\n') break;
        if (len > PASSWORD_MAX_LEN) return err_set(err, ERR_LIMIT, "%s: the first line is too long", name);
        line->data[len++] = byte;
        wipe(&byte, 1);
    }
    if (len && line->data[len - 1] == '\r') len--;
    *out = secret_copy(line->data, len);
    return true;
}

/* --- the terminal --- */

static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
    caught = number;
}

static const int quitting[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum { QUITTING = sizeof(quitting) / sizeof(quitting[0]) };

struct terminal {
    int fd;
    struct termios before;
    struct sigaction actions[QUITTING];
};

/* Puts the echo back whatever ended the question, then lets the signal do what it came for. */
static void terminal_close(struct terminal *terminal)
{
    if (terminal->fd < 0) return;
    (void)tcsetattr(terminal->fd, TCSAFLUSH, &terminal->before);
    (void)dprintf(terminal->fd, "\n");
    for (size_t i = 0; i < QUITTING; i++)
        (void)sigaction(quitting[i], &terminal->actions[i], NULL);
    auto_close_fd(terminal->fd);
    if (caught) (void)raise(caught);
}
DEFINE_AUTO_IN_PLACE(terminal, struct terminal, terminal_close)

static bool terminal_open(struct terminal *out, const char *prompt, struct err *err)
{
    struct terminal terminal;
    AUTO(fd) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || tcgetattr(fd, &terminal.before) != 0)
        return err_set(err, ERR_NO_KEY,
                       "%s: there is no terminal to ask for it, and no option names a file or a descriptor "
                       "with it (--help lists them)",
                       prompt);
    struct sigaction action = {.sa_handler = catch_signal}; /* no SA_RESTART: read comes back */
    caught = 0;
    for (size_t i = 0; i < QUITTING; i++)
        (void)sigaction(quitting[i], &action, &terminal.actions[i]);
    struct termios silent = terminal.before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(fd, TCSAFLUSH, &silent);
    (void)dprintf(fd, "%s: ", prompt);
    terminal.fd = fd;
    fd = -1;
    *out = terminal;
    return true;
}

static bool ask(const char *prompt, struct secret **out, struct err *err)
{
    AUTO(terminal) struct terminal terminal = {.fd = -1};
    return terminal_open(&terminal, prompt, err) && read_line(terminal.fd, prompt, out, err);
}

/* --- lines and passwords --- */

static bool from_source(const struct secret_source *source, const char *prompt, struct secret **out,
                        struct err *err)
{
    if (source->fd >= 0) {
        char name[32];
        (void)snprintf(name, sizeof(name), "descriptor %d", source->fd);
        return read_line(source->fd, name, out, err);
    }
    if (!source->file) return ask(prompt, out, err);
    AUTO(fd) int fd = open(source->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_sys(err, errno, "cannot open '%s'", source->file);
    return read_line(fd, source->file, out, err);
}

static bool equal(const struct secret *a, const struct secret *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool ask_twice(const char *prompt, struct secret **out, struct err *err)
{
    for (int i = 0; i < TRIES; i++) {
        AUTO(secret) struct secret *first = NULL, *second = NULL;
        char again[256];
        (void)snprintf(again, sizeof(again), "%s, again", prompt);
        if (!ask(prompt, &first, err) || !ask(again, &second, err)) return false;
        if (equal(first, second)) {
            *out = first;
            first = NULL;
            return true;
        }
        (void)fputs("the two differ\n", stderr);
    }
    return err_set(err, ERR_CANCELLED, "%s: the two differed %d times", prompt, TRIES);
}

bool secret_password(const struct secret_source *source, const char *prompt, enum secret_repeat repeat,
                     struct secret **out, enum password_strength *strength, struct err *err)
{
    AUTO(secret) struct secret *typed = NULL;
    bool typing = !source->file && source->fd < 0;
    if (!(typing && repeat == SECRET_TWICE ? ask_twice(prompt, &typed, err)
                                           : from_source(source, prompt, &typed, err)))
        return false;
    return password_normalise(span_of(typed->data, typed->len), out, strength, err) ||
           err_wrap(err, "%s", prompt);
}

bool secret_line(const struct secret_source *source, const char *prompt, struct secret **out, struct err *err)
{
    AUTO(secret) struct secret *typed = NULL;
    if (!from_source(source, prompt, &typed, err)) return false;
    if (memchr(typed->data, 0, typed->len)) return err_set(err, ERR_USAGE, "%s: it holds a NUL", prompt);
    struct secret *text = secret_new(typed->len + 1);
    memcpy(text->data, typed->data, typed->len);
    *out = text;
    return true;
}

bool secret_file(const char *path, size_t limit, struct secret **out, struct err *err)
{
    AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_sys(err, errno, "cannot open '%s'", path);
    AUTO(secret) struct secret *bytes = secret_new(limit + 1);
    size_t len = 0;
    while (len < bytes->len) {
        ssize_t got = read(fd, bytes->data + len, bytes->len - len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_sys(err, errno, "cannot read '%s'", path);
        if (got == 0) break;
        len += (size_t)got;
    }
    if (len > limit) return err_set(err, ERR_LIMIT, "'%s' has more than %zu bytes", path, limit);
    *out = secret_copy(bytes->data, len);
    return true;
}
