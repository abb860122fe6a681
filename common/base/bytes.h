/* Byte strings: a borrowed span, an owned growing buffer, and a cursor that reads little-endian
 * fields with every bound checked. Multi-byte integers are little-endian everywhere in Sealift.
 * Allocation failure aborts the process (alloc.h); sizes read from outside are limited before. */
#ifndef SEALIFT_BASE_BYTES_H
#define SEALIFT_BASE_BYTES_H

#include "common/base/auto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes. */
struct span {
    const uint8_t *data;
    size_t len;
};

static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){.data = data, .len = len};
}
/* of a NUL-terminated string, without the NUL */
struct span span_str(const char *text);
bool span_eq(struct span a, struct span b);
/* bytewise order, a shorter prefix first: <0, 0, >0 */
int span_cmp(struct span a, struct span b);

/* Owned bytes. {0} is an empty buffer. */
struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

void buf_deinit(struct buf *buf);
DEFINE_AUTO_IN_PLACE(buf, struct buf, buf_deinit)

static inline struct span buf_span(const struct buf *buf)
{
    return (struct span){.data = buf->data, .len = buf->len};
}
static inline void buf_clear(struct buf *buf)
{
    buf->len = 0;
}
/* room for `extra` more bytes */
void buf_reserve(struct buf *buf, size_t extra);
/* appends `len` bytes whose content the caller fills in; the pointer is good until the next call */
uint8_t *buf_grow(struct buf *buf, size_t len);
/* `data` must not lie inside the buffer, which may move */
void buf_put(struct buf *buf, const void *data, size_t len);
void buf_put_span(struct buf *buf, struct span bytes);
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_u16(struct buf *buf, uint16_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);
/* text without a terminating NUL */
void buf_put_str(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* appends a NUL that is not counted in len, and returns the text */
const char *buf_cstr(struct buf *buf);

static inline void le16_put(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void le32_put(uint8_t *p, uint32_t v)
{
    le16_put(p, (uint16_t)v);
    le16_put(p + 2, (uint16_t)(v >> 16));
}
static inline void le64_put(uint8_t *p, uint64_t v)
{
    le32_put(p, (uint32_t)v);
    le32_put(p + 4, (uint32_t)(v >> 32));
}
static inline uint16_t le16_get(const uint8_t *p)
{
    return (uint16_t)(p[0] | (p[1] << 8));
}
static inline uint32_t le32_get(const uint8_t *p)
{
    return (uint32_t)le16_get(p) | ((uint32_t)le16_get(p + 2) << 16);
}
static inline uint64_t le64_get(const uint8_t *p)
{
    return (uint64_t)le32_get(p) | ((uint64_t)le32_get(p + 4) << 32);
}

/* A cursor over foreign bytes. A read past the end sets `failed`, yields zeros (or an empty span),
 * and makes every later read fail too: read a whole structure, then ask reader_ok once. */
struct reader {
    const uint8_t *data;
    size_t len;
    size_t pos;
    bool failed;
};

struct reader reader_of(struct span bytes);
uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
/* borrowed from the bytes below the reader */
struct span reader_bytes(struct reader *reader, size_t len);
/* copies exactly len bytes, or zeros when they are not there */
void reader_copy(struct reader *reader, void *out, size_t len);
static inline bool reader_ok(const struct reader *reader)
{
    return !reader->failed;
}
static inline size_t reader_left(const struct reader *reader)
{
    return reader->len - reader->pos;
}
/* nothing failed and nothing is left */
static inline bool reader_done(const struct reader *reader)
{
    return !reader->failed && reader->pos == reader->len;
}

/* Checked arithmetic on foreign numbers: false on overflow, *out untouched. */
bool add_u64(uint64_t a, uint64_t b, uint64_t *out) __attribute__((warn_unused_result));
bool mul_u64(uint64_t a, uint64_t b, uint64_t *out) __attribute__((warn_unused_result));

#endif
