/* What was typed after the noun and the verb: options with getopt_long, and operands. */
#ifndef SEALIFT_CLI_ARGS_H
#define SEALIFT_CLI_ARGS_H

#include "common/base/auto.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* A table of options ends with an entry without a name. */
struct option_spec {
    const char *name;  /* without "--" */
    const char *value; /* what help calls its value; NULL: a flag */
    const char *help;  /* NULL: not there yet in this version, refused by name */
};

/* Of verbs that start a run and leave unless they are told to stay; and of those that always stay. */
#define WAIT_OPTION                                                                                          \
    {                                                                                                        \
        "wait", NULL, "wait until the run ends, and end as it does"                                          \
    }
#define WAITS_ANYWAY_OPTION                                                                                  \
    {                                                                                                        \
        "wait", NULL, "changes nothing: this command always waits until it is done"                          \
    }

struct args;

enum args_stop { ARGS_ALL, ARGS_BEFORE_FIRST_OPERAND };

/* Reads argv[1…] by one or two tables (`more` may be NULL). argv is reordered, borrowed and must outlive the
 * result. ERR_USAGE names the option, and the nearest one if it is unknown. Not reentrant. */
bool args_parse(int argc, char **argv, enum args_stop stop, const struct option_spec *specs,
                const struct option_spec *more, struct args **out, struct err *err) MUST_CHECK;
void args_free(struct args *args);
DEFINE_AUTO(args, struct args *, args_free)

/* Asking for an option that no table has is a mistake of the caller's. */
bool args_flag(const struct args *args, const char *name);
/* The last one given, or NULL. */
const char *args_value(const struct args *args, const char *name);
/* Every one given, in order; NULL behind the last. */
const char *args_nth(const struct args *args, const char *name, size_t index);

size_t args_operand_count(const struct args *args);
/* NULL behind the last */
const char *args_operand(const struct args *args, size_t index);
/* How many words of argv the options took, for ARGS_BEFORE_FIRST_OPERAND: argv[that] is the operand. */
int args_taken(const struct args *args);

/* The number of an option: ERR_USAGE unless it is a decimal number from `least` to `most`. *out is untouched
 * when the option was not given. */
bool args_number(const struct args *args, const char *name, unsigned least, unsigned most, unsigned *out,
                 struct err *err) MUST_CHECK;

#endif
