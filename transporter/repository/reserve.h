/* The reserve: a file of really allocated bytes in the repository, which is given back when the disk is full,
 * so that points can still be removed and swept, and log entries be written; and made again when there is
 * room. It holds nothing. Drivers without a disk that can fill up have none. */
#ifndef SEALIFT_REPOSITORY_RESERVE_H
#define SEALIFT_REPOSITORY_RESERVE_H

#include "transporter/repository/inside.h"

#define RESERVE_NAME "reserve"
#define RESERVE_BYTES (UINT64_C(64) * 1024 * 1024)
#define RESERVE_MARGIN (UINT64_C(16) * 1024 * 1024) /* what log entries and the like may need */

/* For a repository that is being created. ERR_NO_SPACE, ERR_SYSTEM: there is none then. */
bool reserve_make(const struct storage *storage, struct err *err) MUST_CHECK;
/* Gives it back if less than `wanted` bytes are free. */
void reserve_spend(struct repository *repository, uint64_t wanted);
/* Makes it again, if it is not there and RESERVE_MARGIN stays free. */
void reserve_renew(struct repository *repository);

#endif
