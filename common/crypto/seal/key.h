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
    struct secret *s;             /* 32 */
    struct secret *unlock_sk;     /* 32 */
    struct secret *dedup_secret;  /* 32 */
    struct secret *psk;           /* 32 */
    struct secret *earlier;       /* n x 32, earlier S of the same key, the latest first; NULL if none */
    struct secret *earlier_dedup; /* n x 32, dedup secrets of before a rotation that made a new one, the
                                     latest first; NULL if none */
};

void write_half_free(struct write_half *half);
DEFINE_AUTO(write_half, struct write_half *, write_half_free)
void read_half_free(struct read_half *half);
DEFINE_AUTO(read_half, struct read_half *, read_half_free)

/* the secret half of S's unlock pair (X25519) */
void key_unlock_sk(const uint8_t s[static KEY_SECRET_LEN], uint8_t unlock_sk[static 32]);
/* unlock public key and key id of a candidate S */
void key_identity(const uint8_t s[static KEY_SECRET_LEN], uint8_t unlock_pk[static 32], struct hash *key_id);
/* Whether these bytes are the S of this key: no others are to be used under its id. */
bool key_is(const struct secret *s, const struct hash *key_id);

/* What people see of a key: the first 160 bits of its id in eight groups of base32. */
#define KEY_FINGERPRINT_LEN 40
void key_fingerprint(const struct hash *key_id, char out[static KEY_FINGERPRINT_LEN]);

/* A new key around S: random dedup secret and pre-shared secret, no earlier S. */
struct read_half *read_half_new(const uint8_t s[static KEY_SECRET_LEN]);
enum rotate_dedup { ROTATE_KEEP_DEDUP, ROTATE_NEW_DEDUP };
/* The same key name around a new S: the pre-shared secret is kept, the old S becomes the first of the earlier
 * ones. The dedup secret is kept too, or a random one takes its place and it becomes the first of the earlier
 * ones. ERR_LIMIT when there are KEYRING_MAX_EARLIER already; ERR_EXISTS: S is one of this key's already. */
bool read_half_rotate(const struct read_half *old, const uint8_t s[static KEY_SECRET_LEN],
                      enum rotate_dedup dedup, struct read_half **out, struct err *err) MUST_CHECK;
/* How many earlier S there are. */
size_t read_half_earlier_count(const struct read_half *half);
/* The S that has this key id: the half's own, or one of the earlier. Borrowed, KEY_SECRET_LEN bytes; NULL: it
 * holds none. */
const uint8_t *read_half_secret_of(const struct read_half *half, const struct hash *key_id);
/* For opening: makes the dedup secret that yields this id of the domain the half's own, where an earlier one
 * does. No keyring may be sealed of the half afterwards. ERR_DAMAGED: none does. */
bool read_half_use_domain(struct read_half *half, const char *domain, const struct hash *domain_id,
                          struct err *err) MUST_CHECK;
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
