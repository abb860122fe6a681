/* Ctrl-C (and SIGTERM) as something that a loop can wait for, instead of the end of the process. */
#ifndef SEALIFT_CLI_INTERRUPT_H
#define SEALIFT_CLI_INTERRUPT_H

#include "common/base/err.h"

/* From now on; until then the signals end the process as usual. */
bool interrupt_catch(struct err *err) MUST_CHECK;
/* Back to that. */
void interrupt_release(void);
/* Readable once there was one; -1 when none is caught. For net_poll_fd. */
int interrupt_fd(void);
bool interrupt_seen(void);

#endif
