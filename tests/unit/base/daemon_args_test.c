#include "common/base/daemon_args.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { MODE_CODE = DAEMON_OWN, MODE_TRIAL, WORDS_MAX = 80 };

static const char *state;
static struct daemon_texts paths;
static uint16_t port;
static bool brief;

static bool parse(const char *const *words, struct daemon_args *out, struct err *err)
{
    static const struct daemon_option own[] = {
        {.name = "new-code", .mode = MODE_CODE},
        {.name = "state", .mode = DAEMON_INIT, .text = &state},
        {.name = "path", .mode = DAEMON_INIT, .texts = &paths},
        {.name = "port", .mode = DAEMON_INIT, .port = &port},
        {.name = "label", .mode = MODE_CODE, .text = &state},
        {.name = "trial", .mode = MODE_TRIAL, .needs = DAEMON_NO_CONFIG},
        {.name = "brief", .mode = MODE_TRIAL, .flag = &brief},
        {.name = NULL},
    };
    static char storage[WORDS_MAX][32]; /* what is parsed is borrowed from it */
    char *argv[WORDS_MAX + 2] = {(char[]){"program"}};
    int argc = 1;
    for (; words[argc - 1]; argc++) {
        (void)snprintf(storage[argc - 1], sizeof(storage[0]), "%s", words[argc - 1]);
        argv[argc] = storage[argc - 1];
    }
    return daemon_args_parse(argc, argv, own, out, err);
}
#define PARSE(out, err, ...) parse((const char *const[]){__VA_ARGS__, NULL}, out, err)

Test(daemon_args, takes_values_in_both_spellings)
{
    struct err err = {0};
    struct daemon_args args = {0};
    cr_assert(PARSE(&args, &err, "--config=c=d", "--init", "--path", "/a", "--path=/b", "--port", "65535"),
              "%s", err.text);
    cr_assert_eq(args.mode, DAEMON_INIT);
    cr_assert_eq(port, 65535);
    cr_assert_eq(paths.count, 2);
    cr_assert_null(paths.items[2]);
    cr_assert(PARSE(&args, &err, "--config", "c"), "%s", err.text);
    cr_assert_eq(args.mode, DAEMON_RUN);
    cr_assert(PARSE(&args, &err, "--new-code", "--config", "c", "--new-code"), "%s", err.text);
    cr_assert_eq(args.mode, MODE_CODE);
}

Test(daemon_args, a_mode_may_go_without_a_configuration)
{
    struct err err = {0};
    struct daemon_args args = {0};
    cr_assert(PARSE(&args, &err, "--trial"), "%s", err.text);
    cr_assert_eq(args.mode, MODE_TRIAL);
    cr_assert_not(brief);
    cr_assert(PARSE(&args, &err, "--brief", "--trial"), "%s", err.text);
    cr_assert(brief);
    cr_assert_not(PARSE(&args, &err, "--trial", "--config", "c"));
    cr_assert_str_eq(err.text, "--trial goes without --config");
    cr_assert_not(PARSE(&args, &err, "--config", "c", "--brief"));
    cr_assert_str_eq(err.text, "--brief belongs to --trial: see --help");
    cr_assert_not(PARSE(&args, &err, "--trial", "--brief=yes"));
    cr_assert_str_eq(err.text, "--brief takes no value");
}

Test(daemon_args, help_and_version_win_over_everything_behind_them)
{
    struct err err = {0};
    struct daemon_args args = {0};
    cr_assert(PARSE(&args, &err, "--help", "--nonsense"));
    cr_assert_eq(args.mode, DAEMON_HELP);
    cr_assert(PARSE(&args, &err, "--config", "c", "--version"));
    cr_assert_eq(args.mode, DAEMON_VERSION);
    cr_assert_not(PARSE(&args, &err, "--nonsense", "--help"));
}

Test(daemon_args, names_what_is_wrong_in_one_sentence)
{
    static const struct {
        const char *words[8];
        const char *text;
    } rows[] = {
        {{NULL}, "--config FILE is needed: see --help"},
        {{"--init"}, "--config FILE is needed: see --help"},
        {{"--config"}, "--config needs a value"},
        {{"--confi", "c"}, "'--confi' is no option: see --help"},
        {{"--config", "c", "-h"}, "'-h' is no option: see --help"},
        {{"--config", "c", "--"}, "'--' is no option: see --help"},
        {{"--config", "c", "more"}, "'more' is no option: see --help"},
        {{"--config", "c", "--init=yes"}, "--init takes no value"},
        {{"--config", "c", "--init", "--check-config"},
         "only one of --init and --check-config can be asked for"},
        {{"--config", "c", "--state", "s"}, "--state belongs to --init: see --help"},
        {{"--config", "c", "--new-code", "--state", "s"}, "--state belongs to --init: see --help"},
        {{"--config", "c", "--label", "s"}, "--label belongs to --new-code: see --help"},
        {{"--config", "c", "--init", "--state", "s", "--label", "s"},
         "--state and --label do not go together"},
        {{"--config", "c", "--init", "--port", "65536"}, "'65536' is no port: a number from 0 to 65535"},
        {{"--config", "c", "--init", "--port", "-1"}, "'-1' is no port: a number from 0 to 65535"},
        {{"--config", "c", "--init", "--port", ""}, "'' is no port: a number from 0 to 65535"},
        {{"--config", "c", "--init", "--port", "9x"}, "'9x' is no port: a number from 0 to 65535"},
        {{"--config", "c", "--init", "--port", "99999999999999999999"},
         "'99999999999999999999' is no port: a number from 0 to 65535"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err = {0};
        struct daemon_args args = {.mode = 77};
        cr_assert_not(parse(rows[i].words, &args, &err), "%s", rows[i].text);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_str_eq(err.text, rows[i].text);
        cr_assert_eq(args.mode, 77);
    }
}

Test(daemon_args, an_option_may_be_given_as_often_as_there_is_room_for)
{
    struct err err = {0};
    struct daemon_args args = {0};
    const char *words[WORDS_MAX] = {"--config", "c", "--init"};
    for (size_t i = 0; i < DAEMON_TEXTS_MAX + 1; i++)
        words[3 + i] = "--path=/a";
    cr_assert_not(parse(words, &args, &err));
    cr_assert_str_eq(err.text, "--path is given more than 64 times");
    words[3 + DAEMON_TEXTS_MAX] = NULL;
    paths = (struct daemon_texts){0};
    cr_assert(parse(words, &args, &err), "%s", err.text);
    cr_assert_eq(paths.count, DAEMON_TEXTS_MAX);
}
