/* What the director may read of an error: all of it but the paths. Where a repository lies is sealed to its
 * owner and to operators, and so is what is backed up. */
#ifndef SEALIFT_CORE_PUBLIC_TEXT_H
#define SEALIFT_CORE_PUBLIC_TEXT_H

#include "common/base/bytes.h"

/* Appends `text` with '…' in the place of every quoted absolute path. A quote ends at a ' before a space, a
 * punctuation mark or the end, so that one inside a path does not end it; a path that was cut short is left
 * out to the end. */
void public_text(const char *text, struct buf *out);

#endif
