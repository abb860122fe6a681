#include "transporter/source/cache_record.h"

#include <string.h>

#define CHILD_FIXED_LEN 38

static const struct stat_key no_key = {UINT64_MAX, UINT64_MAX, -1, -1};

struct part_key part_key_of(struct span dir_path)
{
    struct part_key key = {{0}};
    struct hash hash = hash_of(dir_path);
    memcpy(key.bytes, hash.bytes, PART_KEY_LEN - 4);
    return key;
}

void part_key_set(struct part_key *key, uint32_t part)
{
    for (unsigned i = 0; i < 4; i++)
        key->bytes[PART_KEY_LEN - 1 - i] = (uint8_t)(part >> 8 * i);
}

void cached_child_encode(struct span name, const struct stat_key *key, struct span encoded, struct buf *out)
{
    buf_reserve(out, CHILD_FIXED_LEN + name.len + encoded.len);
    uint8_t *at = buf_grow(out, CHILD_FIXED_LEN);
    if (!key) key = &no_key;
    le16_put(at, (uint16_t)name.len);
    le64_put(at + 2, key->inode);
    le64_put(at + 10, key->size);
    le64_put(at + 18, (uint64_t)key->mtime_ns);
    le64_put(at + 26, (uint64_t)key->ctime_ns);
    le32_put(at + 34, (uint32_t)encoded.len);
    buf_put_span(out, name);
    buf_put_span(out, encoded);
}

bool cached_child_next(struct reader *reader, struct cached_child *out)
{
    if (reader_left(reader) == 0) return false;
    size_t name_len = reader_u16(reader);
    out->key.inode = reader_u64(reader);
    out->key.size = reader_u64(reader);
    out->key.mtime_ns = (int64_t)reader_u64(reader);
    out->key.ctime_ns = (int64_t)reader_u64(reader);
    size_t encoded_len = reader_u32(reader);
    out->name = reader_bytes(reader, name_len);
    out->encoded = reader_bytes(reader, encoded_len);
    return reader_ok(reader) && (encoded_len == 0 || encoded_len >= ENTRY_FIXED_LEN);
}

const uint8_t *cached_child_ref(const struct cached_child *child)
{
    const uint8_t *entry = child->encoded.data;
    size_t len = child->encoded.len;
    bool is_one = len >= ENTRY_FIXED_LEN + REF_LEN && entry[4] == ENTRY_FILE && le32_get(entry + 44) == 1 &&
                  entry[len - 4] == REF_DATA;
    return is_one ? entry + len - REF_LEN : NULL;
}

bool cached_child_is_unchanged(const struct cached_child *child, const struct stat_key *key)
{
    return stat_key_eq(&child->key, key) && !stat_key_eq(key, &no_key);
}

bool cached_child_is_directory(const struct cached_child *child)
{
    return child->encoded.len == 0 || child->encoded.data[4] == ENTRY_DIRECTORY;
}
