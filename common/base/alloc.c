#include "common/base/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void alloc_abort(size_t size)
{
    char line[80];
    int len = snprintf(line, sizeof(line), "level=error event=out_of_memory bytes=%zu\n", size);
    if (len > 0) {
        ssize_t ignored = write(STDERR_FILENO, line, (size_t)len);
        (void)ignored;
    }
    abort();
}

void *xmalloc(size_t size)
{
    void *fresh = malloc(size ? size : 1);
    if (!fresh) alloc_abort(size);
    return fresh;
}

void *xcalloc(size_t count, size_t size)
{
    void *fresh = calloc(count ? count : 1, size ? size : 1);
    if (!fresh) alloc_abort(size && count > SIZE_MAX / size ? SIZE_MAX : count * size);
    return fresh;
}

void *xrealloc(void *old, size_t size)
{
    void *fresh = realloc(old, size ? size : 1);
    if (!fresh) alloc_abort(size);
    return fresh;
}

void *xreallocarray(void *old, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) alloc_abort(SIZE_MAX);
    return xrealloc(old, total);
}

char *xstrdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(xmalloc(size), text, size);
}

char *xasprintf(const char *fmt, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0) alloc_abort(0);
    return text;
}
