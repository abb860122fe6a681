#include "transporter/pipeline/lost_links.h"

#include "common/base/alloc.h"

#include <string.h>

/* One lost first name, by the hash of its path. */
struct lost_link {
    struct hash path; /* zero: a free place */
    enum entry_type type;
    char *successor; /* path of the name that took its place, NULL: none yet */
    size_t successor_len;
};

/* A hash table with linear probing; the number of places is a power of two, half of them free. */
struct lost_links {
    struct lost_link *places;
    size_t place_count, used;
};

struct lost_links *lost_links_new(void)
{
    return xcalloc(1, sizeof(struct lost_links));
}

void lost_links_free(struct lost_links *lost)
{
    if (!lost) return;
    for (size_t i = 0; i < lost->place_count; i++)
        free(lost->places[i].successor);
    free(lost->places);
    free(lost);
}

/* The link of that path, or the free place where it belongs. */
static struct lost_link *place_of(const struct lost_links *lost, const struct hash *path)
{
    size_t at = (size_t)le64_get(path->bytes) & (lost->place_count - 1);
    while (!hash_is_zero(&lost->places[at].path) && !hash_eq(&lost->places[at].path, path))
        at = (at + 1) & (lost->place_count - 1);
    return &lost->places[at];
}

static struct lost_link *find(const struct lost_links *lost, struct span path)
{
    if (lost->used == 0) return NULL;
    struct hash hash = hash_of(path);
    struct lost_link *link = place_of(lost, &hash);
    return hash_is_zero(&link->path) ? NULL : link;
}

static void grow(struct lost_links *lost)
{
    struct lost_links larger = {.place_count = lost->place_count ? 2 * lost->place_count : 64,
                                .used = lost->used};
    larger.places = xcalloc(larger.place_count, sizeof(*larger.places));
    for (size_t i = 0; i < lost->place_count; i++)
        if (!hash_is_zero(&lost->places[i].path)) *place_of(&larger, &lost->places[i].path) = lost->places[i];
    free(lost->places);
    *lost = larger;
}

void lost_links_note(struct lost_links *lost, const struct item *item)
{
    const struct walk_entry *entry = item->entry;
    if (item->type == ENTRY_DIRECTORY || item->type == ENTRY_HARD_LINK || entry->links < 2) return;
    if (2 * (lost->used + 1) > lost->place_count) grow(lost);
    struct lost_link link = {.path = hash_of(entry->path), .type = item->type};
    *place_of(lost, &link.path) = link;
    lost->used++;
}

/* Works on the item anew, as `entry` says; its content, if it is small, becomes a chunk of its own. */
static bool encode_again(struct worker *worker, struct segment *segment, struct item *item, struct err *err)
{
    AUTO(segment) struct segment *alone = segment_new();
    segment_add(alone, item->entry);
    if (!worker_segment(worker, alone, err)) return false;
    struct item *done = segment_item(alone, 0);
    if (done->state == ITEM_BUNDLED) {
        AUTO(buf) struct buf chunk = alone->leftover;
        alone->leftover = (struct buf){0};
        struct hash content = hash_of(buf_span(&chunk));
        if (!worker_place_all(worker, alone, 0, 1, &content, 0, err) ||
            !packer_put(worker->data, &chunk, &content, err))
            return false;
    }
    struct walk_entry *entry = item->entry;
    size_t offset = segment->encoded.len;
    if (done->state == ITEM_ENCODED) buf_put_span(&segment->encoded, item_encoded(alone, done));
    *item = *done;
    item->entry = entry;
    item->encoded = offset;
    return true;
}

bool lost_links_resolve(struct lost_links *lost, struct worker *worker, struct segment *segment,
                        struct item *item, struct err *err)
{
    if (item->type != ENTRY_HARD_LINK) return true;
    struct walk_entry *entry = item->entry;
    struct lost_link *link = find(lost, entry->target);
    if (!link) return true;
    bool takes_place = !link->successor;
    entry->type = takes_place ? link->type : ENTRY_HARD_LINK;
    entry->target = span_of(link->successor, link->successor_len);
    if (!encode_again(worker, segment, item, err)) return false;
    if (!takes_place || item->state != ITEM_ENCODED) return true;
    link->successor_len = entry->path.len;
    link->successor = xmalloc(entry->path.len);
    memcpy(link->successor, entry->path.data, entry->path.len);
    return true;
}
