#include "director/cli/command.h"

#include "director/cli/nearest.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 160, HELP_WIDTH = 80 };

const struct option_spec global_options[] = {
    {"json", NULL, "the answer as one JSON document, everything else as JSON lines"},
    {"quiet", NULL, "neither progress nor notes"},
    {"state", "DIR", "where this operator's identity and memory are (default ~/.local/state/sealift)"},
    {"identity-password-file", "FILE", "the password of the identity is the first line of FILE"},
    {"identity-password-fd", "N", "the same, read from an open descriptor"},
    {"help", NULL, "this text"},
    {"version", NULL, "the version of this program"},
    {0},
};

/* Calls for every row until it returns true. */
static const struct command *each_row(bool (*fits)(const struct command *row, void *arg), void *arg)
{
    for (const struct command *const *table = command_tables; *table; table++)
        for (const struct command *row = *table; row->noun; row++)
            if (fits(row, arg)) return row;
    return NULL;
}

struct words {
    const char *noun, *verb;
    const char *found[WORDS_MAX];
    size_t count;
};

static bool fits_words(const struct command *row, void *arg)
{
    const struct words *words = arg;
    if (strcmp(row->noun, words->noun) != 0) return false;
    return !row->verb || (words->verb && strcmp(row->verb, words->verb) == 0);
}

static bool fits_noun(const struct command *row, void *arg)
{
    return strcmp(row->noun, ((const struct words *)arg)->noun) == 0;
}

static void add_word(struct words *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->found[i], word) == 0) return;
    if (words->count < WORDS_MAX) words->found[words->count++] = word;
}

static bool collect_nouns(const struct command *row, void *arg)
{
    add_word(arg, row->noun);
    return false;
}

static bool collect_verbs(const struct command *row, void *arg)
{
    struct words *words = arg;
    if (row->verb && strcmp(row->noun, words->noun) == 0) add_word(words, row->verb);
    return false;
}

bool command_is_noun(const char *word)
{
    return each_row(fits_noun, &(struct words){.noun = word}) != NULL;
}

static bool no_such_noun(const char *noun, struct err *err)
{
    struct words words = {0};
    (void)each_row(collect_nouns, &words);
    const char *near = nearest_word(noun, words.found, words.count);
    if (near) return err_set(err, ERR_USAGE, "there is no command '%s'; did you mean '%s'?", noun, near);
    return err_set(err, ERR_USAGE, "there is no command '%s'; 'sealift --help' lists them", noun);
}

static bool no_such_verb(const char *noun, const char *verb, struct err *err)
{
    struct words words = {.noun = noun};
    (void)each_row(collect_verbs, &words);
    const char *near = nearest_word(verb, words.found, words.count);
    if (near)
        return err_set(err, ERR_USAGE, "there is no 'sealift %s %s'; did you mean '%s'?", noun, verb, near);
    return err_set(err, ERR_USAGE, "there is no 'sealift %s %s'; 'sealift %s --help' lists the verbs", noun,
                   verb, noun);
}

bool command_find(const char *noun, const char *verb, const struct command **out, int *words, struct err *err)
{
    struct words wanted = {.noun = noun, .verb = verb};
    const struct command *row = each_row(fits_words, &wanted);
    if (row) {
        *out = row;
        *words = row->verb ? 2 : 1;
        return true;
    }
    if (!command_is_noun(noun)) return no_such_noun(noun, err);
    if (verb) return no_such_verb(noun, verb, err);
    return err_set(err, ERR_USAGE, "'sealift %s' needs a verb; 'sealift %s --help' lists them", noun, noun);
}

/* --- help --- */

/* Words from `column` on, in lines of 80; a word that is longer stands alone. The cursor is at `column`. */
static void print_wrapped(int column, const char *text, size_t len)
{
    size_t used = (size_t)column;
    for (size_t at = 0; at < len;) {
        size_t bytes = strcspn(text + at, " "), width = 0;
        if (bytes > len - at) bytes = len - at;
        for (size_t i = 0; i < bytes; i++)
            width += (text[at + i] & 0xC0) != 0x80; /* UTF-8: count the first byte of each character */
        if (at > 0 && used + 1 + width > HELP_WIDTH) {
            (void)printf("\n%*s", column, "");
            used = (size_t)column;
        } else if (at > 0) {
            (void)putchar(' ');
            used++;
        }
        (void)printf("%.*s", (int)bytes, text + at);
        used += width;
        at += bytes + (at + bytes < len);
    }
    (void)putchar('\n');
}

static void print_options(const struct option_spec *specs)
{
    for (; specs && specs->name; specs++) {
        if (!specs->help) continue;
        char left[48];
        (void)snprintf(left, sizeof(left), "--%s%s%s", specs->name, specs->value ? " " : "",
                       specs->value ? specs->value : "");
        (void)printf("  %-29s", left);
        if (strlen(left) >= 29) (void)printf("\n%31s", "");
        print_wrapped(31, specs->help, strlen(specs->help));
    }
}

static bool has_options(const struct option_spec *specs)
{
    for (; specs && specs->name; specs++)
        if (specs->help) return true;
    return false;
}

static void print_indented(const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        (void)printf("  %.*s\n", (int)len, text);
        text += len + (text[len] == '\n');
    }
}

void command_help(const struct command *command)
{
    (void)printf("usage: sealift %s%s%s%s%s\n\n", command->noun, command->verb ? " " : "",
                 command->verb ? command->verb : "", command->usage[0] ? " " : "", command->usage);
    print_indented(command->summary);
    if (has_options(command->options)) {
        (void)puts("\noptions:");
        print_options(command->options);
    }
    (void)puts("\noptions of every command:");
    print_options(global_options);
    (void)puts("\nexample:");
    print_indented(command->example);
}

/* What the overview shows of a summary: its first sentence, which stands on the first line. */
static int first_sentence(const char *summary)
{
    size_t line = strcspn(summary, "\n");
    const char *end = strstr(summary, ". ");
    return (int)(end && (size_t)(end - summary) < line ? (size_t)(end - summary) + 1 : line);
}

static bool print_row(const struct command *row, void *arg)
{
    const char *noun = arg;
    if (noun && strcmp(noun, row->noun) != 0) return false;
    if (!row->run) return false;
    char left[48];
    (void)snprintf(left, sizeof(left), "%s%s%s", row->noun, row->verb ? " " : "", row->verb ? row->verb : "");
    (void)printf("  %-22s ", left);
    print_wrapped(25, row->summary, (size_t)first_sentence(row->summary));
    return false;
}

static bool is_absent(const struct command *row, void *arg)
{
    const char *noun = arg;
    return !row->run && (!noun || strcmp(noun, row->noun) == 0);
}

static bool print_absent(const struct command *row, void *arg)
{
    if (is_absent(row, arg))
        (void)printf("  %s%s%s\n", row->noun, row->verb ? " " : "", row->verb ? row->verb : "");
    return false;
}

void command_overview(const char *noun)
{
    (void)printf("usage: sealift [--json] [--quiet] [--state DIR] %s VERB [NAME] [options]\n\n",
                 noun ? noun : "NOUN");
    struct words words = {0};
    (void)each_row(collect_nouns, &words);
    for (size_t i = 0; i < words.count; i++)
        if (!noun || strcmp(noun, words.found[i]) == 0)
            (void)each_row(print_row, (void *)(uintptr_t)words.found[i]);
    if (each_row(is_absent, (void *)(uintptr_t)noun)) {
        (void)puts("\nNot there yet in this version:");
        (void)each_row(print_absent, (void *)(uintptr_t)noun);
    }
    (void)puts("\n'--help' after a command explains it and its options, with an example.");
}
