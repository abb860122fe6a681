/* Identities: what an operator, a transporter or a director is known by. Three key pairs, because no
 * key has two uses: Ed25519 signs, X25519 opens boxes, and a CURVE pair (X25519 as well; libzmq keeps
 * copies of it in ordinary memory) carries connections. Layouts: docs/format.md section 2. */
#ifndef SEALIFT_CRYPTO_IDENTITY_H
#define SEALIFT_CRYPTO_IDENTITY_H

#include "common/crypto/box.h"
#include "common/crypto/password.h"
#include "common/crypto/sign.h"

#define IDENTITY_NAME_MAX 64
#define IDENTITY_PUBLIC_MAX_LEN 162
#define IDENTITY_FILE_MAX_LEN 512 /* for whoever reads a key file */
#define FINGERPRINT_TEXT_LEN 40   /* with the NUL */

/* What others know. */
struct identity_public {
    char name[IDENTITY_NAME_MAX + 1];
    uint8_t sign_pk[SIGN_PK_LEN];
    uint8_t box_pk[BOX_PK_LEN];
    uint8_t transport_pk[BOX_PK_LEN];
};

struct identity {
    struct identity_public known;
    struct sign_pair *sign;
    struct box_pair *box;
    struct box_pair *transport;
};

/* 1 to IDENTITY_NAME_MAX of the characters A-Z a-z 0-9 . _ -, the first a letter or a digit; else
 * ERR_USAGE. The name is part of domain names, of routing ids and of what people compare. */
bool identity_name_check(const char *name, struct err *err) MUST_CHECK;

/* Random keys under a name. */
bool identity_new(const char *name, struct identity **out, struct err *err) MUST_CHECK;
void identity_free(struct identity *identity);
DEFINE_AUTO(identity, struct identity *, identity_free)

/* 160 bits over the name and all three public keys, for people to compare: eight groups of four
 * base32 characters, "ABCD-EFGH-…". */
void identity_fingerprint(const struct identity_public *known, char out[static FINGERPRINT_TEXT_LEN]);

/* The public part, as the wire and the key file carry it; appended to `out`. */
void identity_public_encode(const struct identity_public *known, struct buf *out);
/* ERR_TRUNCATED, ERR_VERSION, ERR_DAMAGED (a bad name, bytes left over). */
bool identity_public_decode(struct span bytes, struct identity_public *out, struct err *err) MUST_CHECK;

enum identity_protection { IDENTITY_PLAIN = 0, IDENTITY_PASSWORD = 1 };

/* The key file, with the secrets as they are: for daemons, whose file has mode 0600. */
struct secret *identity_encode(const struct identity *identity);
/* The key file under a normalised password. ERR_LIMIT, ERR_SYSTEM as password_hash. */
bool identity_seal(const struct identity *identity, const struct secret *password,
                   const struct pwhash_limits *limits, struct secret **out, struct err *err) MUST_CHECK;
/* Who a key file is of, and whether it needs a password; opens nothing. ERR_TRUNCATED, ERR_VERSION,
 * ERR_DAMAGED. */
bool identity_file_peek(struct span file, struct identity_public *known, enum identity_protection *protection,
                        struct err *err) MUST_CHECK;
/* Opens a key file; `password` is NULL for a plain one. ERR_NO_KEY: it needs a password;
 * ERR_NOT_ENCRYPTED: it has none and one was given; ERR_WRONG_KEY: the password does not open it;
 * and as identity_file_peek and password_hash. */
bool identity_open(struct span file, const struct secret *password, struct identity **out,
                   struct err *err) MUST_CHECK;

#endif
