/* "Did you mean": the candidate that a mistyped word is closest to. Pure. */
#ifndef SEALIFT_CLI_NEAREST_H
#define SEALIFT_CLI_NEAREST_H

#include <stddef.h>

/* NULL when none is near enough to be meant: within a third of the word's length, and at least 2.
 * An edit is to insert, delete or replace a letter, or to swap neighbours (Damerau, optimal string
 * alignment). Only the first 63 bytes of each word count. */
const char *nearest_word(const char *word, const char *const *candidates, size_t count);

#endif
