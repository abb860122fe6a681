/* Statements that are given back to a director before what they refer to: a job whose repository another
 * transporter has. They wait until that is there. Only those whose signature and signer were found good
 * belong here. Of each there is one, the newest version that came, whoever gave it and however often; each
 * giver has so much room and no more, so that none takes another's. Pure. */
#ifndef SEALIFT_DIRECTOR_ORPHANS_H
#define SEALIFT_DIRECTOR_ORPHANS_H

#include "common/wire/statement.h"

#define ORPHANS_OF_ONE_MAX 1024 /* that one transporter gave */
#define ORPHAN_BYTES_OF_ONE_MAX (4u * 1024 * 1024)
#define ORPHANS_MAX 16384
#define ORPHAN_BYTES_MAX (64u * 1024 * 1024)

struct orphans;
struct orphans *orphans_new(void);
void orphans_free(struct orphans *orphans);
DEFINE_AUTO(orphans, struct orphans *, orphans_free)

/* Takes the statement, unless it is here already, in this version or a newer one (it stays the caller's
 * then). ERR_LIMIT: this giver, or all together, have no more room. */
bool orphans_put(struct orphans *orphans, const uint8_t giver[SIGN_PK_LEN], struct statement **statement,
                 struct err *err) MUST_CHECK;

size_t orphans_count(const struct orphans *orphans);
/* Borrowed until the next change. */
const struct statement *orphans_at(const struct orphans *orphans, size_t index);
/* Offers each to `take`, which may empty *statement, and returns whether it is done with; again from the
 * first as long as one was: each may be what another waits for. */
void orphans_offer(struct orphans *orphans, bool (*take)(void *arg, struct statement **statement), void *arg);
void orphans_clear(struct orphans *orphans);

#endif
