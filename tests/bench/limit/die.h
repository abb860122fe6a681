/* How the limit program ends when something fails: a sentence, and code 3. */
#ifndef SEALIFT_BENCH_LIMIT_DIE_H
#define SEALIFT_BENCH_LIMIT_DIE_H

#include <stddef.h>

void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* the caller's, by free(); never NULL */
void *must_alloc(size_t size);

#endif
