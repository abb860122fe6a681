#include "transporter/core/entry.h"

#include "transporter/core/path.h"

#include <string.h>

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "damaged manifest entry: %s", what);
}

static bool truncated(struct err *err)
{
    return err_set(err, ERR_TRUNCATED, "truncated manifest entry");
}

void ref_encode(const struct ref *ref, struct buf *out)
{
    uint8_t *at = buf_grow(out, REF_LEN);
    memcpy(at, ref->content.bytes, HASH_LEN);
    le64_put(at + 32, ref->length);
    le32_put(at + 40, ref->offset);
    at[44] = (uint8_t)ref->kind;
    memset(at + 45, 0, 3);
}

static const char *ref_fault(const struct ref *ref)
{
    if (ref->length == 0) return "a reference of no bytes";
    switch (ref->kind) {
    case REF_DATA:
        if (ref->length > REF_DATA_MAX || ref->offset > REF_DATA_MAX - ref->length)
            return "a reference beyond the largest chunk";
        return NULL;
    case REF_HOLE:
        return ref->offset || !hash_is_zero(&ref->content) ? "a hole that names a chunk" : NULL;
    case REF_NODE:
        return ref->offset ? "a refs node with an offset" : NULL;
    }
    return "an unknown kind of reference";
}

bool ref_decode(struct reader *reader, struct ref *out, struct err *err)
{
    struct ref ref;
    reader_copy(reader, ref.content.bytes, HASH_LEN);
    ref.length = reader_u64(reader);
    ref.offset = reader_u32(reader);
    uint32_t kind = reader_u32(reader);
    if (!reader_ok(reader)) return truncated(err);
    /* the reserved bytes stand above the kind */
    if (kind > REF_NODE) return damaged(err, "an unknown kind of reference");
    ref.kind = (enum ref_kind)kind;
    const char *fault = ref_fault(&ref);
    if (fault) return damaged(err, fault);
    *out = ref;
    return true;
}

void xattr_encode(struct span name, struct span value, struct buf *out)
{
    buf_put_u8(out, (uint8_t)name.len);
    buf_put_u32(out, (uint32_t)value.len);
    buf_put_span(out, name);
    buf_put_span(out, value);
}

bool xattr_next(struct reader *xattrs, struct span *name, struct span *value)
{
    if (reader_left(xattrs) == 0) return false;
    size_t name_len = reader_u8(xattrs);
    size_t value_len = reader_u32(xattrs);
    *name = reader_bytes(xattrs, name_len);
    *value = reader_bytes(xattrs, value_len);
    return reader_ok(xattrs);
}

static bool parts_fit(const struct entry *entry, uint64_t total)
{
    return total <= ENTRY_MAX_LEN && entry->name.len <= UINT16_MAX && entry->target.len <= UINT16_MAX &&
           entry->owner.len <= UINT8_MAX && entry->group.len <= UINT8_MAX &&
           entry->ref_count <= REFS_INLINE_MAX;
}

uint64_t entry_len(const struct entry *entry)
{
    return (uint64_t)ENTRY_FIXED_LEN + entry->name.len + entry->target.len + entry->owner.len +
           entry->group.len + entry->xattrs.len + entry->refs.len;
}

bool entry_encode(const struct entry *entry, struct buf *out, struct err *err)
{
    uint64_t total = entry_len(entry);
    if (!parts_fit(entry, total))
        return err_set(err, ERR_LIMIT, "the metadata of '%.*s' is too large (at least %llu bytes)",
                       (int)(entry->name.len > 255 ? 255 : entry->name.len), (const char *)entry->name.data,
                       (unsigned long long)total);
    buf_reserve(out, (size_t)total);
    uint8_t *at = buf_grow(out, ENTRY_FIXED_LEN);
    le32_put(at, (uint32_t)total);
    at[4] = (uint8_t)entry->type;
    at[5] = entry->flags;
    le16_put(at + 6, entry->depth);
    le32_put(at + 8, entry->mode);
    le32_put(at + 12, entry->uid);
    le32_put(at + 16, entry->gid);
    le64_put(at + 20, (uint64_t)entry->mtime_ns);
    if (entry->type == ENTRY_CHAR_DEVICE || entry->type == ENTRY_BLOCK_DEVICE) {
        le32_put(at + 28, entry->device_major);
        le32_put(at + 32, entry->device_minor);
    } else {
        le64_put(at + 28, entry->size);
    }
    le16_put(at + 36, (uint16_t)entry->name.len);
    le16_put(at + 38, (uint16_t)entry->target.len);
    at[40] = (uint8_t)entry->owner.len;
    at[41] = (uint8_t)entry->group.len;
    le16_put(at + 42, entry->xattr_count);
    le32_put(at + 44, entry->ref_count);
    memcpy(at + 48, entry->file_hash.bytes, HASH_LEN);
    const struct span parts[] = {entry->name,  entry->target, entry->owner,
                                 entry->group, entry->xattrs, entry->refs};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        buf_put_span(out, parts[i]);
    return true;
}

static bool holds_nul(struct span text)
{
    return text.len > 0 && memchr(text.data, 0, text.len);
}

static const char *xattrs_fault(struct reader *reader, uint16_t count)
{
    struct span last = {0};
    for (uint16_t i = 0; i < count; i++) {
        struct span name, value;
        if (!xattr_next(reader, &name, &value)) return "extended attributes that end early";
        if (name.len == 0 || holds_nul(name)) return "an extended attribute without a proper name";
        if (i > 0 && span_cmp(name, last) <= 0) return "extended attributes out of order";
        last = name;
    }
    return NULL;
}

static const char *refs_fault(const struct entry *entry)
{
    if (entry->ref_count > REFS_INLINE_MAX) return "too many references";
    bool in_nodes = (entry->flags & ENTRY_REFS_IN_NODES) != 0;
    if (in_nodes && entry->ref_count == 0) return "no reference to the refs nodes that it announces";
    struct reader reader = reader_of(entry->refs);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < entry->ref_count; i++) {
        struct ref ref;
        struct err inner;
        if (!ref_decode(&reader, &ref, &inner)) return "a reference that breaks a rule";
        if ((ref.kind == REF_NODE) != in_nodes) return "references and refs nodes mixed";
        if (!add_u64(sum, ref.length, &sum)) return "references that overflow";
    }
    return sum != entry->size ? "references that do not add up to its size" : NULL;
}

static const char *target_fault(const struct entry *entry)
{
    switch (entry->type) {
    case ENTRY_SYMLINK:
        return entry->target.len == 0 || holds_nul(entry->target) ? "a symbolic link without a proper target"
                                                                  : NULL;
    case ENTRY_HARD_LINK:
        return path_valid(entry->target) ? NULL : "a hard link without a proper path";
    default:
        return entry->target.len ? "a target where there can be none" : NULL;
    }
}

/* What only regular files have. */
static const char *content_fault(const struct entry *entry)
{
    if (entry->type == ENTRY_FILE) return refs_fault(entry);
    if (entry->flags || entry->size || entry->ref_count || !hash_is_zero(&entry->file_hash))
        return "content where there can be none";
    return NULL;
}

static const char *entry_fault(const struct entry *entry)
{
    if (entry->type < ENTRY_DIRECTORY || entry->type > ENTRY_HARD_LINK) return "an unknown type";
    if (entry->flags & ~(ENTRY_INEXACT | ENTRY_REFS_IN_NODES)) return "an unknown flag";
    if (entry->depth == 0 || entry->depth > DEPTH_MAX) return "a depth out of range";
    if (entry->mode > 07777) return "a mode out of range";
    if (!name_valid(entry->name)) return "an improper name";
    if (holds_nul(entry->owner) || holds_nul(entry->group)) return "an improper owner's name";
    if (entry->type == ENTRY_HARD_LINK && entry->xattr_count) return "a hard link with attributes of its own";
    const char *fault = target_fault(entry);
    return fault ? fault : content_fault(entry);
}

static void read_size(struct reader *reader, struct entry *entry)
{
    if (entry->type == ENTRY_CHAR_DEVICE || entry->type == ENTRY_BLOCK_DEVICE) {
        entry->device_major = reader_u32(reader);
        entry->device_minor = reader_u32(reader);
    } else {
        entry->size = reader_u64(reader);
    }
}

/* Everything behind the length field; `body` holds exactly the entry. */
static const char *read_body(struct reader *body, struct entry *entry)
{
    entry->type = (enum entry_type)reader_u8(body);
    entry->flags = reader_u8(body);
    entry->depth = reader_u16(body);
    entry->mode = reader_u32(body);
    entry->uid = reader_u32(body);
    entry->gid = reader_u32(body);
    entry->mtime_ns = (int64_t)reader_u64(body);
    read_size(body, entry);
    size_t name_len = reader_u16(body);
    size_t target_len = reader_u16(body);
    size_t owner_len = reader_u8(body);
    size_t group_len = reader_u8(body);
    entry->xattr_count = reader_u16(body);
    entry->ref_count = reader_u32(body);
    reader_copy(body, entry->file_hash.bytes, HASH_LEN);
    entry->name = reader_bytes(body, name_len);
    entry->target = reader_bytes(body, target_len);
    entry->owner = reader_bytes(body, owner_len);
    entry->group = reader_bytes(body, group_len);
    if (!reader_ok(body)) return "lengths beyond its end";
    size_t xattrs_at = body->pos;
    const char *fault = xattrs_fault(body, entry->xattr_count);
    if (fault) return fault;
    entry->xattrs = span_of(body->data + xattrs_at, body->pos - xattrs_at);
    if (reader_left(body) != (uint64_t)entry->ref_count * REF_LEN) return "lengths that do not add up";
    entry->refs = reader_bytes(body, reader_left(body));
    return entry_fault(entry);
}

bool entry_decode(struct reader *reader, struct entry *out, struct err *err)
{
    size_t len = reader_u32(reader);
    if (!reader_ok(reader)) return truncated(err);
    if (len < ENTRY_FIXED_LEN || len > ENTRY_MAX_LEN) return damaged(err, "a length out of range");
    struct reader body = reader_of(reader_bytes(reader, len - 4));
    if (!reader_ok(reader)) return truncated(err);
    struct entry entry = {0};
    const char *fault = read_body(&body, &entry);
    if (fault) return damaged(err, fault);
    *out = entry;
    return true;
}
