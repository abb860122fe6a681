/* Keys: the secret S, its unlock pair and id, the halves that grants carry, the keyring
 * (docs/format.md section 2). Linked by transporters and the operator's command line only. */
#ifndef SEALIFT_CRYPTO_SEAL_KEY_H
#define SEALIFT_CRYPTO_SEAL_KEY_H

#include "common/base/err.h"
#include "common/base/secret.h"
#include "common/crypto/hash.h"

#define KEY_SECRET_LEN 32
#define WRITE_HALF_LEN 96
#define KEYRING_MAX_EARLIER 1024

/* What a sealing side holds: it writes and deduplicates, and reads nothing back. */
struct write_half {
    struct hash key_id;
    uint8_t unlock_pk[32];
    struct secret *dedup_key; /* of one domain, 32 */
    struct secret *psk;       /* pre-shared secret, 32 */
};

/* What an opener holds: S and what the keyring says. */
struct read_half {
    struct hash key_id;
    uint8_t unlock_pk[32];
    struct secret *s;            /* 32 */
    struct secret *unlock_sk;    /* 32 */
    struct secret *dedup_secret; /* 32 */
    struct secret *psk;          /* 32 */
    struct secret *earlier;      /* n x 32, earlier S of the same key; NULL if none */
};

void write_half_free(struct write_half *half);
DEFINE_AUTO(write_half, struct write_half *, write_half_free)
void read_half_free(struct read_half *half);
DEFINE_AUTO(read_half, struct read_half *, read_half_free)

/* the secret half of S's unlock pair (X25519) */
void key_unlock_sk(const uint8_t s[static KEY_SECRET_LEN], uint8_t unlock_sk[static 32]);
/* unlock public key and key id of a candidate S */
void key_identity(const uint8_t s[static KEY_SECRET_LEN], uint8_t unlock_pk[static 32], struct hash *key_id);

/* What people see of a key: the first 160 bits of its id in eight groups of base32. */
#define KEY_FINGERPRINT_LEN 40
void key_fingerprint(const struct hash *key_id, char out[static KEY_FINGERPRINT_LEN]);

/* A new key around S: random dedup secret and pre-shared secret, no earlier S. */
struct read_half *read_half_new(const uint8_t s[static KEY_SECRET_LEN]);
/* The same key name around a new S: dedup secret and pre-shared secret are kept, the old S becomes
 * the first of the earlier ones. ERR_LIMIT when there are KEYRING_MAX_EARLIER already. */
bool read_half_rotate(const struct read_half *old, const uint8_t s[static KEY_SECRET_LEN],
                      struct read_half **out, struct err *err) MUST_CHECK;
/* The keyring of a read half, sealed with its S; appended to `out`. */
void keyring_seal(const struct read_half *half, struct buf *out);
/* Opens a keyring with S. ERR_WRONG_KEY if S has not this key id; ERR_DAMAGED if the keyring does not
 * open under the right S; ERR_TRUNCATED (shorter than any keyring), ERR_VERSION. */
bool read_half_open(const uint8_t s[static KEY_SECRET_LEN], const struct hash *key_id, struct span keyring,
                    struct read_half **out, struct err *err) MUST_CHECK;

/* The dedup key of a domain, by name (`t:NAME` or `d:NAME`). */
struct secret *read_half_dedup_key(const struct read_half *half, const char *domain);
/* The write half for one domain; encoded form is WRITE_HALF_LEN bytes. */
struct write_half *write_half_of(const struct read_half *half, const char *domain);
struct secret *write_half_encode(const struct write_half *half);
/* Checks that it hashes to the key id and the domain id. ERR_WRONG_KEY, ERR_TRUNCATED. */
bool write_half_decode(struct span bytes, const struct hash *key_id, const struct hash *domain,
                       struct write_half **out, struct err *err) MUST_CHECK;

/* A further password as a protector: S sealed under a key made from the Argon2id output of that
 * password (common/crypto/password.h) and bound to the key id. Appends KEY_WRAP_LEN bytes. */
#define KEY_WRAP_LEN 72
void key_wrap(const uint8_t pwhash[static 32], const struct read_half *half, struct buf *out);
/* ERR_WRONG_KEY (the password does not open it), ERR_TRUNCATED, ERR_DAMAGED (wrong length, or what it
 * holds has not this key id). */
bool key_unwrap(const uint8_t pwhash[static 32], const struct hash *key_id, struct span wrapped,
                struct secret **s, struct err *err) MUST_CHECK;

#endif
