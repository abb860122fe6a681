/* S that a KMS gave an opener comes back to the operator who ordered the run, and with it the copies of all
 * operators (docs/keys.md). */
#ifndef SEALIFT_CLI_KEY_BACK_H
#define SEALIFT_CLI_KEY_BACK_H

#include "director/cli/keys.h"

/* What came with the end of a run of `order` (whose point is `point`, or NULL if that is not known): S is
 * taken only if it is bound to this order and is the key; then this operator and every other who has no copy
 * gets one. A copy that somebody withdrew stays withdrawn, but for this operator's own withdrawal of his own.
 * Says what was done; what goes wrong is a warning. */
void key_back_take(struct cli *cli, const struct id *order, const struct id *point,
                   const Sealift__Warnings *warnings);

#endif
