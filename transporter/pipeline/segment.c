#include "transporter/pipeline/segment.h"

#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

enum {
    CUT_ONE_IN = 4, /* names that may end a segment */
};

struct segment *segment_new(void)
{
    return xcalloc(1, sizeof(struct segment));
}

void segment_free(struct segment *segment)
{
    if (!segment) return;
    for (size_t i = 0; i < segment_count(segment); i++)
        walk_entry_free(segment_item(segment, i)->entry);
    buf_deinit(&segment->items);
    buf_deinit(&segment->text);
    buf_deinit(&segment->encoded);
    buf_deinit(&segment->leftover);
    free(segment);
}

size_t segment_count(const struct segment *segment)
{
    return segment->items.len / sizeof(struct item);
}

size_t segment_bytes(const struct segment *segment)
{
    size_t bytes = sizeof(*segment) + segment->items.cap + segment->text.cap;
    return bytes + segment->work * sizeof(struct walk_entry) + segment->kept_names;
}

struct item *segment_item(struct segment *segment, size_t index)
{
    return (struct item *)(void *)segment->items.data + index;
}

static bool is_small_file(const struct walk_entry *entry)
{
    return entry->type == ENTRY_FILE && entry->cached.len == 0 && entry->key.size <= SEGMENT_SMALL_FILE;
}

static bool is_large_file(const struct walk_entry *entry)
{
    return entry->type == ENTRY_FILE && entry->cached.len == 0 && entry->key.size > SEGMENT_SMALL_FILE;
}

static void add_text(struct segment *segment, struct item *item, struct span parent, struct span name)
{
    item->text = segment->text.len;
    item->parent_len = parent.len;
    item->name_len = name.len;
    buf_put_span(&segment->text, parent);
    buf_put_span(&segment->text, name);
}

void segment_add(struct segment *segment, const struct walk_entry *entry)
{
    struct item item = {
        .kind = ITEM_ENTRY, .type = entry->type, .key = entry->key, .cacheable = entry->cacheable};
    if (entry->cached.len > 0) {
        item.state = ITEM_ENCODED;
        item.cached = entry->cached;
        item.size = entry->type == ENTRY_FILE ? entry->key.size : 0;
        add_text(segment, &item, entry->parent, entry->name);
    } else {
        item.state = ITEM_TO_DO;
        item.entry = walk_entry_keep(entry);
        segment->work++;
        segment->kept_names += entry->path.len + entry->target.len;
        if (is_small_file(entry)) segment->small_bytes += entry->key.size;
    }
    buf_put(&segment->items, &item, sizeof(item));
}

void segment_leave(struct segment *segment, struct span directory)
{
    struct item item = {.kind = ITEM_LEAVE, .state = ITEM_ENCODED};
    add_text(segment, &item, directory, (struct span){0});
    buf_put(&segment->items, &item, sizeof(item));
}

bool segment_ends_before(const struct segment *segment, const struct walk_entry *entry)
{
    if (segment_count(segment) >= SEGMENT_ITEMS_MOST) return true;
    if (segment->kept_names + segment->text.len >= SEGMENT_NAMES_MOST) return true;
    return is_small_file(entry) && segment->small_bytes > 0 &&
           segment->small_bytes + entry->key.size > SEGMENT_BYTES_MOST;
}

/* The choice must never change: a change makes every repository store small files anew. */
static bool name_ends_segment(struct span name)
{
    return hash_of(name).bytes[0] % CUT_ONE_IN == 0;
}

bool segment_ends_after(const struct segment *segment, const struct walk_entry *entry)
{
    if (segment->work >= SEGMENT_WORK_MOST || is_large_file(entry)) return true;
    return is_small_file(entry) && segment->small_bytes >= SEGMENT_BYTES_LEAST &&
           name_ends_segment(entry->name);
}

struct span item_parent(const struct segment *segment, const struct item *item)
{
    if (item->entry) return item->entry->parent;
    return span_of(segment->text.data + item->text, item->parent_len);
}

struct span item_name(const struct segment *segment, const struct item *item)
{
    if (item->entry) return item->entry->name;
    return span_of(segment->text.data + item->text + item->parent_len, item->name_len);
}

struct span item_encoded(const struct segment *segment, const struct item *item)
{
    if (item->cached.len > 0) return item->cached;
    return span_of(segment->encoded.data + item->encoded, item->encoded_len);
}

void item_place(struct segment *segment, struct item *item, const struct ref *ref)
{
    assert(item->state == ITEM_BUNDLED && item->encoded_len >= ENTRY_FIXED_LEN + REF_LEN);
    AUTO(buf) struct buf bytes = {0};
    ref_encode(ref, &bytes);
    memcpy(segment->encoded.data + item->encoded + item->encoded_len - REF_LEN, bytes.data, REF_LEN);
    item->state = ITEM_ENCODED;
}
