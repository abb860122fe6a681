/* The repository side of a recovery: answers the target's questions with frames as they are stored. No
 * key is needed. */
#ifndef SEALIFT_SESSION_SERVE_FETCH_H
#define SEALIFT_SESSION_SERVE_FETCH_H

#include "transporter/repository/fetch.h"
#include "transporter/session/dialler.h"

#include <stdatomic.h>

/* Until the target has all that it wants. `domain`: of the point, NULL in a plaintext repository. A lost
 * connection is waited for; what it was asked is then asked again. */
bool serve_fetch(struct dialler *dialler, struct repository *repository, const struct hash *domain,
                 _Atomic uint64_t *sent_bytes, struct err *err) MUST_CHECK;

#endif
