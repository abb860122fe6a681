#include "transporter/repository/pack_scan.h"

#include <string.h>

/* A window stays in the processor's cache until its bytes are hashed. */
enum { WINDOW = 1024 * 1024, HASH_STEP = 64 * 1024 };

/* Makes at least `len` bytes from pos on available, or all that are left. What is not hashed yet stays. */
static bool fill(struct pack_scan *scan, size_t len, struct err *err)
{
    uint64_t left = scan->size - scan->pos;
    if (len > left) len = (size_t)left;
    if (scan->pos + len <= scan->window_at + scan->window.len) return true;
    size_t keep = (size_t)(scan->window_at + scan->window.len - scan->hashed);
    memmove(scan->window.data, scan->window.data + scan->window.len - keep, keep);
    scan->window.len = keep;
    scan->window_at = scan->hashed;
    size_t want = (size_t)(scan->pos - scan->hashed) + len;
    if (want < WINDOW) want = WINDOW;
    if (want > scan->size - scan->hashed) want = (size_t)(scan->size - scan->hashed);
    uint64_t offset = scan->hashed + keep;
    uint8_t *fresh = buf_grow(&scan->window, want - keep);
    if (scan->storage->ops->get_range(scan->storage->self, scan->name, offset, fresh, want - keep, err))
        return true;
    scan->window.len = keep;
    return false;
}

static struct span available(const struct pack_scan *scan)
{
    size_t skip = (size_t)(scan->pos - scan->window_at);
    return span_of(scan->window.data + skip, scan->window.len - skip);
}

static const uint8_t *not_hashed(const struct pack_scan *scan)
{
    return scan->window.data + (size_t)(scan->hashed - scan->window_at);
}

static void advance(struct pack_scan *scan, size_t len)
{
    scan->pos += len;
    size_t step = (size_t)(scan->pos - scan->hashed) / HASH_STEP * HASH_STEP;
    if (step == 0) return;
    hasher_add(&scan->hasher, not_hashed(scan), step);
    scan->hashed += step;
}

struct hasher pack_scan_hasher(const struct pack_scan *scan)
{
    struct hasher hasher = scan->hasher;
    hasher_add(&hasher, not_hashed(scan), (size_t)(scan->pos - scan->hashed));
    return hasher;
}

void pack_scan_start(struct pack_scan *scan, const struct storage *storage, const char *name, uint64_t size,
                     struct buf *window)
{
    *scan = (struct pack_scan){.storage = storage, .name = name, .size = size, .lent = window};
    hasher_init(&scan->hasher);
    if (window) {
        scan->window = *window;
        *window = (struct buf){0};
        buf_clear(&scan->window);
    }
    buf_reserve(&scan->window, 1);
}

bool pack_scan_open(struct pack_scan *scan, const struct storage *storage, const char *name, uint64_t size,
                    const struct pack_header *owner, struct pack_header *header, struct err *err)
{
    pack_scan_start(scan, storage, name, size, NULL);
    struct pack_header parsed;
    if (!fill(scan, PACK_HEADER_LEN, err) || !pack_header_parse(available(scan), owner, &parsed, err)) {
        pack_scan_close(scan);
        return false;
    }
    advance(scan, PACK_HEADER_LEN);
    *header = parsed;
    return true;
}

void pack_scan_close(struct pack_scan *scan)
{
    if (!scan->lent) {
        buf_deinit(&scan->window);
        return;
    }
    *scan->lent = scan->window;
    scan->window = (struct buf){0};
    scan->lent = NULL;
}

bool pack_scan_next(struct pack_scan *scan, struct record_view *record, struct err *err)
{
    if (scan->pos == scan->size) return err_set(err, ERR_TRUNCATED, "no more records");
    if (!fill(scan, RECORD_HEADER_LEN, err)) return false;
    struct span bytes = available(scan);
    if (bytes.len >= RECORD_HEADER_LEN) {
        size_t len = le32_get(bytes.data + 4);
        if (len <= RECORD_MAX_PAYLOAD && !fill(scan, RECORD_HEADER_LEN + len, err)) return false;
    }
    struct record_view view;
    if (!record_parse(available(scan), &view, err)) return false;
    advance(scan, view.total_len);
    *record = view;
    return true;
}

bool pack_scan_bytes(struct pack_scan *scan, size_t len, struct span *out, struct err *err)
{
    if (!fill(scan, len, err)) return false;
    struct span bytes = available(scan);
    if (bytes.len > len) bytes.len = len;
    advance(scan, bytes.len);
    *out = bytes;
    return true;
}

void pack_prefix_deinit(struct pack_prefix *prefix)
{
    pack_rules_deinit(&prefix->rules);
}

/* Whether an error says something of the bytes, and not of the machine. */
static bool is_of_the_bytes(const struct err *err)
{
    switch (err->code) {
    case ERR_DAMAGED:
    case ERR_TRUNCATED:
    case ERR_VERSION:
    case ERR_NOT_AUTHENTIC:
    case ERR_POLICY:
    case ERR_LIMIT:
        return true;
    default:
        return false;
    }
}

static bool scan_records(struct pack_scan *scan, struct pack_prefix *prefix, struct err *err)
{
    size_t complete = 0;
    struct record_view record;
    prefix->hasher = pack_scan_hasher(scan);
    while (pack_scan_next(scan, &record, err) && pack_rules_add(&prefix->rules, &record, err)) {
        if (record.kind != RECORD_LIST) continue;
        complete = prefix->rules.toc.count;
        prefix->hasher = pack_scan_hasher(scan);
    }
    pack_rules_cut(&prefix->rules, complete);
    return is_of_the_bytes(err);
}

bool pack_scan_prefix(const struct storage *storage, const char *name, const struct pack_header *owner,
                      enum repository_kind kind, struct pack_prefix *prefix, struct err *err)
{
    uint64_t size;
    if (!storage->ops->size(storage->self, name, &size, err)) return false;
    AUTO(pack_scan) struct pack_scan scan = {0};
    AUTO(pack_prefix) struct pack_prefix found;
    pack_rules_init(&found.rules, kind, PACK_DATA);
    struct pack_header header;
    if (!pack_scan_open(&scan, storage, name, size, owner, &header, err)) {
        if (!is_of_the_bytes(err)) return false;
    } else {
        found.rules.class_ = header.class_;
        if (!scan_records(&scan, &found, err)) return false;
    }
    *prefix = found;
    found.rules = (struct pack_rules){0};
    return true;
}
