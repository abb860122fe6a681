/* Ownership: every owned local is declared with AUTO(x) from its first line, and is released on
 * every path. A type joins by DEFINE_AUTO(name, type, release): `release` takes the value.
 * Moving out is two plain lines: `*out = x; x = NULL;`. */
#ifndef SEALIFT_BASE_AUTO_H
#define SEALIFT_BASE_AUTO_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Some are there to be released and for nothing else: unused, clang would say. */
#define AUTO(name) __attribute__((cleanup(auto_##name), unused))

/* `type *owned` cannot stand in parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
#define DEFINE_AUTO(name, type, release)                                                                     \
    static inline __attribute__((unused)) void auto_##name(type *owned)                                      \
    {                                                                                                        \
        release(*owned);                                                                                     \
    }
/* For values that are released through their address (x_deinit(&x)). */
#define DEFINE_AUTO_IN_PLACE(name, type, release)                                                            \
    static inline __attribute__((unused)) void auto_##name(type *owned)                                      \
    {                                                                                                        \
        release(owned);                                                                                      \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void auto_close_fd(int fd)
{
    if (fd >= 0) (void)close(fd);
}

/* AUTO(fd) int fd = -1;   AUTO(free) char *text = NULL;   AUTO(file) FILE *file = NULL; */
DEFINE_AUTO(fd, int, auto_close_fd)
static inline __attribute__((unused)) void auto_free(void *owned)
{
    free(*(void **)owned);
}
static inline __attribute__((unused)) void auto_file(FILE **owned)
{
    if (*owned) (void)fclose(*owned);
}

#endif
