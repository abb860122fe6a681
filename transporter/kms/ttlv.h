/* TTLV, the encoding of KMIP (OASIS KMIP Specification 1.4, section 9.1): items of a tag, a type, a length
 * and a value, big-endian and padded to eight bytes. Pure; any thread. */
#ifndef SEALIFT_KMS_TTLV_H
#define SEALIFT_KMS_TTLV_H

#include "common/base/bytes.h"
#include "common/base/err.h"

enum {
    TTLV_HEADER_LEN = 8,
    TTLV_LEN_MAX = 64 * 1024, /* of a whole message */
    TTLV_DEPTH_MAX = 8,
};

enum ttlv_type {
    TTLV_STRUCTURE = 1,
    TTLV_INTEGER = 2,
    TTLV_LONG_INTEGER = 3,
    TTLV_BIG_INTEGER = 4,
    TTLV_ENUMERATION = 5,
    TTLV_BOOLEAN = 6,
    TTLV_TEXT = 7,
    TTLV_BYTES = 8,
    TTLV_DATE_TIME = 9,
    TTLV_INTERVAL = 10,
};

/* --- writing; appended --- */

/* What is put until ttlv_end with the result of ttlv_begin is in the structure. */
size_t ttlv_begin(struct buf *out, uint32_t tag);
void ttlv_end(struct buf *out, size_t at);
void ttlv_put_integer(struct buf *out, uint32_t tag, int32_t value);
void ttlv_put_enumeration(struct buf *out, uint32_t tag, uint32_t value);
void ttlv_put_text(struct buf *out, uint32_t tag, struct span text);
void ttlv_put_bytes(struct buf *out, uint32_t tag, struct span bytes);

/* --- reading --- */

/* One item; its value is borrowed and without padding. */
struct ttlv {
    uint32_t tag;
    enum ttlv_type type;
    struct span value;
};

/* How long a message is in all, by its first TTLV_HEADER_LEN bytes, which must begin a structure of this tag.
 * ERR_PROTOCOL. */
bool ttlv_message_len(const uint8_t header[static TTLV_HEADER_LEN], uint32_t tag, size_t *out,
                      struct err *err) MUST_CHECK;

/* The bytes must be one item and nothing else. All that is in it is checked: types, lengths, padding of
 * zeros, depth. ERR_PROTOCOL. */
bool ttlv_parse(struct span bytes, struct ttlv *out, struct err *err) MUST_CHECK;

/* These take items of what ttlv_parse has checked. */

/* The next item of a structure's value, which is moved on; false at its end. */
bool ttlv_next(struct span *rest, struct ttlv *out);
/* The item of this tag and type in a structure. ERR_PROTOCOL if there is none, two, or one of another type;
 * `what` is its name. */
bool ttlv_field(const struct ttlv *structure, uint32_t tag, enum ttlv_type type, const char *what,
                struct ttlv *out, struct err *err) MUST_CHECK;
bool ttlv_has(const struct ttlv *structure, uint32_t tag);
/* of an integer or an enumeration */
uint32_t ttlv_number(const struct ttlv *item);

#endif
