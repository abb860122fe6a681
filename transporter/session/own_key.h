/* A source's own key: 32 bytes in a file that the configuration names (docs/format.md section 2). S is
 * these bytes; dedup secret and pre-shared secret follow from S, so the file alone restores everything.
 * Any thread. */
#ifndef SEALIFT_SESSION_OWN_KEY_H
#define SEALIFT_SESSION_OWN_KEY_H

#include "common/crypto/seal/key.h"

/* ERR_NOT_FOUND, ERR_CONFIG: not exactly 32 bytes (both lengths are named), or readable by others. */
bool own_key_load(const char *path, struct read_half **out, struct err *err) MUST_CHECK;
/* The unlock section that points sealed with it carry; appended. */
bool own_key_unlock_section(const struct read_half *half, const char *label, struct buf *out,
                            struct err *err) MUST_CHECK;

#endif
