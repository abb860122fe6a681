/* Self-checking records, of which packs, journals and batches consist (docs/format.md section 6). */
#ifndef SEALIFT_CRYPTO_RECORD_H
#define SEALIFT_CRYPTO_RECORD_H

#include "common/base/err.h"
#include "common/crypto/hash.h"

#define RECORD_HEADER_LEN 16
#define RECORD_MAX_PAYLOAD (8u * 1024 * 1024)

enum record_kind {
    RECORD_ENVELOPE = 1,
    RECORD_FRAME = 2,
    RECORD_LIST = 3,
    RECORD_TRAILER = 4,
    RECORD_REWRAP = 5, /* in answers of a recovery only, never in a pack (docs/protocol.md) */
};

struct record_view {
    enum record_kind kind;
    struct span payload;      /* borrowed */
    struct hash payload_hash; /* computed while checking; of a frame it is what the list names */
    size_t total_len;         /* header and payload */
};

/* Writes the 16 header bytes for a payload whose hash is known. */
void record_header(enum record_kind kind, size_t payload_len, const struct hash *payload_hash,
                   uint8_t out[static RECORD_HEADER_LEN]);
/* Appends header and payload. */
void record_append(struct buf *out, enum record_kind kind, struct span payload);
/* Reads the record at the start of `bytes` and verifies its check.
 * ERR_TRUNCATED when the bytes end inside it, ERR_DAMAGED otherwise. */
bool record_parse(struct span bytes, struct record_view *out, struct err *err) MUST_CHECK;
/* The same without its check, and with payload_hash zero: for bytes that an authenticated connection brought,
 * whose payloads prove themselves (a frame opens to its id, an envelope and a rewrap are signed). */
bool record_split(struct span bytes, struct record_view *out, struct err *err) MUST_CHECK;

#endif
