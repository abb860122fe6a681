/* Verbs that the command line will have: they are known by name, and say that they are not there yet. */
#include "director/cli/verbs.h"

#define ABSENT(noun, verb)                                                                                   \
    {                                                                                                        \
        noun, verb, "", "", "", NULL, 0, 0, NULL                                                             \
    }

const struct command absent_commands[] = {
    ABSENT("operator", "remove"),
    ABSENT("job", "pause"),
    ABSENT("job", "resume"),
    ABSENT("job", "drill"),
    ABSENT("point", "diff"),
    ABSENT("search", NULL),
    ABSENT("events", NULL),
    {0},
};
