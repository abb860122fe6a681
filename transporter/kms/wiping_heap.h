/* A heap for libraries that hold secrets and let their memory be chosen (libcurl, Jansson): what is given
 * back is wiped before it can be used again. The memory is malloc's, so that what came from there may go back
 * here. Any thread. */
#ifndef SEALIFT_KMS_WIPING_HEAP_H
#define SEALIFT_KMS_WIPING_HEAP_H

#include <stddef.h>

void *wiping_malloc(size_t size);
void *wiping_calloc(size_t count, size_t size);
void *wiping_realloc(void *old, size_t size);
char *wiping_strdup(const char *text);
void wiping_free(void *memory);

#endif
