#include "die.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fputs("bench-limit: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(3);
}

void *must_alloc(size_t size)
{
    void *memory = malloc(size);
    if (!memory) die("out of memory");
    return memory;
}
