#include "transporter/pipeline/lost_links.h"

#include "common/base/alloc.h"

#include <string.h>

/* One lost first name, by the hash of its path. */
struct lost_link {
    struct hash path; /* zero: a free place */
    char *successor;  /* path of the name that took its place, NULL: none yet */
    size_t successor_len;
};

/* A hash table with linear probing; the number of places is a power of two, half of them free. */
struct lost_links {
    struct lost_link *places;
    size_t place_count, used, most;
    size_t bytes;    /* of successors */
    uint8_t *others; /* a Bloom filter (Bloom 1970) of those beyond `most`; NULL: there are none */
};

enum { FILTER_BYTES = 4 << 20, FILTER_PROBES = 4 };

struct lost_links *lost_links_new(size_t most)
{
    struct lost_links *lost = xcalloc(1, sizeof(*lost));
    lost->most = most;
    return lost;
}

void lost_links_free(struct lost_links *lost)
{
    if (!lost) return;
    for (size_t i = 0; i < lost->place_count; i++)
        free(lost->places[i].successor);
    free(lost->places);
    free(lost->others);
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
    struct lost_links larger = *lost;
    larger.place_count = lost->place_count ? 2 * lost->place_count : 64;
    larger.places = xcalloc(larger.place_count, sizeof(*larger.places));
    for (size_t i = 0; i < lost->place_count; i++)
        if (!hash_is_zero(&lost->places[i].path)) *place_of(&larger, &lost->places[i].path) = lost->places[i];
    free(lost->places);
    *lost = larger;
}

/* --- beyond what is remembered exactly --- */

static size_t filter_bit(const struct hash *path, size_t probe)
{
    return (size_t)le64_get(path->bytes + 8 * probe) % ((size_t)FILTER_BYTES * 8);
}

static void add_other(struct lost_links *lost, const struct hash *path)
{
    if (!lost->others) lost->others = xcalloc(1, FILTER_BYTES);
    for (size_t i = 0; i < FILTER_PROBES; i++) {
        size_t bit = filter_bit(path, i);
        lost->others[bit / 8] |= (uint8_t)(1 << bit % 8);
    }
}

/* Perhaps: one that was not lost passes for such a one now and then, which costs the link and no content. */
static bool is_other(const struct lost_links *lost, struct span path)
{
    if (!lost->others) return false;
    struct hash hash = hash_of(path);
    for (size_t i = 0; i < FILTER_PROBES; i++) {
        size_t bit = filter_bit(&hash, i);
        if (!(lost->others[bit / 8] >> bit % 8 & 1)) return false;
    }
    return true;
}

void lost_links_note(struct lost_links *lost, const struct item *item)
{
    const struct walk_entry *entry = item->entry;
    if (item->type == ENTRY_DIRECTORY || item->type == ENTRY_HARD_LINK || entry->links < 2) return;
    struct lost_link link = {.path = hash_of(entry->path)};
    if (lost->used >= lost->most) {
        add_other(lost, &link.path);
        return;
    }
    if (2 * (lost->used + 1) > lost->place_count) grow(lost);
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

/* A later link leads to it; where there is no room for its path, that becomes a file, too. */
static void take_place(struct lost_links *lost, struct lost_link *link, struct span path)
{
    if (path.len > LOST_LINKS_BYTES_MOST - lost->bytes) return;
    lost->bytes += path.len;
    link->successor_len = path.len;
    link->successor = xmalloc(path.len);
    memcpy(link->successor, path.data, path.len);
}

bool lost_links_resolve(struct lost_links *lost, struct worker *worker, struct segment *segment,
                        struct item *item, struct err *err)
{
    if (item->type != ENTRY_HARD_LINK) return true;
    struct walk_entry *entry = item->entry;
    struct lost_link *link = find(lost, entry->target);
    if (!link && !is_other(lost, entry->target)) return true;
    bool leads_on = link && link->successor;
    entry->type = leads_on ? ENTRY_HARD_LINK : entry->linked_type;
    entry->target = leads_on ? span_of(link->successor, link->successor_len) : span_of(NULL, 0);
    if (!encode_again(worker, segment, item, err)) return false;
    if (link && !leads_on && item->state == ITEM_ENCODED) take_place(lost, link, entry->path);
    return true;
}
