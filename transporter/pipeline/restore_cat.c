/* restore_cat: one content in order. Threads plan and fetch windows of its chunks ahead, the caller's opens
 * and writes them. */
#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "transporter/pipeline/node_loader.h"
#include "transporter/pipeline/restore.h"

#include <pthread.h>

enum {
    WINDOW_IDS = 16, /* of at most 5 MiB each: this bounds memory, whatever references claim */
    WINDOW_BYTES = 8 * 1024 * 1024,
    WINDOW_PIECES = 1024,
    FETCHERS_MAX = 2,
    WINDOWS = FETCHERS_MAX + 1, /* under way, and the one that is written */
};

struct chunk {
    struct hash id;
    struct buf frame;
    struct err lost; /* in place of the frame */
    bool told;
};

struct piece {
    struct ref ref;
    unsigned chunk; /* of a reference that is no hole */
};

/* Consecutive references and the chunks that they need. Filled by one fetcher; freed by the caller's thread
 * once it is fetched. */
struct window {
    struct cat *cat;
    struct chunk chunks[WINDOW_IDS];
    unsigned chunk_count;
    struct piece pieces[WINDOW_PIECES];
    unsigned piece_count;
    uint64_t bytes;
    bool fetched;
};

struct cat {
    struct opener *opener;
    const struct inlet *inlet;
    unsigned limit; /* windows at a time */
    pthread_t fetchers[FETCHERS_MAX];
    unsigned started;

    pthread_mutex_t planning; /* whose turn it is with: */
    struct refs_reader *refs;

    pthread_mutex_t lock; /* of the rest, and of the windows' chunks */
    pthread_cond_t changed;
    struct window *windows[WINDOWS]; /* by number, modulo `limit` */
    uint64_t planned, written;
    bool planned_all, stopping;
    struct err failure;

    /* the caller's thread */
    struct opener_thread *thread;
    struct hash id; /* of what is in `plain` */
    struct buf plain;
    bool here;
    restore_write_fn *write;
    void *arg;
};

static void window_free(struct window *window)
{
    if (!window) return;
    for (unsigned i = 0; i < window->chunk_count; i++)
        buf_deinit(&window->chunks[i].frame);
    free(window);
}
DEFINE_AUTO(window, struct window *, window_free)

/* --- between the threads --- */

/* Ends the fetching; the first reason stays. */
static void stop(struct cat *cat, const struct err *why)
{
    (void)pthread_mutex_lock(&cat->lock);
    if (!cat->stopping) cat->failure = *why;
    cat->stopping = true;
    (void)pthread_cond_broadcast(&cat->changed);
    (void)pthread_mutex_unlock(&cat->lock);
}

/* Waits for the room of one more window; false at the end. */
static bool await_room(struct cat *cat)
{
    (void)pthread_mutex_lock(&cat->lock);
    while (!cat->stopping && cat->planned - cat->written >= cat->limit)
        (void)pthread_cond_wait(&cat->changed, &cat->lock);
    bool on = !cat->stopping && !cat->planned_all;
    (void)pthread_mutex_unlock(&cat->lock);
    return on;
}

/* Takes the window; an empty one is the end. */
static void publish(struct cat *cat, struct window *window)
{
    (void)pthread_mutex_lock(&cat->lock);
    if (window->piece_count > 0)
        cat->windows[cat->planned++ % cat->limit] = window;
    else
        cat->planned_all = true;
    (void)pthread_cond_broadcast(&cat->changed);
    (void)pthread_mutex_unlock(&cat->lock);
}

/* The window that is to be written next; NULL after the last one. */
static bool await_window(struct cat *cat, struct window **out, struct err *err)
{
    (void)pthread_mutex_lock(&cat->lock);
    while (!cat->stopping && !cat->planned_all && cat->planned == cat->written)
        (void)pthread_cond_wait(&cat->changed, &cat->lock);
    bool on = !cat->stopping;
    *out = cat->planned > cat->written ? cat->windows[cat->written % cat->limit] : NULL;
    if (!on) *err = cat->failure;
    (void)pthread_mutex_unlock(&cat->lock);
    return on;
}

static bool await_chunk(struct cat *cat, const struct chunk *chunk, struct err *err)
{
    (void)pthread_mutex_lock(&cat->lock);
    while (!cat->stopping && !chunk->told)
        (void)pthread_cond_wait(&cat->changed, &cat->lock);
    *err = chunk->told ? chunk->lost : cat->failure;
    (void)pthread_mutex_unlock(&cat->lock);
    return err->code == ERR_NONE;
}

/* Everything of the window is written: it makes room for another. */
static bool end_window(struct cat *cat, struct window *window, struct err *err)
{
    (void)pthread_mutex_lock(&cat->lock);
    while (!cat->stopping && !window->fetched)
        (void)pthread_cond_wait(&cat->changed, &cat->lock);
    bool on = !cat->stopping;
    if (on) cat->windows[cat->written++ % cat->limit] = NULL;
    if (!on) *err = cat->failure;
    (void)pthread_cond_broadcast(&cat->changed);
    (void)pthread_mutex_unlock(&cat->lock);
    if (on) window_free(window);
    return on;
}

/* --- fetching --- */

static struct chunk *find_chunk(struct window *window, const struct hash *id)
{
    for (unsigned i = 0; i < window->chunk_count; i++)
        if (hash_eq(&window->chunks[i].id, id)) return &window->chunks[i];
    return NULL;
}

/* `lost` NULL: the frame is there. */
static bool take_chunk(struct window *window, const struct hash *id, struct span frame,
                       const struct err *lost, struct err *err)
{
    struct cat *cat = window->cat;
    struct chunk *chunk = find_chunk(window, id);
    (void)pthread_mutex_lock(&cat->lock);
    bool asked = chunk && !chunk->told, on = !cat->stopping;
    if (asked && on) {
        buf_put_span(&chunk->frame, frame);
        if (lost) chunk->lost = *lost;
        chunk->told = true;
        (void)pthread_cond_broadcast(&cat->changed);
    }
    (void)pthread_mutex_unlock(&cat->lock);
    if (!asked) return err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
    return on || err_set(err, ERR_CANCELLED, "the reading has stopped");
}

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    const struct window *window = arg;
    return opener_take_envelope(window->cat->opener, envelope, err);
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    return take_chunk(arg, id, frame, NULL, err);
}

/* Damage stops the writing only where it is. */
static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct err lost = {0};
    (void)!opener_missing(why, &lost);
    return take_chunk(arg, id, (struct span){0}, &lost, err);
}

static void fetch_window(struct window *window)
{
    struct cat *cat = window->cat;
    struct err err = {0};
    struct hash ids[WINDOW_IDS];
    const struct inlet_sink sink = {.envelope = on_envelope,
                                    .frame = on_frame,
                                    .missing = on_missing,
                                    .arg = window,
                                    .opener = window->cat->opener};
    for (unsigned i = 0; i < window->chunk_count; i++)
        ids[i] = window->chunks[i].id;
    bool ok = window->chunk_count == 0 ||
              cat->inlet->ops->fetch(cat->inlet->self, ids, window->chunk_count, &sink, &err);
    for (unsigned i = 0; ok && i < window->chunk_count; i++)
        ok = window->chunks[i].told ||
             err_set(&err, ERR_DAMAGED, "the repository side told nothing about a chunk");
    if (!ok) stop(cat, &err);
    (void)pthread_mutex_lock(&cat->lock);
    window->fetched = true;
    (void)pthread_cond_broadcast(&cat->changed);
    (void)pthread_mutex_unlock(&cat->lock);
}

static bool is_full(const struct window *window)
{
    return window->chunk_count == WINDOW_IDS || window->piece_count == WINDOW_PIECES ||
           window->bytes >= WINDOW_BYTES;
}

static void add_piece(struct window *window, const struct ref *ref)
{
    struct piece *piece = &window->pieces[window->piece_count++];
    piece->ref = *ref;
    if (ref->kind == REF_HOLE) return;
    struct hash id = opener_chunk_id(window->cat->opener, FRAME_DATA, &ref->content);
    struct chunk *chunk = find_chunk(window, &id);
    if (!chunk) {
        chunk = &window->chunks[window->chunk_count++];
        chunk->id = id;
    }
    piece->chunk = (unsigned)(chunk - window->chunks);
    window->bytes += ref->length;
}

static bool plan_window(struct cat *cat, struct window *window, struct err *err)
{
    while (!is_full(window)) {
        struct ref ref;
        bool found = false;
        if (!refs_next(cat->refs, &ref, &found, err)) return false;
        if (!found) break;
        add_piece(window, &ref);
    }
    return true;
}

/* NULL at the end of the content, or when it stops. */
static struct window *next_window(struct cat *cat)
{
    struct err err = {0};
    struct window *planned = NULL;
    AUTO(window) struct window *window = xcalloc(1, sizeof(*window));
    window->cat = cat;
    (void)pthread_mutex_lock(&cat->planning);
    if (await_room(cat)) {
        bool ok = plan_window(cat, window, &err);
        if (!ok) stop(cat, &err);
        if (ok) publish(cat, window);
        if (ok && window->piece_count > 0) planned = window;
    }
    (void)pthread_mutex_unlock(&cat->planning);
    if (planned) window = NULL;
    return planned;
}

static void *fetch_main(void *arg)
{
    for (struct window *window; (window = next_window(arg));)
        fetch_window(window);
    return NULL;
}

/* --- writing --- */

static bool write_hole(const struct cat *cat, uint64_t length, struct err *err)
{
    static const uint8_t zeros[64 * 1024];
    while (length > 0) {
        size_t part = length < sizeof(zeros) ? (size_t)length : sizeof(zeros);
        if (!cat->write(cat->arg, span_of(zeros, part), err)) return false;
        length -= part;
    }
    return true;
}

static bool open_chunk(struct cat *cat, const struct chunk *chunk, struct err *err)
{
    struct err why = {0};
    cat->here = opener_frame(cat->thread, &chunk->id, buf_span(&chunk->frame), &cat->plain, &why);
    if (cat->here) return true;
    if (!opener_other_copy(cat->thread, cat->inlet, &chunk->id, &cat->plain, &cat->here, err)) return false;
    if (!cat->here) *err = why;
    return cat->here;
}

static bool write_data(struct cat *cat, const struct chunk *chunk, const struct ref *ref, struct err *err)
{
    if (!await_chunk(cat, chunk, err)) return false;
    if (!cat->here || !hash_eq(&chunk->id, &cat->id)) {
        cat->id = chunk->id;
        if (!open_chunk(cat, chunk, err)) return false;
    }
    if ((uint64_t)ref->offset + ref->length > cat->plain.len)
        return err_set(err, ERR_DAMAGED, "a chunk is shorter than the file's reference into it");
    return cat->write(cat->arg, span_of(cat->plain.data + ref->offset, (size_t)ref->length), err);
}

static bool write_windows(struct cat *cat, struct err *err)
{
    for (;;) {
        struct window *window = NULL;
        if (!await_window(cat, &window, err)) return false;
        if (!window) return true;
        for (unsigned i = 0; i < window->piece_count; i++) {
            const struct piece *piece = &window->pieces[i];
            if (!(piece->ref.kind == REF_HOLE
                      ? write_hole(cat, piece->ref.length, err)
                      : write_data(cat, &window->chunks[piece->chunk], &piece->ref, err)))
                return false;
        }
        if (!end_window(cat, window, err)) return false;
    }
}

static bool start_fetchers(struct cat *cat, struct err *err)
{
    unsigned count = cat->inlet->fetches ? cat->inlet->fetches : 1;
    if (count > FETCHERS_MAX) count = FETCHERS_MAX;
    cat->limit = count + 1;
    for (; cat->started < count; cat->started++) {
        int failed = pthread_create(&cat->fetchers[cat->started], NULL, fetch_main, cat);
        if (failed) return err_sys(err, failed, "cannot start a thread that fetches");
    }
    return true;
}

static void end_fetchers(struct cat *cat, const struct err *why)
{
    if (why) stop(cat, why);
    if (why && cat->inlet->ops->cancel) cat->inlet->ops->cancel(cat->inlet->self);
    for (; cat->started > 0; cat->started--)
        (void)pthread_join(cat->fetchers[cat->started - 1], NULL);
    for (unsigned i = 0; i < WINDOWS; i++)
        window_free(cat->windows[i]);
}

static bool write_content(struct cat *cat, struct node_loader *nodes, const struct entry *entry,
                          struct err *err)
{
    AUTO(refs_reader) struct refs_reader *refs = refs_reader_new(node_loader_load, nodes, entry->refs);
    cat->refs = refs;
    (void)pthread_mutex_init(&cat->planning, NULL);
    (void)pthread_mutex_init(&cat->lock, NULL);
    (void)pthread_cond_init(&cat->changed, NULL);
    bool ok = start_fetchers(cat, err) && write_windows(cat, err);
    end_fetchers(cat, ok ? NULL : err);
    (void)pthread_cond_destroy(&cat->changed);
    (void)pthread_mutex_destroy(&cat->lock);
    (void)pthread_mutex_destroy(&cat->planning);
    wipe(cat->plain.data, cat->plain.cap);
    buf_deinit(&cat->plain);
    return ok;
}

/* --- which content --- */

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
    struct cat cat = {.thread = thread, .opener = opener, .inlet = inlet, .write = write, .arg = arg};
    return write_content(&cat, side_nodes, &entry, err);
}
