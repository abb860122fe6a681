/* Memory that is either there or the process ends with one clear line: Sealift bounds every size
 * that comes from outside before it allocates, so running out is the machine's failure. */
#ifndef SEALIFT_BASE_ALLOC_H
#define SEALIFT_BASE_ALLOC_H

#include <stddef.h>

/* What the allocators do when there is no memory: one line on stderr, then abort(). */
void alloc_abort(size_t size) __attribute__((noreturn));

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *old, size_t size) __attribute__((returns_nonnull));
/* count * size with overflow checked */
void *xreallocarray(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

#endif
