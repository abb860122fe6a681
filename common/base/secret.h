/* Guarded memory for secrets: sodium_malloc pages (locked, guard pages, no core dump), wiped when
 * freed. There is no way to print a `struct secret`. Sizes are rounded up to 16 so that the bytes
 * are aligned. Short-lived secrets on the stack use AUTO(wipe32) and are wiped on every path. */
#ifndef SEALIFT_BASE_SECRET_H
#define SEALIFT_BASE_SECRET_H

#include "common/base/auto.h"
#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Call once, first thing in main: sodium_init, no core dumps (RLIMIT_CORE 0, PR_SET_DUMPABLE 0).
 * Under SEALIFT_DUMPABLE=1 in the environment dumps stay allowed: only for tests that look for
 * canaries in memory, and for LeakSanitizer, which must be able to trace the process. */
bool secret_process_init(struct err *err) MUST_CHECK;

/* `len` bytes, zeroed, readable and writable. */
struct secret {
    uint8_t *data;
    size_t len;
};

struct secret *secret_new(size_t len);
struct secret *secret_copy(const void *bytes, size_t len);
/* wipes; NULL is allowed */
void secret_free(struct secret *secret);
DEFINE_AUTO(secret, struct secret *, secret_free)

/* Zeroes the bytes in a way the compiler keeps. AUTO(wipe32) uint8_t key[32]; */
void wipe(void *data, size_t len);

static inline __attribute__((unused)) void auto_wipe32(uint8_t (*bytes)[32])
{
    wipe(*bytes, sizeof(*bytes));
}

/* from the system's cryptographic source; any thread */
void random_bytes(void *out, size_t len);

#endif
