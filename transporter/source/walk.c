#include "transporter/source/walk.h"

#include "common/base/alloc.h"
#include "transporter/source/hard_links.h"
#include "transporter/source/scan_pool.h"
#include "transporter/source/walk_note.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define AHEAD_DEFAULT ((size_t)32 * 1024 * 1024)
#define THREADS_DEFAULT 2u

/* A directory that is being delivered. */
struct frame {
    struct scan *scan;
    size_t next; /* item */
};

struct walk {
    struct scan_rules rules;
    struct dir_pool *dirs;
    struct dir_handle *root;
    struct scan_pool *scans;
    struct hard_links *links;
    char *spill_dir;

    struct frame *frames;
    size_t depth, frame_cap;
    struct scan *entering; /* the directory whose entry was just delivered */
    struct scan *left;     /* its path was given out by the last call */
    enum scan_note owed;   /* of the entry that was just delivered */
    int owed_sys;
    struct buf path;
    bool ended;
    bool failed;
    struct err failure;
};

static void always_deinit(struct scan_rules *rules)
{
    for (size_t i = 0; i < rules->always_count; i++)
        buf_deinit(&rules->always[i].path);
    free(rules->always);
}

void walk_free(struct walk *walk)
{
    if (!walk) return;
    scan_pool_free(walk->scans);
    scan_free(walk->left);
    scan_free(walk->entering);
    while (walk->depth > 0)
        scan_free(walk->frames[--walk->depth].scan);
    free(walk->frames);
    hard_links_free(walk->links);
    plan_free(walk->rules.plan);
    exclude_free(walk->rules.exclude);
    always_deinit(&walk->rules);
    dir_handle_unref(walk->root);
    dir_pool_free(walk->dirs);
    buf_deinit(&walk->path);
    free(walk->spill_dir);
    free(walk);
}

static bool any_exists(const struct walk_options *options, struct err *err)
{
    for (size_t i = 0; i < options->path_count; i++) {
        struct stat st;
        if (lstat(options->paths[i], &st) == 0 || errno != ENOENT) return true;
    }
    return err_sys(err, ENOENT, "cannot back up '%s'", options->paths[0]);
}

static bool take_always(struct scan_rules *rules, const struct walk_options *options, struct err *err)
{
    rules->always = xcalloc(options->always_count ? options->always_count : 1, sizeof(*rules->always));
    for (size_t i = 0; i < options->always_count; i++) {
        struct always *always = &rules->always[rules->always_count++];
        struct stat st;
        if (!plan_normalize(options->always_excluded[i], &always->path, err)) return false;
        always->exists = stat(options->always_excluded[i], &st) == 0;
        if (!always->exists) continue;
        always->device = st.st_dev;
        always->inode = st.st_ino;
    }
    return true;
}

static bool take_options(struct walk *walk, const struct walk_options *options, struct err *err)
{
    struct scan_rules *rules = &walk->rules;
    if (!plan_new(options->paths, options->path_count, &rules->plan, err)) return false;
    if (!exclude_new(options->excludes, options->exclude_count, &rules->exclude, err)) return false;
    if (!take_always(rules, options, err)) return false;
    walk->spill_dir = options->spill_dir ? xstrdup(options->spill_dir) : NULL;
    rules->mounts = options->mounts;
    rules->names = (struct names_limits){.memory_max = WALK_SORT_MAX, .spill_dir = walk->spill_dir};
    rules->cache = options->cache;
    rules->now_ns = options->now_ns;
    return any_exists(options, err);
}

bool walk_new(const struct walk_options *options, struct walk **out, struct err *err)
{
    AUTO(walk) struct walk *walk = xcalloc(1, sizeof(*walk));
    struct stat st;
    if (!take_options(walk, options, err)) return false;
    walk->dirs = dir_pool_new(0);
    if (!dir_handle_root(walk->dirs, "/", &walk->root, err)) return false;
    if (stat("/", &st) != 0) return err_sys(err, errno, "cannot read '/'");
    walk->links = hard_links_new(walk->spill_dir);
    walk->entering = scan_root(&walk->rules, walk->root, st.st_dev);
    walk->scans = scan_pool_new(&walk->rules, options->threads ? options->threads : THREADS_DEFAULT,
                                options->ahead_bytes ? options->ahead_bytes : AHEAD_DEFAULT);
    *out = walk;
    walk = NULL;
    return true;
}

static void push_frame(struct walk *walk, struct scan *scan)
{
    if (walk->depth == walk->frame_cap) {
        walk->frame_cap = walk->frame_cap ? walk->frame_cap * 2 : 32;
        walk->frames = xreallocarray(walk->frames, walk->frame_cap, sizeof(*walk->frames));
    }
    walk->frames[walk->depth++] = (struct frame){.scan = scan};
}

/* A note as the event that it is. */
static enum walk_event tell(enum scan_note what, int sys, struct span path, struct walk_entry *entry,
                            struct err *note)
{
    *entry = (struct walk_entry){.path = path};
    return walk_note(what, sys, path, note);
}

static struct span path_of(struct walk *walk, const struct scan *scan, const struct scan_item *item)
{
    buf_clear(&walk->path);
    buf_put_span(&walk->path, scan_path(scan));
    if (scan->path_len > 0) buf_put_u8(&walk->path, '/');
    buf_put_span(&walk->path, item->name);
    return buf_span(&walk->path);
}

static void fill(const struct scan *scan, const struct scan_item *item, struct span path,
                 struct walk_entry *entry)
{
    *entry = (struct walk_entry){
        .path = path,
        .parent = scan_path(scan),
        .name = item->name,
        .dir = scan->dir,
        .depth = (uint16_t)(scan->depth + 1),
        .type = item->type,
        .mode = item->mode,
        .uid = item->uid,
        .gid = item->gid,
        .device_major = item->device_major,
        .device_minor = item->device_minor,
        .key = item->key,
        .blocks = item->blocks,
        .mount = item->mount,
        .links = item->links,
        .cached = item->cached,
        .fallback = item->fallback,
        .previous = item->previous,
        .cacheable = item->cacheable,
    };
}

/* A file with several names, which is a hard link but for the first that comes. */
static bool meet_link(struct walk *walk, const struct scan_item *item, struct walk_entry *entry,
                      struct err *err)
{
    struct span first;
    const struct linked file = {
        .device = item->mount, .inode = item->key.inode, .born_ns = item->born_ns, .count = item->links};
    if (!hard_links_meet(walk->links, &file, entry->path, &first, err)) return false;
    if (first.len == 0) return true;
    entry->linked_type = entry->type;
    entry->type = ENTRY_HARD_LINK;
    entry->target = first;
    entry->cached = entry->fallback = entry->previous = span_of(NULL, 0);
    return true;
}

static bool deliver(struct walk *walk, struct scan *scan, struct scan_item *item, enum walk_event *event,
                    struct walk_entry *entry, struct err *note, struct err *err)
{
    struct span path = path_of(walk, scan, item);
    if (!item->listed) {
        *event = tell(item->note, item->sys, path, entry, note);
        return true;
    }
    struct walk_entry filled;
    fill(scan, item, path, &filled);
    if (item->links > 1 && item->type != ENTRY_DIRECTORY && !meet_link(walk, item, &filled, err))
        return false;
    walk->owed = item->note;
    walk->owed_sys = item->sys;
    walk->entering = item->below;
    item->below = NULL;
    *entry = filled;
    *event = WALK_ENTRY;
    return true;
}

/* Whatever comes next, if it is of the innermost directory; *done = false if it has to be asked again. */
static bool step(struct walk *walk, enum walk_event *event, struct walk_entry *entry, struct err *note,
                 bool *done, struct err *err)
{
    struct frame *frame = &walk->frames[walk->depth - 1];
    struct scan *scan = frame->scan;
    *done = true;
    if (scan->note != NOTE_NONE) {
        *event = tell(scan->note, scan->sys, scan_path(scan), entry, note);
        scan->note = NOTE_NONE;
        return true;
    }
    if (frame->next < scan->count)
        return deliver(walk, scan, &scan->items[frame->next++], event, entry, note, err);
    if (scan->names) {
        *done = false;
        frame->next = 0;
        return scan_pool_more(walk->scans, scan, err);
    }
    *event = WALK_LEAVE;
    *entry = (struct walk_entry){.path = scan_path(scan)};
    walk->left = scan;
    walk->depth--;
    return true;
}

/* What the last call left to do. */
static bool catch_up(struct walk *walk, struct err *err)
{
    if (walk->left) {
        walk->ended = walk->depth == 0;
        scan_pool_drop(walk->scans, walk->left);
        walk->left = NULL;
    }
    if (walk->entering) {
        if (!scan_pool_need(walk->scans, walk->entering, err)) return false;
        push_frame(walk, walk->entering);
        walk->entering = NULL;
    }
    return true;
}

static bool next(struct walk *walk, enum walk_event *event, struct walk_entry *entry, struct err *note,
                 struct err *err)
{
    if (walk->owed != NOTE_NONE) {
        *event = tell(walk->owed, walk->owed_sys, buf_span(&walk->path), entry, note);
        walk->owed = NOTE_NONE;
        return true;
    }
    if (!catch_up(walk, err)) return false;
    for (bool done = walk->ended; !done;)
        if (!step(walk, event, entry, note, &done, err)) return false;
    if (walk->ended) {
        *event = WALK_END;
        *entry = (struct walk_entry){0};
    }
    return true;
}

bool walk_next(struct walk *walk, enum walk_event *event, struct walk_entry *entry, struct err *note,
               struct err *err)
{
    if (!walk->failed) {
        if (next(walk, event, entry, note, err)) return true;
        walk->failure = *err;
        walk->failed = true;
    }
    *err = walk->failure;
    return false;
}
