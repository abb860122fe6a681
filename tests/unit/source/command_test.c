#include "transporter/source/command.h"

#include "common/base/clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLENTY_MS = 60 * 1000 };

static char shell[] = "/bin/sh", dash_c[] = "-c";

struct trial {
    struct command *command;
    struct err err;
    uint8_t out[64 * 1024];
    size_t got;
};

static void trial_deinit(struct trial *trial)
{
    command_free(trial->command);
}
DEFINE_AUTO_IN_PLACE(trial, struct trial, trial_deinit)

static bool try_start(struct trial *trial, enum command_use use, uint64_t timeout_ms, const char *script)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "%s", script);
    char *argv[] = {shell, dash_c, text, NULL};
    static const char *const environment[] = {"SEALIFT_JOB=web", NULL};
    struct command_request request = {.what = "stream 'db'",
                                      .argv = argv,
                                      .environment = environment,
                                      .timeout_ms = timeout_ms,
                                      .use = use};
    (void)signal(SIGPIPE, SIG_IGN); /* as in the daemon */
    return command_start(&request, &trial->command, &trial->err);
}

static void start(struct trial *trial, enum command_use use, const char *script)
{
    cr_assert(try_start(trial, use, PLENTY_MS, script), "%s", trial->err.text);
}

/* Until its output ends or something fails. */
static bool read_all(struct trial *trial)
{
    size_t got = 1;
    while (got > 0) {
        if (!command_read(trial->command, NULL, trial->out + trial->got, sizeof(trial->out) - trial->got - 1,
                          &got, &trial->err))
            return false;
        trial->got += got;
    }
    return true;
}

static void assert_says(struct trial *trial, const char *script, const char *wanted)
{
    start(trial, COMMAND_READ, script);
    cr_assert(read_all(trial), "%s", trial->err.text);
    cr_assert(command_finish(trial->command, NULL, &trial->err), "%s", trial->err.text);
    cr_assert_str_eq((const char *)trial->out, wanted);
}

Test(command, its_output_is_read_to_the_end)
{
    AUTO(trial) struct trial trial = {0};
    assert_says(&trial, "echo one; echo two", "one\ntwo\n");
    cr_assert_str_eq(command_words(trial.command), "");
}

Test(command, has_a_minimal_environment_and_no_open_files_of_ours)
{
    cr_assert_eq(setenv("SEALIFT_SECRET", "x", 1), 0);
    AUTO(fd) int leaked = dup(STDERR_FILENO); /* without close-on-exec */
    cr_assert_geq(leaked, 0);
    AUTO(trial) struct trial trial = {0};
    /* the shell's own descriptor of /proc/self/fd is the fourth */
    assert_says(&trial,
                "echo \"${SEALIFT_SECRET-none} $SEALIFT_JOB $(pwd) $LANG\"; set -- /proc/self/fd/*; echo $#",
                "none web / C.UTF-8\n4\n");
}

Test(command, that_fails_tells_its_status_and_its_last_line)
{
    AUTO(trial) struct trial trial = {0};
    start(&trial, COMMAND_READ, "echo data; echo first >&2; printf 'no\\033[31m such table\\n' >&2; exit 3");
    cr_assert_not(read_all(&trial) && command_finish(trial.command, NULL, &trial.err));
    cr_assert_eq(trial.err.code, ERR_FAILED);
    cr_assert_str_eq(trial.err.text, "the stream 'db' failed with exit status 3: no?[31m such table");
    cr_assert_str_eq(command_words(trial.command), "first|no?[31m such table");
}

Test(command, that_is_killed_has_failed)
{
    AUTO(trial) struct trial trial = {0};
    start(&trial, COMMAND_READ, "echo data; kill -9 $$");
    cr_assert_not(read_all(&trial) && command_finish(trial.command, NULL, &trial.err));
    cr_assert_str_eq(trial.err.text, "the stream 'db' was ended by signal 9");
}

Test(command, that_cannot_be_executed_is_named)
{
    char gone[] = "/no/such/program";
    char *argv[] = {gone, NULL};
    struct command_request request = {.what = "stream 'db'", .argv = argv, .timeout_ms = PLENTY_MS};
    struct command *command = NULL;
    struct err err = {0};
    cr_assert_not(command_start(&request, &command, &err));
    cr_assert_null(command);
    cr_assert_eq(err.code, ERR_FAILED);
    cr_assert(strstr(err.text, "cannot execute '/no/such/program' of the stream 'db'"), "%s", err.text);
}

Test(command, much_standard_error_neither_blocks_it_nor_grows)
{
    AUTO(trial) struct trial trial = {0};
    assert_says(&trial, "i=0; while [ $i -lt 20000 ]; do echo line-$i >&2; i=$((i+1)); done; echo done",
                "done\n");
    const char *words = command_words(trial.command);
    cr_assert_leq(strlen(words), 400);
    cr_assert(strstr(words, "|line-19999"), "%s", words);
}

/* The pid that the command wrote; then waits until nobody has it, or only a zombie that init has not reaped.
 */
static void assert_is_gone(const char *pid_text)
{
    char path[64], state = 'R';
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)strtol(pid_text, NULL, 10));
    uint64_t until_ms = clock_steady_ms() + 10000;
    while (clock_steady_ms() < until_ms) {
        AUTO(file) FILE *file = fopen(path, "re");
        if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1 || state == 'Z') return;
    }
    cr_assert_fail("process %s lives on", pid_text);
}

static void read_some(struct trial *trial)
{
    while (!strchr((const char *)trial->out, '\n')) {
        size_t got;
        cr_assert(command_read(trial->command, NULL, trial->out + trial->got, 100, &got, &trial->err), "%s",
                  trial->err.text);
        trial->got += got;
    }
}

Test(command, a_cancel_ends_it_with_its_children)
{
    AUTO(trial) struct trial trial = {0};
    _Atomic bool stopped = true;
    size_t got;
    start(&trial, COMMAND_READ, "sleep 1000 & echo $!; wait");
    read_some(&trial);
    cr_assert_not(command_read(trial.command, &stopped, trial.out, 100, &got, &trial.err));
    cr_assert_eq(trial.err.code, ERR_CANCELLED);
    command_free(trial.command);
    trial.command = NULL;
    assert_is_gone((const char *)trial.out);
}

/* A process of its own that runs a command, tells what the command wrote, and waits for its end. */
static pid_t start_elsewhere(const char *script, struct trial *trial)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct trial own = {0};
        if (!try_start(&own, COMMAND_READ, PLENTY_MS, script)) _exit(1);
        read_some(&own);
        (void)!write(ends[1], own.out, own.got);
        for (;;)
            (void)pause();
    }
    (void)close(ends[1]);
    ssize_t got = read(ends[0], trial->out, 100);
    (void)close(ends[0]);
    cr_assert_gt(got, 0);
    return pid;
}

Test(command, ends_with_its_children_when_we_are_killed)
{
    static const char *const scripts[] = {"sleep 1000 & echo $!; wait", "sleep 1000 & echo $!",
                                          "(trap '' TERM HUP; echo $(exec sh -c 'echo $PPID'); sleep 1000)"};
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        AUTO(trial) struct trial trial = {0};
        pid_t pid = start_elsewhere(scripts[i], &trial);
        cr_assert(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
        assert_is_gone((const char *)trial.out);
    }
}

Test(command, what_a_finished_command_left_may_stay)
{
    AUTO(trial) struct trial trial = {0};
    start(&trial, COMMAND_READ, "sleep 1000 >/dev/null 2>&1 & echo $!");
    cr_assert(read_all(&trial) && command_finish(trial.command, NULL, &trial.err), "%s", trial.err.text);
    command_free(trial.command);
    trial.command = NULL;
    pid_t left = (pid_t)strtol((const char *)trial.out, NULL, 10);
    cr_assert_eq(kill(left, SIGKILL), 0, "it was there still");
}

Test(command, one_that_ignores_sigterm_is_killed)
{
    AUTO(trial) struct trial trial = {0};
    start(&trial, COMMAND_READ, "trap '' TERM; echo $$; while :; do sleep 1000; done");
    read_some(&trial);
    command_free(trial.command);
    trial.command = NULL;
    assert_is_gone((const char *)trial.out);
}

Test(command, one_that_leaves_its_group_is_killed)
{
    AUTO(trial) struct trial trial = {0};
    start(&trial, COMMAND_READ, "exec setsid sh -c 'sleep 1000 & echo $!; wait'");
    read_some(&trial);
    command_free(trial.command);
    trial.command = NULL;
    assert_is_gone((const char *)trial.out);
}

Test(command, that_takes_too_long_has_failed)
{
    AUTO(trial) struct trial trial = {0};
    cr_assert(try_start(&trial, COMMAND_ALONE, 1000, "exec sleep 1000"), "%s", trial.err.text);
    cr_assert_not(command_finish(trial.command, NULL, &trial.err));
    cr_assert_eq(trial.err.code, ERR_FAILED);
    cr_assert_str_eq(trial.err.text, "the stream 'db' took longer than its time limit of 1 s");
}

Test(command, takes_its_input_to_the_end)
{
    AUTO(trial) struct trial trial = {0};
    static uint8_t bytes[1024 * 1024];
    start(&trial, COMMAND_WRITE, "[ $(wc -c) = 3145728 ]");
    for (int i = 0; i < 3; i++)
        cr_assert(command_write(trial.command, NULL, span_of(bytes, sizeof(bytes)), &trial.err), "%s",
                  trial.err.text);
    cr_assert(command_finish(trial.command, NULL, &trial.err), "%s", trial.err.text);
}

Test(command, that_stops_taking_input_has_failed)
{
    static const struct {
        const char *script, *text;
    } trials[] = {
        {"exit 0", "the stream 'db' ended before it had taken everything"},
        {"echo syntax error >&2; exit 2", "the stream 'db' failed with exit status 2: syntax error"},
    };
    static uint8_t bytes[1024 * 1024];
    for (size_t i = 0; i < 2; i++) {
        AUTO(trial) struct trial trial = {0};
        start(&trial, COMMAND_WRITE, trials[i].script);
        cr_assert_not(command_write(trial.command, NULL, span_of(bytes, sizeof(bytes)), &trial.err));
        cr_assert_str_eq(trial.err.text, trials[i].text);
    }
}

Test(command, given_up_never_sees_its_input_end)
{
    char path[] = "/tmp/sealift-command-XXXXXX", script[128];
    AUTO(fd) int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    (void)snprintf(script, sizeof(script), "cat >/dev/null; echo whole >%s", path);
    AUTO(trial) struct trial trial = {0};
    start(&trial, COMMAND_WRITE, script);
    cr_assert(command_write(trial.command, NULL, span_str("half"), &trial.err), "%s", trial.err.text);
    command_free(trial.command);
    trial.command = NULL;
    char byte;
    cr_assert_eq(read(fd, &byte, 1), 0);
    cr_assert_eq(unlink(path), 0);
}
