/* Moving what is referred to out of packs that are to go: frames as they are, with their envelopes and whole
 * signed lists, into new packs. Needs no key. One thread. */
#ifndef SEALIFT_REPOSITORY_REWRITE_H
#define SEALIFT_REPOSITORY_REWRITE_H

#include "transporter/repository/healed.h"
#include "transporter/repository/inside.h"
#include "transporter/repository/live_set.h"

struct rewrite;

/* `live` is borrowed and must outlive it. */
struct rewrite *rewrite_new(struct repository *repository, const struct live_set *live);
/* Drops what has not been published. */
void rewrite_free(struct rewrite *rewrite);
DEFINE_AUTO(rewrite, struct rewrite *, rewrite_free)

/* Whether nothing in the pack is live, as the index says, by the pack's own trailer too: the index is only a
 * cache, and what is removed does not come back. Else ERR_DAMAGED, and the index will be built anew. A
 * trailer that cannot be read says nothing. */
bool rewrite_confirms_dead(const struct rewrite *rewrite, const struct index_pack *pack,
                           struct err *err) MUST_CHECK;
/* Copies what is live in the pack, but not what another pack holds in the very same bytes. ERR_DAMAGED,
 * ERR_TRUNCATED, ERR_NOT_AUTHENTIC, ERR_VERSION: the pack has a fault, or cannot be read, and must stay for a
 * repair; the rewrite can go on with others. Any other failure ends it. */
bool rewrite_pack(struct rewrite *rewrite, const struct index_pack *pack, struct err *err) MUST_CHECK;
/* Copies the same of a damaged pack, as far as frames read and a list that reads names them: what it passes
 * over stays where it is. Frames that their list does not name are told to `healed`. Fails where writing
 * fails, and not for what is wrong with the pack. */
bool rewrite_good_of(struct rewrite *rewrite, const struct index_pack *pack, struct healed *healed,
                     struct err *err) MUST_CHECK;
/* Publishes what is left: from then on every pack that was copied can go. */
bool rewrite_finish(struct rewrite *rewrite, struct err *err) MUST_CHECK;
/* of the packs published so far */
uint64_t rewrite_bytes(const struct rewrite *rewrite);

#endif
