/* What a writer has seen of the logs of others' repositories: the newest head of each, in a small file of its
 * local state. A log that ends before it, or has another entry there, was rolled back. Whoever brings a
 * repository back from a copy on purpose signs it anew, which forgets what was seen. Any thread. */
#ifndef SEALIFT_SESSION_HEAD_MEMORY_H
#define SEALIFT_SESSION_HEAD_MEMORY_H

#include "common/base/err.h"
#include "common/crypto/hash.h"

struct head_memory {
    uint64_t statement; /* version of the repository's statement at that time */
    uint64_t number;    /* 0: nothing is remembered */
    struct hash hash;
};

/* Of a file that is absent, cut or damaged: nothing is remembered. */
void head_memory_load(const char *state_dir, const struct id *repository, struct head_memory *out);
/* Is `now` the head of the same log, or a later one? `before` was loaded before the repository's side was
 * asked, so that no run beside this one has come between. ERR_NOT_AUTHENTIC. */
bool head_memory_check(const struct head_memory *before, const struct head_memory *now,
                       struct err *err) MUST_CHECK;
/* Keeps it, unless what is kept is newer. */
bool head_memory_keep(const char *state_dir, const struct id *repository, const struct head_memory *now,
                      struct err *err) MUST_CHECK;

#endif
