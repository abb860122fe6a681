/* The directory of self-backups: bundles that the director writes by a schedule, of which the newest stay.
 * Names tell the time in UTC, director-20261122T033000Z.sealift; other files are left alone. */
#ifndef SEALIFT_DIRECTOR_SELF_BACKUP_H
#define SEALIFT_DIRECTOR_SELF_BACKUP_H

#include "common/base/err.h"

#include <stdint.h>

/* Where a bundle is written before it gets its name; a directory that is not there is made, but none above
 * it. What an earlier process has left is removed. `out` is the caller's to free. */
bool self_backup_begin(const char *directory, char **out, struct err *err) MUST_CHECK;
/* The file gets its name, durably, and all but the `keep` newest bundles are removed. */
bool self_backup_publish(const char *directory, const char *written, uint64_t time_ns, unsigned keep,
                         struct err *err) MUST_CHECK;
/* When the newest one was made; 0: there is none, or it cannot be looked at. */
uint64_t self_backup_newest(const char *directory);

#endif
