/* Signed lists of frame hashes (docs/format.md section 5): they let a machine without keys tell a
 * genuine frame from a substituted one. One list covers exactly one batch. */
#ifndef SEALIFT_CRYPTO_SEAL_LIST_H
#define SEALIFT_CRYPTO_SEAL_LIST_H

#include "common/crypto/hash.h"
#include "common/crypto/sign.h"

#define SEAL_LIST_FIXED_LEN 128 /* length of a list of no frames: 64 header bytes and the signature */
#define SEAL_LIST_MAX 4096

enum pack_class { PACK_DATA = 1, PACK_META = 2 };

struct seal_list_view {
    enum pack_class class_;
    struct id seal;
    uint8_t writer[32];
    uint64_t number; /* from 1 within the seal */
    size_t count;
    const uint8_t *hashes; /* count x 32, borrowed */
};

/* Appends the encoded, signed list to `out`. count is 1 to SEAL_LIST_MAX. */
void seal_list_encode(const struct sign_pair *writer, enum pack_class class_, const struct id *seal,
                      uint64_t number, const struct hash *hashes, size_t count, struct buf *out);
/* Parses and verifies the signature: ERR_TRUNCATED, ERR_VERSION, ERR_DAMAGED, ERR_NOT_AUTHENTIC. */
bool seal_list_parse(struct span bytes, struct seal_list_view *out, struct err *err) MUST_CHECK;

#endif
