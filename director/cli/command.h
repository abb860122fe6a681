/* The frame of the command line: nouns, verbs, their options and help, as tables. */
#ifndef SEALIFT_CLI_COMMAND_H
#define SEALIFT_CLI_COMMAND_H

#include "director/cli/args.h"

struct cli;

/* Does what the verb says. On success cli->exit_code is the exit code (0 unless the verb set it). */
typedef bool command_fn(struct cli *cli, const struct args *args, struct err *err);

#define OPERANDS_MANY 1000000u

/* One row. A table of rows ends with one without a noun. */
struct command {
    const char *noun;
    const char *verb;                  /* NULL: the noun is all of it (`status`) */
    const char *usage;                 /* what follows the words: "NAME --zone trusted|untrusted" */
    const char *summary;               /* one line */
    const char *example;               /* one worked example, as typed and what it says */
    const struct option_spec *options; /* NULL: none of its own */
    unsigned least, most;              /* operands */
    command_fn *run;                   /* NULL: known, but not there yet in this version */
};

/* Every table, ended by NULL. A folder's new verbs are rows of a table here. */
extern const struct command *const command_tables[];
/* --json, --quiet, --state, …: those that every verb takes */
extern const struct option_spec global_options[];

/* Finds the row that the words name; *words is how many it took (1 or 2). `verb` may be NULL. ERR_USAGE names
 * the nearest noun or verb. */
bool command_find(const char *noun, const char *verb, const struct command **out, int *words,
                  struct err *err) MUST_CHECK;

/* On stdout. `noun` NULL: all of them. */
void command_help(const struct command *command);
void command_overview(const char *noun);
bool command_is_noun(const char *word);

#endif
