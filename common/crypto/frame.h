/* A frame as stored and sent (docs/format.md section 4): what can be read of it without any key.
 * Sealing and opening are in common/crypto/seal/. */
#ifndef SEALIFT_CRYPTO_FRAME_H
#define SEALIFT_CRYPTO_FRAME_H

#include "common/base/err.h"
#include "common/crypto/hash.h"

#define FRAME_HEADER_LEN 72
#define FRAME_TAG_LEN 16
#define FRAME_NONCE_LEN 12
#define FRAME_INNER_LEN 12                /* raw length, stored length, compression, reserved */
#define FRAME_MAX_BODY (5u * 1024 * 1024) /* padded body */
#define FRAME_MAX_RAW_DATA (4u * 1024 * 1024)
#define FRAME_MAX_RAW_NODE (2u * 1024 * 1024)
#define FRAME_MAX_CLEAR 16384u /* ids in the clear list */
#define FRAME_MAX_LEN (FRAME_HEADER_LEN + 32u * FRAME_MAX_CLEAR + FRAME_MAX_BODY + FRAME_TAG_LEN)

enum cipher { CIPHER_NONE = 0, CIPHER_AES_256_GCM = 1, CIPHER_CHACHA20_POLY1305 = 2 };

/* `aes-256-gcm`, `chacha20-poly1305`, `none`; other names are refused by name (ERR_USAGE) */
bool cipher_parse(const char *name, enum cipher *out, struct err *err) MUST_CHECK;
const char *cipher_name(enum cipher cipher);
/* AES-256-GCM where the CPU has AES instructions, else ChaCha20-Poly1305 */
enum cipher cipher_default(void);

/* Borrowed from the frame's bytes. */
struct frame_view {
    enum frame_type type;
    enum cipher cipher;
    struct id seal;
    struct hash chunk;
    size_t node_ids;    /* number of ids in clear_nodes */
    size_t data_ids;
    const uint8_t *clear_nodes; /* node_ids x 32, ascending */
    const uint8_t *clear_data;  /* data_ids x 32, ascending */
    struct span clear;          /* both lists */
    const uint8_t *nonce;
    struct span body; /* without the tag */
    const uint8_t *tag;
};

/* Validates everything that the clear bytes say: versions, reserved fields, limits, order of the
 * lists, exact total length. ERR_VERSION, ERR_DAMAGED or ERR_TRUNCATED. */
bool frame_parse(struct span bytes, struct frame_view *out, struct err *err) MUST_CHECK;

#endif
