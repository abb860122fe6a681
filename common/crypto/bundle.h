/* A bundle: a file of secrets under a password, written by somebody who does not know the password
 * (docs/format.md section 13). The password gives an X25519 pair (Argon2id, RFC 9106); its public half with
 * the salt is the *lock*, and whoever has the lock can seal and not open. The file is a header of
 * BUNDLE_HEADER_LEN bytes and then pieces: each holds BUNDLE_PIECE_LEN bytes of content, the last one fewer
 * or as many. A piece is bound to the header, to its number and to being the last; the header says how long
 * the file is. So a cut, a changed, a moved and a foreign piece are each found.
 *
 * A bundle is sealed, not signed: its lock stands in it, and makes another bundle that the password opens.
 * Sealing and opening stream; no input or output happens here. One thread at a time. */
#ifndef SEALIFT_CRYPTO_BUNDLE_H
#define SEALIFT_CRYPTO_BUNDLE_H

#include "common/crypto/box.h"
#include "common/crypto/hash.h"
#include "common/crypto/password.h"

#define BUNDLE_HEADER_LEN 272
#define BUNDLE_PIECE_LEN (256u * 1024)
#define BUNDLE_SEALED_MAX (BUNDLE_PIECE_LEN + SMALL_OVERHEAD)
#define BUNDLE_PROGRAM_LEN 16                  /* of a program's version, without a NUL */
#define BUNDLE_CONTENT_MAX (UINT64_C(1) << 44) /* 16 TiB */

/* What seals: no secret. */
struct bundle_lock {
    uint8_t salt[PASSWORD_SALT_LEN];
    struct pwhash_limits limits;
    uint8_t pk[BOX_PK_LEN];
};
/* A new lock of a normalised password, with a random salt. Takes about a second, as bundle_unlock does. */
bool bundle_lock_make(const struct secret *password, const struct pwhash_limits *limits,
                      struct bundle_lock *out, struct err *err) MUST_CHECK;
/* Limits in range and a public key that can be sealed to: ERR_LIMIT, ERR_PROTOCOL. */
bool bundle_lock_check(const struct bundle_lock *lock, struct err *err) MUST_CHECK;
/* The pair of the lock. ERR_WRONG_KEY: another password; ERR_LIMIT; ERR_SYSTEM: not enough memory. */
bool bundle_unlock(const struct bundle_lock *lock, const struct secret *password, struct box_pair **out,
                   struct err *err) MUST_CHECK;

/* What the header says in clear. */
struct bundle_facts {
    struct id site; /* zeros: of a director without one */
    uint64_t time_ns;
    uint64_t content_len;
    char program[BUNDLE_PROGRAM_LEN + 1]; /* version of the program that wrote it */
    struct bundle_lock lock;
};
/* How long the file is. */
uint64_t bundle_file_len(uint64_t content_len);

/* ERR_TRUNCATED; ERR_DAMAGED, also for what is no bundle at all; ERR_VERSION names both. Takes as many of the
 * file's first BUNDLE_HEADER_LEN bytes as there are. */
bool bundle_header_decode(struct span header, struct bundle_facts *out, struct err *err) MUST_CHECK;

struct bundle_stream; /* the pieces of one bundle, in order, on either side */
void bundle_stream_free(struct bundle_stream *stream);
DEFINE_AUTO(bundle_stream, struct bundle_stream *, bundle_stream_free)

/* Begins a bundle and appends its header. `facts->content_len` is at most BUNDLE_CONTENT_MAX. ERR_PROTOCOL: a
 * public key that cannot be sealed to. */
bool bundle_seal_begin(const struct bundle_facts *facts, struct buf *header, struct bundle_stream **out,
                       struct err *err) MUST_CHECK;
/* The last piece is done. (A bundle of no content has one piece, too.) */
bool bundle_over(const struct bundle_stream *stream);
/* How many bytes of content the next piece takes. */
size_t bundle_piece_len(const struct bundle_stream *stream);
/* Appends the next piece, of exactly bundle_piece_len bytes. */
void bundle_seal_piece(struct bundle_stream *stream, struct span content, struct buf *out);

/* `header`: BUNDLE_HEADER_LEN bytes that bundle_header_decode has taken; `pair`: of its lock. ERR_DAMAGED. */
bool bundle_open_begin(struct span header, const struct box_pair *pair, struct bundle_stream **out,
                       struct err *err) MUST_CHECK;
/* The next piece, of bundle_piece_len + SMALL_OVERHEAD bytes. ERR_TRUNCATED, ERR_DAMAGED. */
bool bundle_open_piece(struct bundle_stream *stream, struct span sealed, struct secret **out,
                       struct err *err) MUST_CHECK;

#endif
