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

/* Where the header's fields stand, for those who make frames. */
enum frame_offset {
    FRAME_AT_VERSION = 0,
    FRAME_AT_TYPE = 1,
    FRAME_AT_CIPHER = 2,
    FRAME_AT_RESERVED = 3,
    FRAME_AT_BODY_LEN = 4,
    FRAME_AT_SEAL = 8,
    FRAME_AT_CHUNK = 24,
    FRAME_AT_NODE_IDS = 56,
    FRAME_AT_DATA_IDS = 58,
    FRAME_AT_NONCE = 60, /* and what stands before it is associated data, as is the clear list */
};

enum cipher { CIPHER_NONE = 0, CIPHER_AES_256_GCM = 1, CIPHER_CHACHA20_POLY1305 = 2 };

/* `aes-256-gcm`, `chacha20-poly1305`, `none`; other names are refused by name (ERR_USAGE) */
bool cipher_parse(const char *name, enum cipher *out, struct err *err) MUST_CHECK;
const char *cipher_name(enum cipher cipher);
/* AES-256-GCM where the CPU has AES instructions, else ChaCha20-Poly1305 */
enum cipher cipher_default(void);

/* Borrowed from the frame's bytes. */
struct frame_view {
    struct span bytes; /* the whole frame */
    enum frame_type type;
    enum cipher cipher;
    struct id seal;
    struct hash chunk;
    size_t node_ids; /* number of ids in clear_nodes */
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

/* Largest raw length of a type. */
uint32_t frame_max_raw(enum frame_type type);
/* `count` ids of 32 bytes stand in ascending order and none twice */
bool frame_ids_ascend(const uint8_t *ids, size_t count);

#endif
