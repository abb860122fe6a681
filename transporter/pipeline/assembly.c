#include "transporter/pipeline/assembly.h"

#include "common/base/alloc.h"
#include "transporter/pipeline/lost_links.h"

#include <string.h>

/* A joined bundle is closed at so many bytes; segments wait for it no longer than for so many entries, or
 * bytes of entries. */
enum {
    JOINED_LEAST = SEGMENT_BYTES_LEAST,
    JOINED_MOST = SEGMENT_BYTES_MOST,
    WAITING_ITEMS_MOST = 4096,
    WAITING_BYTES_MOST = 4 * 1024 * 1024
};

/* A directory whose entries are being delivered. */
struct open_dir {
    struct open_dir *parent;
    struct stat_cache_record *record; /* NULL without a cache */
    bool lost;                        /* it is not in the manifest, so nothing below it can be */
};

struct assembly {
    struct worker *worker;
    struct attempt *attempt;
    struct manifest_writer *manifest;
    struct open_dir *dir; /* the innermost */
    struct lost_links *lost;
    struct point_counts counts;
    struct segment *waiting, **waiting_end;
    size_t waiting_items, waiting_bytes;
    struct buf joined;
};

static void open_dir_push(struct assembly *assembly, struct span path, bool lost)
{
    struct stat_cache *cache = assembly->attempt->options->cache;
    struct open_dir *dir = xcalloc(1, sizeof(*dir));
    dir->parent = assembly->dir;
    dir->lost = lost;
    if (cache && !lost) dir->record = stat_cache_record_new(cache, path);
    assembly->dir = dir;
}

static void open_dir_pop(struct assembly *assembly)
{
    struct open_dir *dir = assembly->dir;
    assembly->dir = dir->parent;
    stat_cache_record_free(dir->record);
    free(dir);
}

struct assembly *assembly_new(struct worker *worker)
{
    struct assembly *assembly = xcalloc(1, sizeof(*assembly));
    assembly->worker = worker;
    assembly->attempt = worker->attempt;
    assembly->manifest = manifest_writer_new(attempt_put_node, worker->attempt);
    size_t lost_most = worker->attempt->options->lost_links_most;
    assembly->lost = lost_links_new(lost_most ? lost_most : LOST_LINKS_MOST);
    assembly->waiting_end = &assembly->waiting;
    open_dir_push(assembly, (struct span){0}, false);
    return assembly;
}

void assembly_free(struct assembly *assembly)
{
    if (!assembly) return;
    while (assembly->dir)
        open_dir_pop(assembly);
    while (assembly->waiting) {
        struct segment *segment = assembly->waiting;
        assembly->waiting = segment->next;
        segment_free(segment);
    }
    lost_links_free(assembly->lost);
    manifest_writer_free(assembly->manifest);
    chunk_pool_put(assembly->attempt->pool, &assembly->joined);
    free(assembly);
}

static bool leave(struct assembly *assembly, struct err *err)
{
    struct stat_cache_record *record = assembly->dir->record;
    bool ended = !record || stat_cache_record_end(record, err);
    open_dir_pop(assembly);
    return ended;
}

static void count(struct assembly *assembly, const struct item *item)
{
    assembly->counts.entries++;
    assembly->counts.directories += item->type == ENTRY_DIRECTORY;
    if (item->type != ENTRY_FILE) return;
    assembly->counts.files++;
    assembly->counts.content_bytes += item->size;
    if (item->cached.len > 0) assembly->attempt->unread_bytes += item->size;
}

/* An entry that is too young to be trusted is worth remembering for its content only. */
static bool remember(struct assembly *assembly, const struct segment *segment, const struct item *item,
                     struct span encoded, struct err *err)
{
    struct stat_cache_record *record = assembly->dir->record;
    bool worth = item->cacheable ? item->type != ENTRY_HARD_LINK : item->type == ENTRY_FILE;
    if (!record || !worth) return true;
    const struct stat_key *key = item->cacheable ? &item->key : NULL;
    return stat_cache_record_add(record, item_name(segment, item), key, encoded, err);
}

static bool add_entry(struct assembly *assembly, const struct segment *segment, const struct item *item,
                      struct err *err)
{
    struct span encoded = item_encoded(segment, item);
    if (!manifest_add(assembly->manifest, item_parent(segment, item), encoded, err)) return false;
    count(assembly, item);
    return remember(assembly, segment, item, encoded, err);
}

static void enter(struct assembly *assembly, const struct segment *segment, const struct item *item,
                  bool lost)
{
    AUTO(buf) struct buf path = {0};
    struct span parent = item_parent(segment, item);
    buf_put_span(&path, parent);
    if (parent.len > 0) buf_put_u8(&path, '/');
    buf_put_span(&path, item_name(segment, item));
    open_dir_push(assembly, buf_span(&path), lost);
}

static bool deliver_item(struct assembly *assembly, struct segment *segment, struct item *item,
                         struct err *err)
{
    if (item->kind == ITEM_LEAVE) return leave(assembly, err);
    bool lost = assembly->dir->lost;
    if (!lost && item->entry && !lost_links_resolve(assembly->lost, assembly->worker, segment, item, err))
        return false;
    lost = lost || item->state == ITEM_LOST;
    if (lost && item->entry) lost_links_note(assembly->lost, item);
    if (!lost && !add_entry(assembly, segment, item, err)) return false;
    if (item->type == ENTRY_DIRECTORY) enter(assembly, segment, item, lost);
    return true;
}

static bool deliver(struct assembly *assembly, struct segment *segment, struct err *err)
{
    size_t items = segment_count(segment);
    for (size_t i = 0; i < items; i++)
        if (!deliver_item(assembly, segment, segment_item(segment, i), err)) return false;
    work_queue_delivered(assembly->attempt->queue, segment);
    return true;
}

/* Gives the joined bundle to an idle worker, or packs it here. */
static bool pack_joined(struct assembly *assembly, const struct hash *content, struct err *err)
{
    struct chunk_job job = {.bytes = assembly->joined, .content = *content};
    assembly->joined = (struct buf){0};
    return work_queue_offer(assembly->attempt->queue, &job) || worker_chunk(assembly->worker, &job, err);
}

static bool deliver_waiting(struct assembly *assembly, const struct hash *content, struct err *err)
{
    bool fine = true;
    while (fine && assembly->waiting) {
        AUTO(segment) struct segment *segment = assembly->waiting;
        assembly->waiting = segment->next;
        fine = worker_place_all(assembly->worker, segment, 0, segment_count(segment), content,
                                segment->leftover_base, err) &&
               deliver(assembly, segment, err);
    }
    if (!assembly->waiting) assembly->waiting_end = &assembly->waiting;
    assembly->waiting_items = 0;
    assembly->waiting_bytes = 0;
    return fine;
}

static bool close_joined(struct assembly *assembly, struct err *err)
{
    struct hash content = {{0}};
    if (assembly->joined.len > 0) {
        content = hash_of(buf_span(&assembly->joined));
        if (!pack_joined(assembly, &content, err)) return false;
    }
    return deliver_waiting(assembly, &content, err);
}

static void wait_for_joined(struct assembly *assembly, struct segment *segment)
{
    segment->leftover_base = assembly->joined.len;
    if (segment->leftover.len > 0) {
        if (assembly->joined.cap == 0)
            assembly->joined = chunk_pool_get(assembly->attempt->pool, JOINED_MOST);
        buf_put_span(&assembly->joined, buf_span(&segment->leftover));
        buf_deinit(&segment->leftover);
    }
    assembly->waiting_items += segment_count(segment);
    assembly->waiting_bytes += segment->encoded.len;
    *assembly->waiting_end = segment;
    assembly->waiting_end = &segment->next;
}

bool assembly_take(struct assembly *assembly, struct segment *segment, struct err *err)
{
    AUTO(segment) struct segment *taken = segment;
    if (!assembly->waiting && taken->leftover.len == 0) return deliver(assembly, taken, err);
    if (assembly->joined.len + taken->leftover.len > JOINED_MOST && !close_joined(assembly, err))
        return false;
    wait_for_joined(assembly, taken);
    taken = NULL;
    if (assembly->joined.len < JOINED_LEAST && assembly->waiting_items < WAITING_ITEMS_MOST &&
        assembly->waiting_bytes < WAITING_BYTES_MOST)
        return true;
    return close_joined(assembly, err);
}

bool assembly_finish(struct assembly *assembly, struct manifest_root *root, struct hash *content,
                     struct err *err)
{
    return close_joined(assembly, err) && manifest_finish(assembly->manifest, root, content, err);
}

struct point_counts assembly_counts(const struct assembly *assembly)
{
    return assembly->counts;
}
