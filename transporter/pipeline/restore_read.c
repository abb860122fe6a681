/* restore_cat and restore_list: reading a recovery point without writing files. */
#include "transporter/pipeline/node_loader.h"
#include "transporter/pipeline/restore.h"

#include "common/base/secret.h"

/* --- list --- */

bool restore_list(struct opener *opener, const struct inlet *inlet, const struct hash *root, struct span from,
                  restore_entry_fn *each, void *arg, struct err *err)
{
    AUTO(node_loader) struct node_loader *nodes = NULL;
    AUTO(manifest_reader) struct manifest_reader *reader = NULL;
    if (!node_loader_new(opener, inlet, root, &nodes, err)) return false;
    if (!manifest_reader_new(node_loader_load, nodes, &node_loader_root, &reader, err)) return false;
    if (from.len > 0 && !manifest_seek(reader, from, err)) return false;
    for (;;) {
        struct span path;
        struct entry entry;
        bool found = false;
        if (!manifest_next(reader, &path, &entry, &found, err)) return false;
        if (!found) return true;
        if (!each(arg, path, &entry, err)) return err->code == ERR_NONE;
    }
}

/* --- cat --- */

/* One chunk at a time, in file order. */
struct cat {
    struct opener_thread *thread;
    struct opener *opener;
    const struct inlet *inlet;
    struct hash id;
    struct buf plain;
    bool here;
};

static bool cat_envelope(void *arg, struct span envelope, struct err *err)
{
    struct cat *cat = arg;
    return opener_envelope(cat->opener, envelope, err);
}

static bool cat_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct cat *cat = arg;
    if (!hash_eq(id, &cat->id)) return err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
    cat->here = opener_frame(cat->thread, id, frame, &cat->plain, err);
    return cat->here;
}

static bool cat_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    (void)arg;
    (void)id;
    return opener_missing(why, err);
}

static bool cat_data(struct cat *cat, const struct ref *ref, restore_write_fn *write, void *arg,
                     struct err *err)
{
    struct hash id = opener_chunk_id(cat->opener, FRAME_DATA, &ref->content);
    if (!cat->here || !hash_eq(&id, &cat->id)) {
        struct inlet_sink sink = {
            .envelope = cat_envelope, .frame = cat_frame, .missing = cat_missing, .arg = cat};
        cat->id = id;
        cat->here = false;
        if (!cat->inlet->ops->fetch(cat->inlet->self, &id, 1, &sink, err)) return false;
        if (!cat->here) return err_set(err, ERR_DAMAGED, "the repository side told nothing about a chunk");
    }
    if ((uint64_t)ref->offset + ref->length > cat->plain.len)
        return err_set(err, ERR_DAMAGED, "a chunk is shorter than the file's reference into it");
    return write(arg, span_of(cat->plain.data + ref->offset, (size_t)ref->length), err);
}

static bool cat_hole(uint64_t length, restore_write_fn *write, void *arg, struct err *err)
{
    static const uint8_t zeros[64 * 1024];
    while (length > 0) {
        size_t part = length < sizeof(zeros) ? (size_t)length : sizeof(zeros);
        if (!write(arg, span_of(zeros, part), err)) return false;
        length -= part;
    }
    return true;
}

static bool cat_content(struct cat *cat, struct node_loader *nodes, const struct entry *entry,
                        restore_write_fn *write, void *arg, struct err *err)
{
    AUTO(refs_reader) struct refs_reader *refs = refs_reader_new(node_loader_load, nodes, entry->refs);
    for (;;) {
        struct ref ref;
        bool found = false;
        if (!refs_next(refs, &ref, &found, err)) return false;
        if (!found) return true;
        if (!(ref.kind == REF_HOLE ? cat_hole(ref.length, write, arg, err)
                                   : cat_data(cat, &ref, write, arg, err)))
            return false;
    }
}

/* The entry at a path; a hard link leads to its first name. `path` is borrowed from the reader. */
static bool find_file(struct manifest_reader *reader, struct span path, struct entry *out, struct err *err)
{
    struct span found_path;
    bool found = false;
    if (!manifest_seek(reader, path, err) || !manifest_next(reader, &found_path, out, &found, err))
        return false;
    if (found && span_eq(found_path, path)) return true;
    return err_set(err, ERR_NOT_FOUND, "'/%.*s' is not in this recovery point", (int)path.len,
                   (const char *)path.data);
}

/* The only entry of an object that is no tree. */
static bool find_only(struct manifest_reader *reader, struct entry *out, struct err *err)
{
    struct span path;
    bool found = false;
    if (manifest_reader_root(reader)->kind == OBJECT_TREE)
        return err_set(err, ERR_USAGE, "the recovery point holds many files: which one is meant?");
    if (!manifest_next(reader, &path, out, &found, err)) return false;
    return found || err_set(err, ERR_DAMAGED, "the recovery point holds nothing");
}

bool restore_cat(struct opener *opener, const struct inlet *inlet, const struct hash *root, struct span path,
                 restore_write_fn *write, void *arg, struct err *err)
{
    AUTO(node_loader) struct node_loader *nodes = NULL, *side_nodes = NULL;
    AUTO(manifest_reader) struct manifest_reader *reader = NULL;
    AUTO(opener_thread) struct opener_thread *thread = NULL;
    AUTO(buf) struct buf target = {0};
    struct entry entry;
    if (!node_loader_new(opener, inlet, root, &nodes, err)) return false;
    if (!node_loader_new(opener, inlet, root, &side_nodes, err)) return false;
    if (!opener_thread_new(opener, &thread, err)) return false;
    if (!manifest_reader_new(node_loader_load, nodes, &node_loader_root, &reader, err)) return false;
    if (!(path.len > 0 ? find_file(reader, path, &entry, err) : find_only(reader, &entry, err))) return false;
    if (entry.type == ENTRY_HARD_LINK) {
        buf_put_span(&target, entry.target);
        if (!find_file(reader, buf_span(&target), &entry, err)) return false;
    }
    if (entry.type != ENTRY_FILE)
        return err_set(err, ERR_USAGE, "'/%.*s' is not a regular file", (int)path.len,
                       (const char *)path.data);

    struct cat cat = {.thread = thread, .opener = opener, .inlet = inlet};
    bool ok = cat_content(&cat, side_nodes, &entry, write, arg, err);
    wipe(cat.plain.data, cat.plain.cap);
    buf_deinit(&cat.plain);
    return ok;
}
