#include "transporter/pipeline/backup.h"

#include "common/base/alloc.h"
#include "common/chunk/chunker.h"
#include "transporter/pipeline/assembly.h"
#include "transporter/pipeline/closing.h"
#include "transporter/pipeline/engine.h"

enum {
    SEGMENTS_PER_WORKER = 64, /* that may wait for their turn, worked on or not, … */
    SEGMENTS_HEAVY = 16,      /* … or only so many, while together they have more bytes than this */
    SEGMENTS_BYTES = 8 * 1024 * 1024,
    WALK_AHEAD = 2 * 1024 * 1024, /* so that most directories are still open when their files are read */
};

/* One run of backup_tree. */
struct backup {
    const struct backup_options *options;
    struct walk_options walk_options;
    struct engine engine;
    struct walk *walk;
    struct assembly *assembly;
    struct segment *open; /* being filled */

    struct segment **queued; /* a ring of those handed out, in path order */
    size_t queued_places, queued_first, queued_count;
    size_t queued_bytes;
};

/* --- the ordering thread --- */

static bool deliver_first(struct backup *backup, struct err *err)
{
    struct segment *segment = backup->queued[backup->queued_first];
    backup->queued_first = (backup->queued_first + 1) % backup->queued_places;
    backup->queued_count--;
    backup->queued_bytes -= segment->bytes;
    attempt_publish(&backup->engine.attempt);
    return assembly_take(backup->assembly, segment, err);
}

/* Delivers what is done; waits only until no more than `most` segments are out. */
static bool deliver_done(struct backup *backup, size_t most, struct err *err)
{
    while (backup->queued_count > 0) {
        struct segment *first = backup->queued[backup->queued_first];
        if (!work_queue_is_done(backup->engine.attempt.queue, first)) {
            if (backup->queued_count <= most) return true;
            if (!work_queue_await_segment(backup->engine.attempt.queue, first))
                return err_set(err, ERR_CANCELLED, "stopped");
        }
        if (!deliver_first(backup, err)) return false;
    }
    return true;
}

/* A segment that takes long holds up the delivery of all behind it: enough of them must be out for the other
 * workers not to run dry meanwhile. */
static size_t most_out(const struct backup *backup)
{
    size_t places = backup->queued_places - 1;
    return backup->queued_bytes < SEGMENTS_BYTES ? places : places / (SEGMENTS_PER_WORKER / SEGMENTS_HEAVY);
}

/* Hands the open segment out; one without work needs no worker, only its turn. */
static bool hand_out(struct backup *backup, struct err *err)
{
    struct segment *segment = backup->open;
    if (segment_count(segment) == 0) return true;
    if (!deliver_done(backup, most_out(backup), err)) return false;
    backup->open = segment_new();
    segment->bytes = segment_bytes(segment);
    backup->queued_bytes += segment->bytes;
    size_t last = (backup->queued_first + backup->queued_count) % backup->queued_places;
    backup->queued[last] = segment;
    backup->queued_count++;
    if (segment->work > 0)
        work_queue_add_segment(backup->engine.attempt.queue, segment);
    else
        segment->done = true;
    return true;
}

static void note_walked(struct backup *backup, const struct walk_entry *entry)
{
    struct backup_progress *progress = backup->engine.attempt.progress;
    progress->entries++;
    if (entry->type != ENTRY_FILE) return;
    progress->files++;
    progress->content_bytes += entry->key.size;
}

static bool take_entry(struct backup *backup, const struct walk_entry *entry, struct err *err)
{
    note_walked(backup, entry);
    if (segment_ends_before(backup->open, entry) && !hand_out(backup, err)) return false;
    segment_add(backup->open, entry);
    return !segment_ends_after(backup->open, entry) || hand_out(backup, err);
}

static bool take_event(struct backup *backup, enum walk_event event, const struct walk_entry *entry,
                       const struct err *note, struct err *err)
{
    switch (event) {
    case WALK_ENTRY:
        return take_entry(backup, entry, err);
    case WALK_LEAVE:
        segment_leave(backup->open, entry->path);
        return true;
    case WALK_WARNING:
        attempt_warn(&backup->engine.attempt, entry->path, note);
        return true;
    case WALK_SKIPPED:
        attempt_note(&backup->engine.attempt, entry->path, note);
        return true;
    case WALK_END:
        break;
    }
    return true;
}

static bool read_all(struct backup *backup, struct err *err)
{
    enum walk_event event = WALK_ENTRY;
    while (event != WALK_END) {
        struct walk_entry entry;
        struct err note = {0};
        if (attempt_stopped(&backup->engine.attempt)) return err_set(err, ERR_CANCELLED, "stopped");
        if (!walk_next(backup->walk, &event, &entry, &note, err)) return false;
        if (!take_event(backup, event, &entry, &note, err)) return false;
    }
    if (!hand_out(backup, err)) return false;
    work_queue_end(backup->engine.attempt.queue);
    return deliver_done(backup, 0, err);
}

/* --- the end --- */

static struct manifest_root describe_root(const struct backup_options *options, struct buf *paths)
{
    for (size_t i = 0; i < options->walk.path_count; i++) {
        struct span path = span_str(options->walk.paths[i] + 1); /* without the leading '/' */
        buf_put_u16(paths, (uint16_t)path.len);
        buf_put_span(paths, path);
    }
    return (struct manifest_root){
        .kind = OBJECT_TREE,
        .chunk_min = chunker_files.min,
        .chunk_average = chunker_files.average,
        .chunk_max = chunker_files.max,
        .host = span_str(options->host),
        .path_count = (uint32_t)options->walk.path_count,
        .paths = buf_span(paths),
    };
}

static bool run(struct backup *backup, struct backup_result *result, struct err *err)
{
    AUTO(buf) struct buf paths = {0};
    struct closing closing = {.object = OBJECT_TREE, .started_ns = backup->engine.started_ns};
    if (!read_all(backup, err)) return false;
    struct manifest_root about = describe_root(backup->options, &paths);
    if (!assembly_finish(backup->assembly, &about, &closing.root, err) || !engine_drain(&backup->engine, err))
        return false;
    closing.counts = assembly_counts(backup->assembly);
    return closing_commit(&backup->engine.attempt, &closing, result, err);
}

/* --- making and ending --- */

static bool check_options(const struct backup_options *options, struct err *err)
{
    for (size_t i = 0; i < options->walk.path_count; i++)
        if (options->walk.paths[i][0] != '/')
            return err_set(err, ERR_USAGE, "'%s' is not an absolute path", options->walk.paths[i]);
    return true;
}

static void backup_deinit(struct backup *backup)
{
    engine_stop(&backup->engine);
    while (backup->queued_count > 0) {
        segment_free(backup->queued[backup->queued_first]);
        backup->queued_first = (backup->queued_first + 1) % backup->queued_places;
        backup->queued_count--;
    }
    segment_free(backup->open);
    assembly_free(backup->assembly);
    walk_free(backup->walk); /* after the entries that were kept: they hold its directories */
    engine_deinit(&backup->engine);
    free(backup->queued);
}
DEFINE_AUTO_IN_PLACE(backup, struct backup, backup_deinit)

static void make_room(struct backup *backup)
{
    backup->queued_places = (size_t)backup->engine.worker_count * SEGMENTS_PER_WORKER;
    backup->queued = xcalloc(backup->queued_places, sizeof(struct segment *));
    backup->open = segment_new();
    backup->walk_options = backup->options->walk;
    backup->walk_options.cache = backup->options->cache;
    if (backup->walk_options.ahead_bytes == 0) backup->walk_options.ahead_bytes = WALK_AHEAD;
    if (backup->walk_options.now_ns == 0) backup->walk_options.now_ns = backup->engine.started_ns;
}

static bool start(struct backup *backup, struct err *err)
{
    backup->assembly = assembly_new(&backup->engine.own);
    return walk_new(&backup->walk_options, &backup->walk, err) && engine_start(&backup->engine, err);
}

static bool back_up(const struct backup_options *options, struct backup_result *result, struct err *err)
{
    AUTO(backup) struct backup backup = {.options = options};
    if (!engine_init(&backup.engine, options, SEGMENTS_PER_WORKER, err)) return false;
    make_room(&backup);
    return (start(&backup, err) && run(&backup, result, err)) || engine_fail(&backup.engine, err);
}

bool backup_renew_cache(struct stat_cache *cache, struct err *err)
{
    if (!cache || stat_cache_apply(cache, err)) return true;
    struct err ignored;
    (void)!stat_cache_reset(cache, &ignored);
    return false;
}

bool backup_tree(const struct backup_options *options, struct backup_result *result, struct err *err)
{
    struct backup_result done = {0};
    if (!check_options(options, err) || !back_up(options, &done, err)) return false;
    *result = done;
    return true;
}
