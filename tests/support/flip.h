/* Damage, as a disk does it. */
#ifndef SEALIFT_TESTS_FLIP_H
#define SEALIFT_TESTS_FLIP_H

#include <stdint.h>

/* Changes one bit of the byte there; a second time, it is as it was. Aborts when there is none. */
void flip(const char *path, uint64_t at);

#endif
