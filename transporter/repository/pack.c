#include "transporter/repository/pack.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/crypto/envelope.h"
#include "common/crypto/frame.h"

#include <string.h>

#define HEADER_MAGIC "SLPACK1"
#define FOOTER_MAGIC "SLPKEND1"
#define NAME_PREFIX "packs/"

enum {
    MAGIC_LEN = 8,
    HEADER_AT_CLASS = 8,
    HEADER_AT_SITE = 16,
    HEADER_AT_REPOSITORY = 32,
    HEADER_AT_RANDOM = 48,
    TRAILER_FIXED_LEN = 8,
    FRAME_MIN_LEN = FRAME_HEADER_LEN + FRAME_INNER_LEN + FRAME_TAG_LEN,
    LIST_MIN_LEN = SEAL_LIST_FIXED_LEN + HASH_LEN,
    LIST_MAX_LEN = SEAL_LIST_FIXED_LEN + HASH_LEN * SEAL_LIST_MAX,
    TAIL_STEP = 64 * 1024 /* what is read first of a pack's end: most trailers fit */
};
#define TAIL_MAX (RECORD_HEADER_LEN + TRAILER_FIXED_LEN + PACK_ENTRY_LEN * PACK_MAX_RECORDS + PACK_FOOTER_LEN)
_Static_assert(TRAILER_FIXED_LEN + PACK_ENTRY_LEN * PACK_MAX_RECORDS <= RECORD_MAX_PAYLOAD, "trailer");
_Static_assert(sizeof(HEADER_MAGIC) == MAGIC_LEN && sizeof(FOOTER_MAGIC) == MAGIC_LEN + 1, "magics");

void pack_name(const struct hash *hash, char out[static PACK_NAME_LEN])
{
    char digits[2 * HASH_LEN + 1];
    hex_encode(hash->bytes, HASH_LEN, digits);
    memcpy(out, NAME_PREFIX, 6);
    memcpy(out + 6, digits, 2);
    out[8] = '/';
    memcpy(out + 9, digits, sizeof(digits));
}

bool pack_parse_name(const char *name, struct hash *out)
{
    struct hash hash;
    struct err ignored;
    char again[PACK_NAME_LEN];
    if (strlen(name) != PACK_NAME_LEN - 1 || !hex_decode(name + 9, hash.bytes, HASH_LEN, &ignored))
        return false;
    pack_name(&hash, again);
    if (strcmp(name, again) != 0) return false;
    *out = hash;
    return true;
}

void pack_header_encode(const struct pack_header *header, uint8_t out[static PACK_HEADER_LEN])
{
    memset(out, 0, PACK_HEADER_LEN);
    memcpy(out, HEADER_MAGIC, MAGIC_LEN);
    out[HEADER_AT_CLASS] = (uint8_t)header->class_;
    memcpy(out + HEADER_AT_SITE, header->site.bytes, ID_LEN);
    memcpy(out + HEADER_AT_REPOSITORY, header->repository.bytes, ID_LEN);
    random_bytes(out + HEADER_AT_RANDOM, PACK_HEADER_LEN - HEADER_AT_RANDOM);
}

bool pack_header_parse(struct span bytes, const struct pack_header *owner, struct pack_header *out,
                       struct err *err)
{
    if (bytes.len < PACK_HEADER_LEN)
        return err_set(err, ERR_TRUNCATED, "the pack ends in its header, after %zu bytes", bytes.len);
    const uint8_t *data = bytes.data;
    if (memcmp(data, HEADER_MAGIC, MAGIC_LEN - 2) != 0)
        return err_set(err, ERR_DAMAGED, "no pack: it does not begin as one");
    if (memcmp(data, HEADER_MAGIC, MAGIC_LEN) != 0)
        return err_set(err, ERR_VERSION, "the pack has a version that this program does not read");
    struct pack_header header = {.class_ = data[HEADER_AT_CLASS]};
    for (size_t i = HEADER_AT_CLASS + 1; i < HEADER_AT_SITE; i++)
        if (data[i] != 0) return err_set(err, ERR_DAMAGED, "the pack's header has a reserved byte set");
    if (header.class_ != PACK_DATA && header.class_ != PACK_META)
        return err_set(err, ERR_DAMAGED, "the pack is of an unknown class");
    memcpy(header.site.bytes, data + HEADER_AT_SITE, ID_LEN);
    memcpy(header.repository.bytes, data + HEADER_AT_REPOSITORY, ID_LEN);
    if (owner && (!id_eq(&header.site, &owner->site) || !id_eq(&header.repository, &owner->repository)))
        return err_set(err, ERR_NOT_AUTHENTIC, "the pack belongs to another repository");
    *out = header;
    return true;
}

/* --- table of contents --- */

void pack_toc_init(struct pack_toc *toc)
{
    *toc = (struct pack_toc){.end = PACK_HEADER_LEN};
}

void pack_toc_deinit(struct pack_toc *toc)
{
    free(toc->entries);
    pack_toc_init(toc);
}

static void count_entry(struct pack_toc *toc, const struct pack_entry *entry)
{
    if (entry->kind == RECORD_ENVELOPE) toc->envelopes++;
    if (entry->kind == RECORD_FRAME) toc->frames++;
    toc->end = (uint64_t)entry->offset + entry->len;
}

void pack_toc_add(struct pack_toc *toc, const struct pack_entry *entry)
{
    if (toc->count == toc->cap) {
        toc->cap = toc->cap ? 2 * toc->cap : 64;
        toc->entries = xreallocarray(toc->entries, toc->cap, sizeof(*toc->entries));
    }
    struct pack_entry *added = &toc->entries[toc->count++];
    *added = *entry;
    added->offset = (uint32_t)toc->end + RECORD_HEADER_LEN;
    count_entry(toc, added);
}

void pack_toc_cut(struct pack_toc *toc, size_t count)
{
    if (count > toc->count) return;
    toc->count = count;
    toc->envelopes = toc->frames = 0;
    toc->end = PACK_HEADER_LEN;
    for (size_t i = 0; i < count; i++)
        count_entry(toc, &toc->entries[i]);
}

void pack_toc_encode(const struct pack_toc *toc, struct buf *out)
{
    AUTO(buf) struct buf payload = {0};
    buf_put_u32(&payload, (uint32_t)toc->count);
    buf_put_u32(&payload, 0);
    for (size_t i = 0; i < toc->count; i++) {
        const struct pack_entry *entry = &toc->entries[i];
        buf_put_u8(&payload, (uint8_t)entry->kind);
        buf_put_u8(&payload, (uint8_t)entry->type);
        buf_put_u16(&payload, (uint16_t)entry->envelope);
        buf_put_u32(&payload, entry->len);
        buf_put_u64(&payload, entry->offset);
        buf_put(&payload, entry->id.bytes, HASH_LEN);
    }
    record_append(out, RECORD_TRAILER, buf_span(&payload));
    buf_put_u64(out, toc->end);
    buf_put(out, FOOTER_MAGIC, MAGIC_LEN);
}

struct id pack_entry_seal(const struct pack_entry *entry)
{
    struct id seal = {{0}};
    size_t at = entry->kind == RECORD_LIST ? 8 : 0;
    if (entry->kind != RECORD_FRAME) memcpy(seal.bytes, entry->id.bytes + at, ID_LEN);
    return seal;
}

uint64_t pack_entry_number(const struct pack_entry *entry)
{
    return entry->kind == RECORD_LIST ? le64_get(entry->id.bytes) : 0;
}

static bool zeros(const uint8_t *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (bytes[i] != 0) return false;
    return true;
}

/* Whether the entry may stand after those that are in `toc`. */
static bool entry_fits(const struct pack_toc *toc, const struct pack_entry *entry, uint64_t offset)
{
    if (offset != toc->end + RECORD_HEADER_LEN || offset + entry->len > UINT32_MAX) return false;
    switch (entry->kind) {
    case RECORD_ENVELOPE:
        return entry->type == 0 && entry->envelope == 0 && entry->len == ENVELOPE_LEN &&
               zeros(entry->id.bytes, ID_LEN, HASH_LEN);
    case RECORD_FRAME:
        return (entry->type == FRAME_DATA || entry->type == FRAME_NODE) &&
               entry->envelope <= toc->envelopes && entry->len >= FRAME_MIN_LEN &&
               entry->len <= FRAME_MAX_LEN;
    case RECORD_LIST:
        return entry->type == 0 && entry->envelope == 0 && entry->len >= LIST_MIN_LEN &&
               entry->len <= LIST_MAX_LEN && pack_entry_number(entry) > 0 &&
               zeros(entry->id.bytes, 8 + ID_LEN, HASH_LEN);
    default:
        return false;
    }
}

static bool read_entries(struct span payload, struct pack_toc *toc, struct err *err)
{
    struct reader reader = reader_of(payload);
    uint32_t count = reader_u32(&reader);
    uint32_t reserved = reader_u32(&reader);
    if (reserved || count == 0 || count > PACK_MAX_RECORDS ||
        reader_left(&reader) != (size_t)count * PACK_ENTRY_LEN)
        return err_set(err, ERR_DAMAGED, "the pack's trailer has an impossible count");
    for (uint32_t i = 0; i < count; i++) {
        struct pack_entry entry = {.kind = reader_u8(&reader)};
        entry.type = reader_u8(&reader);
        entry.envelope = reader_u16(&reader);
        entry.len = reader_u32(&reader);
        uint64_t offset = reader_u64(&reader);
        reader_copy(&reader, entry.id.bytes, HASH_LEN);
        if (!entry_fits(toc, &entry, offset))
            return err_set(err, ERR_DAMAGED, "the pack's trailer has an impossible entry, number %u", i + 1);
        pack_toc_add(toc, &entry);
    }
    if (toc->entries[count - 1].kind != RECORD_LIST)
        return err_set(err, ERR_DAMAGED, "the pack does not end in a list");
    return true;
}

/* The offset of the trailer record, from the footer at the end of `tail`. */
static bool read_footer(struct span tail, uint64_t size, uint64_t *trailer, struct err *err)
{
    if (tail.len < PACK_FOOTER_LEN || memcmp(tail.data + tail.len - MAGIC_LEN, FOOTER_MAGIC, MAGIC_LEN) != 0)
        return err_set(err, ERR_TRUNCATED, "the pack has no end: it was cut, or its last bytes are damaged");
    uint64_t at = le64_get(tail.data + tail.len - PACK_FOOTER_LEN);
    if (at < PACK_HEADER_LEN || at > size || size - at > TAIL_MAX)
        return err_set(err, ERR_DAMAGED, "the pack's footer points nowhere");
    *trailer = at;
    return true;
}

bool pack_toc_parse(struct span tail, uint64_t size, struct pack_toc *out, struct err *err)
{
    uint64_t trailer = 0;
    if (!read_footer(tail, size, &trailer, err)) return false;
    if (size - trailer > tail.len) return err_set(err, ERR_DAMAGED, "the pack's footer points nowhere");
    struct span bytes = span_of(tail.data + tail.len - (size - trailer), (size_t)(size - trailer));
    struct record_view record;
    if (!record_parse(bytes, &record, err)) return err_wrap(err, "the pack's trailer");
    if (record.kind != RECORD_TRAILER || record.total_len + PACK_FOOTER_LEN != bytes.len)
        return err_set(err, ERR_DAMAGED, "the pack's footer does not point to its trailer");
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    if (!read_entries(record.payload, &toc, err)) return false;
    if (toc.end != trailer)
        return err_set(err, ERR_DAMAGED, "the pack's trailer does not list all of its records");
    struct pack_toc old = *out;
    *out = toc;
    toc = old;
    return true;
}

/* The last bytes of the pack, enough to hold its trailer. */
static bool read_tail(const struct storage *storage, const char *name, uint64_t size, struct buf *tail,
                      struct err *err)
{
    size_t len = size < TAIL_STEP ? (size_t)size : TAIL_STEP;
    if (!storage->ops->get_range(storage->self, name, size - len, buf_grow(tail, len), len, err))
        return false;
    uint64_t trailer = 0;
    if (!read_footer(buf_span(tail), size, &trailer, err)) return false;
    if (size - trailer <= len) return true;
    len = (size_t)(size - trailer);
    buf_clear(tail);
    return storage->ops->get_range(storage->self, name, trailer, buf_grow(tail, len), len, err);
}

static bool types_fit(const struct pack_toc *toc, enum pack_class class_, struct err *err)
{
    enum frame_type type = class_ == PACK_DATA ? FRAME_DATA : FRAME_NODE;
    for (size_t i = 0; i < toc->count; i++)
        if (toc->entries[i].kind == RECORD_FRAME && toc->entries[i].type != type)
            return err_set(err, ERR_DAMAGED, "the pack has frames of the other class");
    return true;
}

bool pack_toc_read_tail(const struct storage *storage, const char *name, uint64_t size, struct pack_toc *out,
                        struct err *err)
{
    AUTO(buf) struct buf tail = {0};
    return read_tail(storage, name, size, &tail, err) && pack_toc_parse(buf_span(&tail), size, out, err);
}

bool pack_toc_read(const struct storage *storage, const char *name, uint64_t size,
                   const struct pack_header *owner, struct pack_header *header, struct pack_toc *out,
                   struct err *err)
{
    uint8_t head[PACK_HEADER_LEN];
    struct pack_header parsed = {0};
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    if (!storage->ops->get_range(storage->self, name, 0, head, sizeof(head), err) ||
        !pack_header_parse(span_of(head, sizeof(head)), owner, &parsed, err) ||
        !pack_toc_read_tail(storage, name, size, &toc, err) || !types_fit(&toc, parsed.class_, err))
        return false;
    *header = parsed;
    struct pack_toc old = *out;
    *out = toc;
    toc = old;
    return true;
}
