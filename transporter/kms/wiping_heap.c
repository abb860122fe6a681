#include "transporter/kms/wiping_heap.h"

#include "common/base/secret.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *wiping_malloc(size_t size)
{
    return malloc(size);
}

void *wiping_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

void wiping_free(void *memory)
{
    if (memory) wipe(memory, malloc_usable_size(memory));
    free(memory);
}

/* libc's own would leave the old bytes where they were. */
void *wiping_realloc(void *old, size_t size)
{
    if (!old) return malloc(size);
    void *memory = malloc(size ? size : 1);
    if (!memory) return NULL;
    size_t had = malloc_usable_size(old);
    memcpy(memory, old, had < size ? had : size);
    wiping_free(old);
    return memory;
}

char *wiping_strdup(const char *text)
{
    return strdup(text);
}
