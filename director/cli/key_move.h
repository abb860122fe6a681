/* Moving a site from the earlier generations of a key to its newest: grants, jobs, and what is withdrawn.
 * Each step is one signed statement and each can be repeated: what was interrupted is finished by the same
 * again, and until then every job runs, under the old generation or the new. */
#ifndef SEALIFT_CLI_KEY_MOVE_H
#define SEALIFT_CLI_KEY_MOVE_H

#include "director/cli/keys.h"

struct key_move {
    size_t granted;   /* halves of the newest generation */
    size_t jobs;      /* signed again with it */
    size_t withdrawn; /* write halves of earlier ones */
};

/* What is still to be done for this newest generation; all zero: nothing. */
bool key_move_left(struct cli *cli, const struct keys *keys, const struct key_entry *newest,
                   struct key_move *out, struct err *err) MUST_CHECK;
/* Does it, in this order: read halves, this operator's first; write halves; jobs; write halves of earlier
 * generations are withdrawn. Recipients that may not have a half any more are passed over with a warning. */
bool key_move_do(struct cli *cli, const struct keys *keys, const struct key_entry *newest,
                 const struct read_half *half, struct key_move *out, struct err *err) MUST_CHECK;

#endif
