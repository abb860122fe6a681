/* sealift: the operator's command line. */
#include "common/base/alloc.h"
#include "director/cli/access.h"
#include "director/cli/cli.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *default_state_dir(void)
{
    const char *named = getenv("SEALIFT_STATE");
    if (named && *named) return xstrdup(named);
    const char *home = getenv("HOME");
    const struct passwd *entry = home && *home ? NULL : getpwuid(getuid());
    if (entry) home = entry->pw_dir;
    return xasprintf("%s/.local/state/sealift", home && *home ? home : "");
}

/* The options that may stand before the noun and after the verb alike. */
static bool take_global(struct cli *cli, const struct args *args, struct err *err)
{
    struct secret_source password;
    if (args_flag(args, "json")) cli->output.form = OUTPUT_JSON;
    if (args_flag(args, "quiet")) cli->output.quiet = true;
    if (args_value(args, "state")) {
        free(cli->state_dir);
        cli->state_dir = xstrdup(args_value(args, "state"));
    }
    if (!secret_source_of(args, "identity-password-file", "identity-password-fd", &password, err))
        return false;
    if (password.file || password.fd >= 0) cli->identity_password = password;
    return true;
}

static const char *words_of(const struct command *command, char out[static 64])
{
    (void)snprintf(out, 64, "%s%s%s", command->noun, command->verb ? " " : "",
                   command->verb ? command->verb : "");
    return out;
}

static bool check_operands(const struct command *command, const struct args *args, struct err *err)
{
    char words[64];
    size_t count = args_operand_count(args);
    if (count < command->least)
        return err_set(err, ERR_USAGE, "'sealift %s' needs more: sealift %s %s", words_of(command, words),
                       words, command->usage);
    if (count > command->most)
        return err_set(err, ERR_USAGE, "'sealift %s' takes no '%s': sealift %s %s", words_of(command, words),
                       args_operand(args, command->most), words, command->usage);
    return true;
}

static bool run_command(struct cli *cli, const struct command *command, int argc, char **argv,
                        struct err *err)
{
    char words[64];
    if (!command->run)
        return err_set(err, ERR_USAGE, "'sealift %s' is not there yet in this version",
                       words_of(command, words));
    AUTO(args) struct args *args = NULL;
    /* argv[0] is the last of the words: getopt skips it */
    if (!args_parse(argc, argv, ARGS_ALL, global_options, command->options, &args, err)) return false;
    if (!take_global(cli, args, err)) return false;
    if (args_flag(args, "help")) {
        command_help(command);
        return true;
    }
    return check_operands(command, args, err) && command->run(cli, args, err);
}

/* "sealift NOUN --help", where the noun alone is no command. */
static bool asks_for_verbs(const char *noun, const char *second)
{
    const struct command *command = NULL;
    struct err ignored = {0};
    int words = 0;
    return second && strcmp(second, "--help") == 0 && command_is_noun(noun) &&
           !command_find(noun, NULL, &command, &words, &ignored);
}

static bool dispatch(struct cli *cli, int argc, char **argv, struct err *err)
{
    AUTO(args) struct args *args = NULL;
    if (!args_parse(argc, argv, ARGS_BEFORE_FIRST_OPERAND, global_options, NULL, &args, err)) return false;
    if (!take_global(cli, args, err)) return false;
    int at = args_taken(args);
    if (args_flag(args, "version")) {
        (void)puts("sealift " SEALIFT_VERSION);
        return true;
    }
    if (args_flag(args, "help")) {
        command_overview(at < argc && command_is_noun(argv[at]) ? argv[at] : NULL);
        return true;
    }
    if (at == argc) return err_set(err, ERR_USAGE, "what shall be done? 'sealift --help' lists the commands");
    const char *second = at + 1 < argc ? argv[at + 1] : NULL;
    if (asks_for_verbs(argv[at], second)) {
        command_overview(argv[at]);
        return true;
    }
    const struct command *command = NULL;
    int words = 0;
    if (!command_find(argv[at], second, &command, &words, err)) return false;
    return run_command(cli, command, argc - at - words + 1, argv + at + words - 1, err);
}

static void cli_deinit(struct cli *cli)
{
    access_close(cli);
    free(cli->state_dir);
}
DEFINE_AUTO_IN_PLACE(cli, struct cli, cli_deinit)

static int run(int argc, char **argv)
{
    AUTO(cli) struct cli cli = {.identity_password = SECRET_FROM_TERMINAL};
    struct err err = {0};
    for (int i = 1; i < argc; i++) /* so that a wrong option is answered in the form that was asked for */
        if (strcmp(argv[i], "--json") == 0) cli.output.form = OUTPUT_JSON;
    cli.state_dir = default_state_dir();
    if (secret_process_init(&err) && dispatch(&cli, argc, argv, &err) && output_finish(&err))
        return cli.exit_code;
    output_error(&cli.output, &err);
    return err_exit_code(err.code);
}

int main(int argc, char **argv)
{
    return run(argc, argv);
}
