/* "Did you mean": the candidate that a mistyped word is closest to. Pure. */
#ifndef SEALIFT_CLI_NEAREST_H
#define SEALIFT_CLI_NEAREST_H

#include <stddef.h>

/* Edits that turn one word into the other: insert, delete, replace, swap of neighbours (Damerau,
 * optimal string alignment). Only the first 63 bytes of each count. */
unsigned nearest_distance(const char *a, const char *b);

/* NULL when none is near enough to be meant: within a third of the word's length, and at least 2. */
const char *nearest_word(const char *word, const char *const *candidates, size_t count);

#endif
