#include "transporter/kms/ttlv.h"

#include <assert.h>
#include <string.h>

enum {
    ALIGNMENT = 8,
    TAG_FIRST = 0x420000, /* of the specification's own tags; extensions begin with 0x54 */
    TAG_LAST = 0x42ffff,
    EXTENSION_FIRST = 0x540000,
    EXTENSION_LAST = 0x54ffff,
    ANY_LENGTH = -1,
};

static void be32_put(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static uint32_t be32_get(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static size_t padding_of(size_t len)
{
    return (ALIGNMENT - len % ALIGNMENT) % ALIGNMENT;
}

/* --- writing --- */

static void put_header(struct buf *out, uint32_t tag, enum ttlv_type type, size_t len)
{
    uint8_t *header = buf_grow(out, TTLV_HEADER_LEN);
    be32_put(header, tag << 8 | (uint32_t)type);
    be32_put(header + 4, (uint32_t)len);
}

static void put(struct buf *out, uint32_t tag, enum ttlv_type type, struct span value)
{
    assert(value.len <= TTLV_LEN_MAX);
    size_t padding = padding_of(value.len);
    put_header(out, tag, type, value.len);
    buf_put_span(out, value);
    memset(buf_grow(out, padding), 0, padding);
}

static void put_number(struct buf *out, uint32_t tag, enum ttlv_type type, uint32_t value)
{
    uint8_t bytes[4];
    be32_put(bytes, value);
    put(out, tag, type, span_of(bytes, sizeof(bytes)));
}

size_t ttlv_begin(struct buf *out, uint32_t tag)
{
    put_header(out, tag, TTLV_STRUCTURE, 0);
    return out->len;
}

void ttlv_end(struct buf *out, size_t at)
{
    be32_put(out->data + at - 4, (uint32_t)(out->len - at));
}

void ttlv_put_integer(struct buf *out, uint32_t tag, int32_t value)
{
    put_number(out, tag, TTLV_INTEGER, (uint32_t)value);
}

void ttlv_put_enumeration(struct buf *out, uint32_t tag, uint32_t value)
{
    put_number(out, tag, TTLV_ENUMERATION, value);
}

void ttlv_put_text(struct buf *out, uint32_t tag, struct span text)
{
    put(out, tag, TTLV_TEXT, text);
}

void ttlv_put_bytes(struct buf *out, uint32_t tag, struct span bytes)
{
    put(out, tag, TTLV_BYTES, bytes);
}

/* --- reading --- */

/* The length of every value of a type. */
static bool length_of(uint8_t type, int *out)
{
    static const int lengths[] = {
        [TTLV_STRUCTURE] = ANY_LENGTH, [TTLV_INTEGER] = 4,
        [TTLV_LONG_INTEGER] = 8,       [TTLV_BIG_INTEGER] = ANY_LENGTH,
        [TTLV_ENUMERATION] = 4,        [TTLV_BOOLEAN] = 8,
        [TTLV_TEXT] = ANY_LENGTH,      [TTLV_BYTES] = ANY_LENGTH,
        [TTLV_DATE_TIME] = 8,          [TTLV_INTERVAL] = 4,
    };
    if (type == 0 || type >= sizeof(lengths) / sizeof(lengths[0])) return false;
    *out = lengths[type];
    return true;
}

static bool is_tag(uint32_t tag)
{
    return (tag >= TAG_FIRST && tag <= TAG_LAST) || (tag >= EXTENSION_FIRST && tag <= EXTENSION_LAST);
}

/* Splits the first item off; *len is how many bytes it takes. Looks at no item inside. */
static bool take(struct span bytes, struct ttlv *out, size_t *len, struct err *err)
{
    int fixed = 0;
    if (bytes.len < TTLV_HEADER_LEN) return err_set(err, ERR_PROTOCOL, "TTLV: an item is cut off");
    uint32_t head = be32_get(bytes.data);
    size_t value_len = be32_get(bytes.data + 4), padding = padding_of(value_len);
    if (!is_tag(head >> 8)) return err_set(err, ERR_PROTOCOL, "TTLV: 0x%06x is no tag", head >> 8);
    if (!length_of((uint8_t)head, &fixed))
        return err_set(err, ERR_PROTOCOL, "TTLV: item 0x%06x is of the unknown type %u", head >> 8,
                       head & 0xff);
    if (fixed != ANY_LENGTH && value_len != (size_t)fixed)
        return err_set(err, ERR_PROTOCOL, "TTLV: item 0x%06x has %zu bytes instead of %d", head >> 8,
                       value_len, fixed);
    size_t room = bytes.len - TTLV_HEADER_LEN;
    if (value_len > room || padding > room - value_len)
        return err_set(err, ERR_PROTOCOL, "TTLV: item 0x%06x is cut off", head >> 8);
    for (size_t i = 0; i < padding; i++)
        if (bytes.data[TTLV_HEADER_LEN + value_len + i] != 0)
            return err_set(err, ERR_PROTOCOL, "TTLV: item 0x%06x is not padded with zeros", head >> 8);
    *out = (struct ttlv){head >> 8, (enum ttlv_type)(head & 0xff),
                         span_of(bytes.data + TTLV_HEADER_LEN, value_len)};
    *len = TTLV_HEADER_LEN + value_len + padding;
    return true;
}

/* All items of a structure; recurses at most TTLV_DEPTH_MAX times. */
static bool check_inside(struct span value, int depth, struct err *err)
{
    if (depth > TTLV_DEPTH_MAX)
        return err_set(err, ERR_PROTOCOL, "TTLV: more than %d structures in each other", TTLV_DEPTH_MAX);
    while (value.len > 0) {
        struct ttlv item;
        size_t len = 0;
        if (!take(value, &item, &len, err)) return false;
        if (item.type == TTLV_STRUCTURE && !check_inside(item.value, depth + 1, err)) return false;
        value = span_of(value.data + len, value.len - len);
    }
    return true;
}

bool ttlv_message_len(const uint8_t header[static TTLV_HEADER_LEN], uint32_t tag, size_t *out,
                      struct err *err)
{
    size_t len = be32_get(header + 4);
    if (be32_get(header) != (tag << 8 | TTLV_STRUCTURE))
        return err_set(err, ERR_PROTOCOL, "TTLV: no message begins with 0x%08x", be32_get(header));
    if (len > TTLV_LEN_MAX - TTLV_HEADER_LEN || len % ALIGNMENT != 0)
        return err_set(err, ERR_PROTOCOL, "TTLV: a message of %zu bytes", len);
    *out = TTLV_HEADER_LEN + len;
    return true;
}

bool ttlv_parse(struct span bytes, struct ttlv *out, struct err *err)
{
    struct ttlv item;
    size_t len = 0;
    if (bytes.len > TTLV_LEN_MAX)
        return err_set(err, ERR_PROTOCOL, "TTLV: %zu bytes are too many", bytes.len);
    if (!take(bytes, &item, &len, err)) return false;
    if (len != bytes.len) return err_set(err, ERR_PROTOCOL, "TTLV: more bytes after the item");
    if (item.type == TTLV_STRUCTURE && !check_inside(item.value, 1, err)) return false;
    *out = item;
    return true;
}

bool ttlv_next(struct span *rest, struct ttlv *out)
{
    size_t len = 0;
    struct err checked_before;
    if (rest->len == 0 || !take(*rest, out, &len, &checked_before)) return false;
    *rest = span_of(rest->data + len, rest->len - len);
    return true;
}

bool ttlv_field(const struct ttlv *structure, uint32_t tag, enum ttlv_type type, const char *what,
                struct ttlv *out, struct err *err)
{
    struct span rest = structure->value;
    struct ttlv item, found = {0};
    while (ttlv_next(&rest, &item)) {
        if (item.tag != tag) continue;
        if (found.tag == tag) return err_set(err, ERR_PROTOCOL, "%s stands there twice", what);
        if (item.type != type) return err_set(err, ERR_PROTOCOL, "%s is of another type", what);
        found = item;
    }
    if (found.tag != tag) return err_set(err, ERR_PROTOCOL, "%s is missing", what);
    *out = found;
    return true;
}

bool ttlv_has(const struct ttlv *structure, uint32_t tag)
{
    struct span rest = structure->value;
    struct ttlv item;
    while (ttlv_next(&rest, &item))
        if (item.tag == tag) return true;
    return false;
}

uint32_t ttlv_number(const struct ttlv *item)
{
    assert(item->value.len == 4);
    return be32_get(item->value.data);
}
