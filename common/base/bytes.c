#include "common/base/bytes.h"

#include "common/base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct span span_str(const char *text)
{
    return span_of(text, strlen(text));
}

bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int span_cmp(struct span a, struct span b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.data, b.data, shared) : 0;
    if (order != 0) return order;
    return (a.len > b.len) - (a.len < b.len);
}

void buf_deinit(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_reserve(struct buf *buf, size_t extra)
{
    if (extra <= buf->cap - buf->len) return;
    size_t need;
    if (__builtin_add_overflow(buf->len, extra, &need)) alloc_abort(SIZE_MAX);
    size_t cap = buf->cap;
    if (__builtin_add_overflow(cap, cap / 2, &cap) || cap < need) cap = need;
    if (cap < 64) cap = 64;
    buf->data = xrealloc(buf->data, cap);
    buf->cap = cap;
}

uint8_t *buf_grow(struct buf *buf, size_t len)
{
    buf_reserve(buf, len ? len : 1);
    uint8_t *fresh = buf->data + buf->len;
    buf->len += len;
    return fresh;
}

void buf_put(struct buf *buf, const void *data, size_t len)
{
    if (len) memcpy(buf_grow(buf, len), data, len);
}

void buf_put_span(struct buf *buf, struct span bytes)
{
    buf_put(buf, bytes.data, bytes.len);
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
    *buf_grow(buf, 1) = value;
}

void buf_put_u16(struct buf *buf, uint16_t value)
{
    le16_put(buf_grow(buf, 2), value);
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
    le32_put(buf_grow(buf, 4), value);
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
    le64_put(buf_grow(buf, 8), value);
}

void buf_put_str(struct buf *buf, const char *text)
{
    buf_put(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len <= 0) return;
    buf_reserve(buf, (size_t)len + 1);
    va_start(args, fmt);
    (void)vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)len;
}

const char *buf_cstr(struct buf *buf)
{
    buf_reserve(buf, 1);
    buf->data[buf->len] = 0;
    return (const char *)buf->data;
}

struct reader reader_of(struct span bytes)
{
    return (struct reader){.data = bytes.data, .len = bytes.len};
}

/* The next `len` bytes, or NULL when they are not there. */
static const uint8_t *take(struct reader *reader, size_t len)
{
    if (reader->failed || len > reader_left(reader)) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->data + reader->pos;
    reader->pos += len;
    return at;
}

uint8_t reader_u8(struct reader *reader)
{
    const uint8_t *at = take(reader, 1);
    return at ? *at : 0;
}

uint16_t reader_u16(struct reader *reader)
{
    const uint8_t *at = take(reader, 2);
    return at ? le16_get(at) : 0;
}

uint32_t reader_u32(struct reader *reader)
{
    const uint8_t *at = take(reader, 4);
    return at ? le32_get(at) : 0;
}

uint64_t reader_u64(struct reader *reader)
{
    const uint8_t *at = take(reader, 8);
    return at ? le64_get(at) : 0;
}

struct span reader_bytes(struct reader *reader, size_t len)
{
    if (len == 0) return span_of(NULL, 0);
    const uint8_t *at = take(reader, len);
    return span_of(at, at ? len : 0);
}

void reader_copy(struct reader *reader, void *out, size_t len)
{
    if (len == 0) return;
    const uint8_t *at = take(reader, len);
    if (at)
        memcpy(out, at, len);
    else
        memset(out, 0, len);
}

bool add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *out = sum;
    return true;
}

bool mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product)) return false;
    *out = product;
    return true;
}
