#include "director/cli/args.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct option_spec specs[] = {
    {"key", "K", "help"}, {"wait", NULL, "help"}, {"kms", "NAME", NULL}, {"limit", "N", "help"}, {0}};
static const struct option_spec more[] = {{"json", NULL, "help"}, {0}};

/* getopt reorders: each case gets words of its own */
struct words {
    char text[16][32];
    char *argv[17];
    int argc;
};
static void split(struct words *words, const char *line)
{
    *words = (struct words){0};
    for (char *at = NULL, *copy = strdup(line), *word = strtok_r(copy, " ", &at);;
         word = strtok_r(NULL, " ", &at)) {
        words->argv[words->argc] = NULL;
        if (!word) {
            free(copy);
            return;
        }
        (void)snprintf(words->text[words->argc], sizeof(words->text[0]), "%s", word);
        words->argv[words->argc] = words->text[words->argc];
        words->argc++;
    }
}

static bool parse(struct words *words, const char *line, struct args **out, struct err *err)
{
    split(words, line);
    return args_parse(words->argc, words->argv, ARGS_ALL, specs, more, out, err);
}

Test(args, options_and_operands_may_come_in_any_order)
{
    struct words words;
    struct err err = {0};
    AUTO(args) struct args *args = NULL;
    cr_assert(parse(&words, "verb one --key a --json two --key=b --wait", &args, &err), "%s", err.text);
    cr_assert_eq(args_operand_count(args), 2);
    cr_assert_str_eq(args_operand(args, 0), "one");
    cr_assert_str_eq(args_operand(args, 1), "two");
    cr_assert_null(args_operand(args, 2));
    cr_assert_str_eq(args_value(args, "key"), "b");
    cr_assert_str_eq(args_nth(args, "key", 0), "a");
    cr_assert_null(args_nth(args, "key", 2));
    cr_assert(args_flag(args, "wait"));
    cr_assert(args_flag(args, "json"));
    cr_assert_null(args_value(args, "limit"));
}

Test(args, two_dashes_end_the_options)
{
    struct words words;
    struct err err = {0};
    AUTO(args) struct args *args = NULL;
    cr_assert(parse(&words, "verb -- --key", &args, &err), "%s", err.text);
    cr_assert_str_eq(args_operand(args, 0), "--key");
}

static const struct {
    const char *line, *text;
} wrong[] = {
    {"verb --kye a", "there is no option '--kye'; did you mean '--key'?"},
    {"verb --frobnicate", "there is no option '--frobnicate'"},
    {"verb one two --wiat three", "there is no option '--wiat'; did you mean '--wait'?"},
    {"verb --key", "the option '--key' needs a value"},
    {"verb one --limit", "the option '--limit' needs a value"},
    {"verb -k", "there is no option '-k'; options are written '--name'"},
    {"verb --kms eu", "the option '--kms' is not there yet in this version"},
};

Test(args, what_is_wrong_is_named)
{
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct words words;
        struct err err = {0};
        struct args *args = NULL;
        cr_assert_not(parse(&words, wrong[i].line, &args, &err), "%s", wrong[i].line);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_str_eq(err.text, wrong[i].text, "%s: %s", wrong[i].line, err.text);
        cr_assert_null(args);
    }
}

Test(args, global_options_stop_before_the_noun)
{
    struct words words;
    struct err err = {0};
    AUTO(args) struct args *args = NULL;
    split(&words, "sealift --json key list --key a");
    cr_assert(args_parse(words.argc, words.argv, ARGS_BEFORE_FIRST_OPERAND, more, NULL, &args, &err), "%s",
              err.text);
    cr_assert_eq(args_taken(args), 2);
    cr_assert_str_eq(words.argv[2], "key");
}

Test(args, numbers_have_limits)
{
    static const char *const bad[] = {"verb --limit 0", "verb --limit 11", "verb --limit 3x",
                                      "verb --limit -1", "verb --limit 99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct words words;
        struct err err = {0};
        unsigned number = 7;
        AUTO(args) struct args *args = NULL;
        cr_assert(parse(&words, bad[i], &args, &err));
        cr_assert_not(args_number(args, "limit", 1, 10, &number, &err), "%s", bad[i]);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_eq(number, 7);
    }
    struct words words;
    struct err err = {0};
    unsigned number = 7;
    AUTO(args) struct args *args = NULL;
    cr_assert(parse(&words, "verb --limit 10", &args, &err));
    cr_assert(args_number(args, "limit", 1, 10, &number, &err));
    cr_assert_eq(number, 10);
}
