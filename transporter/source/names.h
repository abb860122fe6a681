/* The names in a directory, in bytewise order. Up to a given number they are sorted in memory; more are
 * sorted in runs that go to an unlinked temporary file and are merged when read. "." and ".." are left out.
 */
#ifndef SEALIFT_SOURCE_NAMES_H
#define SEALIFT_SOURCE_NAMES_H

#include "common/base/bytes.h"
#include "common/base/err.h"

struct names;

struct names_limits {
    size_t memory_max;     /* names that are sorted in memory, and the size of a run */
    const char *spill_dir; /* see spill.h */
};

/* Reads the directory to its end; the descriptor is not kept. If reading it fails midway, the names got so
 * far are there and *fault says what happened (else 0). Fails for the temporary file alone. */
bool names_read(int fd, const struct names_limits *limits, struct names **out, int *fault,
                struct err *err) MUST_CHECK;
/* Names that are known: given in bytewise order, copied. */
struct names *names_of(const struct span *list, size_t count);
void names_free(struct names *names);
DEFINE_AUTO(names, struct names *, names_free)

/* how many, at most (a name that was listed twice counts twice) */
size_t names_count(const struct names *names);
/* of memory */
size_t names_bytes(const struct names *names);
/* whether it is among them: known from reading, for CACHEDIR.TAG alone */
bool names_tagged(const struct names *names);
/* The next name, good until the next call; *found = false behind the last. */
bool names_next(struct names *names, struct span *name, bool *found, struct err *err) MUST_CHECK;

#endif
