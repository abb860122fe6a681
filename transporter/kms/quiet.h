/* TLS libraries write to sockets by write(2), which ends a process whose server has hung up, unless SIGPIPE
 * is ignored: AUTO(quiet) struct quiet quiet = quiet_begin(); keeps the signal from this thread meanwhile. */
#ifndef SEALIFT_KMS_QUIET_H
#define SEALIFT_KMS_QUIET_H

#include "common/base/auto.h"

#include <signal.h>

struct quiet {
    sigset_t before;
};

struct quiet quiet_begin(void);
void quiet_end(struct quiet *quiet);
DEFINE_AUTO_IN_PLACE(quiet, struct quiet, quiet_end)

#endif
