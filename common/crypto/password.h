/* Passwords: one form for what people type on different machines, and Argon2id (RFC 9106) over it. */
#ifndef SEALIFT_CRYPTO_PASSWORD_H
#define SEALIFT_CRYPTO_PASSWORD_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/secret.h"

#define PASSWORD_MAX_LEN 4096   /* bytes as typed */
#define PASSWORD_STRONG_FROM 12 /* code points */
#define PASSWORD_SALT_LEN 16
#define PASSWORD_HASH_LEN 32

enum password_strength { PASSWORD_STRONG, PASSWORD_WEAK };

/* Takes one trailing line end ("\n" or "\r\n") off and brings the rest to Unicode normal form C.
 * ERR_USAGE: empty, not UTF-8, holds a NUL, or holds a code point that this Unicode version does not
 * assign (a later version might normalise it differently). ERR_LIMIT: over PASSWORD_MAX_LEN bytes.
 * Weak is under PASSWORD_STRONG_FROM code points: whether that will do is the caller's decision. */
bool password_normalise(struct span typed, struct secret **out, enum password_strength *strength,
                        struct err *err) MUST_CHECK;

/* What a derivation costs; stored beside the salt. */
struct pwhash_limits {
    uint64_t passes;
    uint64_t memory_bytes;
};
/* the default for new passwords: 3 passes over 256 MiB */
#define PWHASH_MODERATE ((struct pwhash_limits){.passes = 3, .memory_bytes = UINT64_C(256) << 20})
/* the least that is accepted, of stored limits as well: 2 passes over 64 MiB */
#define PWHASH_INTERACTIVE ((struct pwhash_limits){.passes = 2, .memory_bytes = UINT64_C(64) << 20})
#define PWHASH_MAX_PASSES 64
#define PWHASH_MAX_MEMORY (UINT64_C(4) << 30)

/* Argon2id 1.3, one lane, of a normalised password: PASSWORD_HASH_LEN bytes. Limits outside the range
 * above are ERR_LIMIT before anything is derived; ERR_SYSTEM when there is not that much memory.
 * Takes about a second: not on a loop's thread. */
bool password_hash(const struct secret *password, const uint8_t salt[static PASSWORD_SALT_LEN],
                   const struct pwhash_limits *limits, struct secret **out, struct err *err) MUST_CHECK;

#endif
