/* Opening on behalf of a target without the key: content hashes in, plain frames out. Private to
 * serve_fetch.c. One thread. */
#ifndef SEALIFT_SESSION_REOPEN_H
#define SEALIFT_SESSION_REOPEN_H

#include "transporter/pipeline/opener.h"
#include "transporter/repository/fetch.h"

struct reopen;

/* All is borrowed. `root`: chunk id of the node that the hash of zeros stands for. */
bool reopen_new(struct repository *repository, struct opener *opener, const struct hash *root,
                struct reopen **out, struct err *err) MUST_CHECK;
void reopen_free(struct reopen *reopen);
DEFINE_AUTO(reopen, struct reopen *, reopen_free)

/* As repository_fetch, by content hash: frames are plain and named by it. At most FETCH_MAX_IDS. What does
 * not open is told as missing; a key that does not fit ends it. */
bool reopen_fetch(struct reopen *reopen, const struct hash *contents, size_t count,
                  const struct fetch_sink *sink, struct err *err) MUST_CHECK;

#endif
