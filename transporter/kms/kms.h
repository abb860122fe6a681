/* Protectors outside: wrapping a key's secret S with something that this host's configuration names, and that
 * Sealift does not store (docs/format.md, section 2). Only transporters in the trust zone and the operator's
 * offline commands call it. Blocks for as long as an entry's time limit, kms_wrap for twice that; any thread.
 *
 * Errors name the entry, never a secret, and tell apart: ERR_UNREACHABLE (no answer in time), ERR_POLICY (it
 * refuses), ERR_NOT_FOUND (no such master key), ERR_WRONG_KEY (wrapped by another master key), ERR_DAMAGED,
 * ERR_TRUNCATED and ERR_VERSION (the wrap), ERR_NOT_AUTHENTIC (it gave back something that is not the key),
 * ERR_PROTOCOL (an answer that is none), ERR_CONFIG (the entry, or a wrap of another kind of protector). */
#ifndef SEALIFT_KMS_H
#define SEALIFT_KMS_H

#include "common/crypto/seal/key.h"
#include "transporter/kms/kms_uri.h"

enum {
    KMS_WRAP_MAX = 8192, /* bytes of a wrap */
    KMS_MASTER_MAX = 2304,
};

/* An entry of the configuration. */
struct kms_entry {
    const char *name;
    const struct kms_uri *uri;
    uint32_t timeout_ms; /* of one wrapping, unwrapping or asking in all */
};

/* Appends the wrap of S, whose key id is given. It has been unwrapped once: it works now. */
bool kms_wrap(const struct kms_entry *entry, const uint8_t s[static KEY_SECRET_LEN],
              const struct hash *key_id, struct buf *out, struct err *err) MUST_CHECK;
/* KEY_SECRET_LEN bytes that have this key id. The reason why not does not name the entry: of several that are
 * asked, who tells it does. */
bool kms_unwrap(const struct kms_entry *entry, struct span wrap, const struct hash *key_id, struct secret **s,
                struct err *err) MUST_CHECK;
/* What can be told without asking anybody: the files that the URI names are there, and nobody else's. */
bool kms_check(const struct kms_entry *entry, struct err *err) MUST_CHECK;
/* The id of the master key that wraps at present, for people and for naming wraps by. */
bool kms_describe(const struct kms_entry *entry, char out[static KMS_MASTER_MAX], struct err *err) MUST_CHECK;

#endif
