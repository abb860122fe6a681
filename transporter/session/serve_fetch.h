/* The repository side of a recovery: answers the target's questions with frames as they are stored. No
 * key is needed. */
#ifndef SEALIFT_SESSION_SERVE_FETCH_H
#define SEALIFT_SESSION_SERVE_FETCH_H

#include "transporter/pipeline/opener.h"
#include "transporter/repository/fetch.h"
#include "transporter/session/dialler.h"

#include <stdatomic.h>

/* A repository side that opens, by an order that says so: it answers questions by content hash with plain
 * frames that carry the content hash in the place of the chunk id; a hash of zeros is the root node. */
struct serve_open {
    struct opener *opener;
    struct hash root; /* chunk id */
};

/* Until the target has all that it wants. `domain`: of the point, NULL in a plaintext repository. A lost
 * connection is waited for; what it was asked is then asked again. `open` is NULL where frames go out as
 * they are stored. */
bool serve_fetch(struct dialler *dialler, struct repository *repository, const struct hash *domain,
                 const struct serve_open *open, _Atomic uint64_t *sent_bytes, struct err *err) MUST_CHECK;

#endif
