/* Asking the director for a maintenance run of a repository: check, prune, sweep. */
#ifndef SEALIFT_CLI_MAINTAIN_H
#define SEALIFT_CLI_MAINTAIN_H

#include "director/cli/access.h"

/* The run follows by itself on this connection (FOLLOW_STARTED). ERR_BUSY: the repository has such a run
 * already. */
bool maintain_start(struct cli *cli, const struct id *repository, const Sealift__Maintenance *work,
                    struct id *run, struct err *err) MUST_CHECK;

#endif
