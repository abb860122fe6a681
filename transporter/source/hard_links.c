#include "transporter/source/hard_links.h"

#include "common/base/alloc.h"
#include "transporter/source/spill.h"

#include <string.h>

#define MEMORY_MAX ((size_t)4 * 1024 * 1024) /* each: slots, paths */
#define SLOTS_FIRST 1024u
#define PATHS_FIRST ((size_t)64 * 1024)

struct slot {
    uint64_t device, inode;
    int64_t born_ns;
    uint64_t path; /* offset among the paths */
    uint32_t path_len;
    uint32_t left; /* names to come; 0: a free slot */
};

/* Open addressing with linear probing, and the paths one behind the other. Both are made anew, with the
 * living alone, when they are full. */
struct table {
    struct spill_region slots; /* a power of two of them */
    struct spill_region paths;
    size_t count;
    size_t paths_len, paths_living;
};

struct hard_links {
    const char *spill_dir;
    struct table table;
    struct buf first; /* what the last call gave out */
};

static void table_deinit(struct table *table)
{
    spill_region_deinit(&table->slots);
    spill_region_deinit(&table->paths);
}
DEFINE_AUTO_IN_PLACE(table, struct table, table_deinit)

struct hard_links *hard_links_new(const char *spill_dir)
{
    struct hard_links *links = xcalloc(1, sizeof(*links));
    links->spill_dir = spill_dir;
    links->table.slots.fd = links->table.paths.fd = -1;
    return links;
}

void hard_links_free(struct hard_links *links)
{
    if (!links) return;
    table_deinit(&links->table);
    buf_deinit(&links->first);
    free(links);
}

static struct slot *slots_of(const struct table *table)
{
    return (struct slot *)(void *)table->slots.data;
}

static size_t slot_count(const struct table *table)
{
    return table->slots.len / sizeof(struct slot);
}

/* Inode numbers come in runs; the multiplication (Knuth's, by the golden ratio) spreads them. */
static size_t home_of(const struct table *table, uint64_t device, uint64_t inode)
{
    uint64_t mixed = (inode ^ device << 40) * 0x9e3779b97f4a7c15u;
    return (size_t)(mixed >> 20) & (slot_count(table) - 1);
}

/* The slot of the file, or the free one where it would go. */
static struct slot *find(const struct table *table, uint64_t device, uint64_t inode)
{
    struct slot *slots = slots_of(table);
    size_t at = home_of(table, device, inode);
    while (slots[at].left > 0 && (slots[at].device != device || slots[at].inode != inode))
        at = (at + 1) & (slot_count(table) - 1);
    return &slots[at];
}

/* Frees a slot and moves up what had been pushed past it (Knuth, TAOCP 3, 6.4, algorithm R). */
static void release(struct table *table, struct slot *slot)
{
    struct slot *slots = slots_of(table);
    size_t mask = slot_count(table) - 1;
    size_t hole = (size_t)(slot - slots);
    table->count--;
    table->paths_living -= slot->path_len;
    for (size_t at = (hole + 1) & mask; slots[at].left > 0; at = (at + 1) & mask) {
        size_t home = home_of(table, slots[at].device, slots[at].inode);
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        slots[hole] = slots[at];
        hole = at;
    }
    slots[hole].left = 0;
    if (table->count == 0) table->paths_len = 0;
}

static size_t at_least(size_t start, size_t need)
{
    while (start < need)
        start *= 2;
    return start;
}

/* A table of the living, with room for one file more. */
static bool rebuild(struct hard_links *links, size_t path_len, struct err *err)
{
    struct table *old = &links->table;
    AUTO(table) struct table fresh = {.slots.fd = -1, .paths.fd = -1};
    size_t slots = at_least(SLOTS_FIRST, (old->count + 1) * 3);
    size_t paths = at_least(PATHS_FIRST, (old->paths_living + path_len) * 2);
    if (!spill_region_grow(&fresh.slots, slots * sizeof(struct slot), MEMORY_MAX, links->spill_dir, err) ||
        !spill_region_grow(&fresh.paths, paths, MEMORY_MAX, links->spill_dir, err))
        return false;
    for (size_t i = 0; i < slot_count(old); i++) {
        struct slot slot = slots_of(old)[i];
        if (slot.left == 0) continue;
        memcpy(fresh.paths.data + fresh.paths_len, old->paths.data + slot.path, slot.path_len);
        slot.path = fresh.paths_len;
        fresh.paths_len += slot.path_len;
        *find(&fresh, slot.device, slot.inode) = slot;
    }
    fresh.count = old->count;
    fresh.paths_living = fresh.paths_len;
    struct table emptied = *old;
    *old = fresh;
    fresh = emptied;
    return true;
}

static bool has_room(const struct table *table, size_t path_len)
{
    return (table->count + 1) * 3 <= slot_count(table) * 2 && path_len <= table->paths.len - table->paths_len;
}

/* Gives out the path of the first name, and forgets the file after its last. */
static struct span answer(struct hard_links *links, struct slot *slot)
{
    struct table *table = &links->table;
    buf_clear(&links->first);
    buf_put(&links->first, table->paths.data + slot->path, slot->path_len);
    if (slot->left > 1)
        slot->left--;
    else
        release(table, slot);
    return buf_span(&links->first);
}

bool hard_links_meet(struct hard_links *links, const struct linked *file, struct span path,
                     struct span *first, struct err *err)
{
    struct table *table = &links->table;
    struct slot *slot = slot_count(table) > 0 ? find(table, file->device, file->inode) : NULL;
    if (slot && slot->left > 0 && slot->born_ns == file->born_ns) {
        *first = answer(links, slot);
        return true;
    }
    if (slot && slot->left > 0) release(table, slot); /* that file is gone, and its inode used again */
    if (!has_room(table, path.len) && !rebuild(links, path.len, err)) return false;
    memcpy(table->paths.data + table->paths_len, path.data, path.len);
    *find(table, file->device, file->inode) = (struct slot){.device = file->device,
                                                            .inode = file->inode,
                                                            .born_ns = file->born_ns,
                                                            .path = table->paths_len,
                                                            .path_len = (uint32_t)path.len,
                                                            .left = file->count - 1};
    table->paths_len += path.len;
    table->paths_living += path.len;
    table->count++;
    *first = span_of(NULL, 0);
    return true;
}
