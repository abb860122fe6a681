/* Asking before something that cannot be taken back. */
#ifndef SEALIFT_CLI_CONFIRM_H
#define SEALIFT_CLI_CONFIRM_H

#include "common/base/err.h"

struct args;

/* For the options of a verb that asks. */
#define CONFIRM_OPTION                                                                                       \
    {                                                                                                        \
        "yes", NULL, "do not ask; needed where there is no terminal"                                         \
    }

/* Says `question` on the terminal and waits for y or n. ERR_CANCELLED: anything but yes. ERR_USAGE: there is
 * neither --yes nor a terminal. */
bool confirm(const struct args *args, const char *question, struct err *err) MUST_CHECK;

#endif
