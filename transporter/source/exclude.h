/* Which paths a backup leaves out. Patterns are a subset of gitignore's, with the meaning that users of
 * restic expect; paths are matched whole, as bytes, with upper and lower case told apart.
 *
 *   *.o            a pattern without '/' matches the name of an entry in any directory
 *   build/cache    one with '/' matches the last components of a path, in any directory
 *   /home/x/tmp    with a leading '/' it matches from the root
 *   cache/         with a trailing '/' it matches directories only
 *   **             as a whole component: any number of components, also none; as the last one: everything
 *                  below, but not the directory itself
 *   * ? [a-z] [!a] within a component: any run of bytes; one byte; one of a set; one not of a set
 *   \x             the byte x itself
 *   !PATTERN       takes back an exclusion by an earlier pattern; the last one that matches decides
 *
 * A directory that is excluded is not read, so a '!' pattern reaches nothing below it. The paths chosen
 * for backup, and the directories that lead to them, are never excluded. */
#ifndef SEALIFT_SOURCE_EXCLUDE_H
#define SEALIFT_SOURCE_EXCLUDE_H

#include "common/base/bytes.h"
#include "common/base/err.h"

#define EXCLUDE_PATTERN_MAX 4096u

struct exclude;

/* ERR_USAGE names a pattern that is empty, too long, ends in '\', has an open '[' or a component ".". */
bool exclude_new(const char *const *patterns, size_t count, struct exclude **out, struct err *err) MUST_CHECK;
void exclude_free(struct exclude *exclude);
DEFINE_AUTO(exclude, struct exclude *, exclude_free)

enum exclude_kind { EXCLUDE_DIRECTORY, EXCLUDE_OTHER };
/* `path` without a leading '/'. Any thread. */
bool exclude_matches(const struct exclude *exclude, struct span path, enum exclude_kind kind);

#endif
