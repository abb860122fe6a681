#include "director/cli/verbs.h"

#include <criterion/criterion.h>
#include <string.h>

typedef void row_fn(const struct command *row);
static void each_row(row_fn *check)
{
    for (const struct command *const *table = command_tables; *table; table++)
        for (const struct command *row = *table; row->noun; row++)
            check(row);
}

static void is_explained(const struct command *row)
{
    if (!row->run) return;
    cr_assert(row->summary[0] && strlen(row->example) > 10, "%s %s", row->noun, row->verb);
    cr_assert(strncmp(row->example, "$ sealift ", 10) == 0, "%s %s: the example shows what is typed",
              row->noun, row->verb);
    cr_assert(row->least <= row->most);
    for (const struct option_spec *option = row->options; option && option->name; option++)
        for (const struct option_spec *other = global_options; other->name; other++)
            cr_assert(strcmp(option->name, other->name) != 0, "%s %s: --%s", row->noun, row->verb,
                      option->name);
}

Test(command, every_verb_has_a_summary_and_a_worked_example)
{
    each_row(is_explained);
}

static void is_found(const struct command *row)
{
    const struct command *found = NULL;
    struct err err = {0};
    int words = 0;
    cr_assert(command_find(row->noun, row->verb, &found, &words, &err), "%s", err.text);
    cr_assert_eq(found, row, "%s %s stands in two tables", row->noun, row->verb);
    cr_assert_eq(words, row->verb ? 2 : 1);
}

Test(command, every_row_is_found_by_its_words_and_only_it)
{
    each_row(is_found);
}

Test(command, unknown_words_are_answered_with_the_nearest)
{
    static const struct {
        const char *noun, *verb, *text;
    } cases[] = {
        {"jbo", "run", "there is no command 'jbo'; did you mean 'job'?"},
        {"job", "rum", "there is no 'sealift job rum'; did you mean 'run'?"},
        {"frobnicate", NULL, "there is no command 'frobnicate'; 'sealift --help' lists them"},
        {"job", NULL, "'sealift job' needs a verb; 'sealift job --help' lists them"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct command *found = NULL;
        struct err err = {0};
        int words = 0;
        cr_assert_not(command_find(cases[i].noun, cases[i].verb, &found, &words, &err));
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_str_eq(err.text, cases[i].text);
    }
}
