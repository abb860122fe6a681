#include "transporter/source/scan.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/source/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define TRUSTED_AGE_NS 2000000000
#define BATCH_PATHS ((size_t)4 * 1024 * 1024) /* bytes: each subdirectory of a batch holds its path */
#define BATCH_LEAST ((size_t)64)

static struct scan *scan_new(struct span parent, struct span name)
{
    size_t len = parent.len + (parent.len > 0) + name.len;
    struct scan *scan = xcalloc(1, sizeof(*scan) + len);
    scan->path_len = len;
    if (parent.len > 0) {
        memcpy(scan->path, parent.data, parent.len);
        scan->path[parent.len] = '/';
    }
    if (name.len > 0) memcpy(scan->path + len - name.len, name.data, name.len);
    return scan;
}

struct scan *scan_root(const struct scan_rules *rules, struct dir_handle *dir, uint64_t mount)
{
    struct scan *scan = scan_new(span_of(NULL, 0), span_of(NULL, 0));
    scan->dir = dir_handle_ref(dir);
    scan->plan = rules->plan;
    scan->whole = rules->plan->chosen;
    scan->mount = scan->home_mount = mount;
    return scan;
}

void scan_free(struct scan *scan)
{
    if (!scan) return;
    for (size_t i = 0; i < scan->count; i++)
        scan_free(scan->items[i].below);
    free(scan->items);
    buf_deinit(&scan->text);
    names_free(scan->names);
    stat_cache_dir_free(scan->known);
    dir_handle_unref(scan->dir);
    free(scan);
}

void scan_scratch_deinit(struct scan_scratch *scratch)
{
    buf_deinit(&scratch->path);
    buf_deinit(&scratch->name);
}

static void set_fault(struct scan *scan, const struct err *err)
{
    scan->sys = err->sys;
    scan->note = err->code == ERR_NOT_FOUND ? NOTE_GONE
                 : err->code == ERR_FAILED  ? NOTE_REPLACED
                                            : NOTE_FAULT;
}

/* bford.info/cachedir: the tag is a regular file that begins with these 43 bytes. */
static bool tag_is_valid(int dir)
{
    static const char signature[] = "Signature: 8a477f597d28d172789f06886806bc55";
    char found[sizeof(signature) - 1];
    AUTO(fd) int fd = openat(dir, "CACHEDIR.TAG", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return false;
    if (pread(fd, found, sizeof(found), 0) != (ssize_t)sizeof(found)) return false;
    return memcmp(found, signature, sizeof(found)) == 0;
}

/* What leads to chosen paths, and a name of our own. */
static struct names *planned_names(const struct scan *scan, const char *tag)
{
    size_t planned = scan->plan ? scan->plan->count : 0;
    AUTO(free) struct span *list = xcalloc(planned + 1, sizeof(*list));
    size_t count = 0;
    bool tag_due = tag != NULL;
    for (size_t i = 0; i < planned; i++) {
        struct span name = scan->plan->children[i].name;
        if (tag_due && span_cmp(span_str(tag), name) <= 0) {
            if (!span_eq(span_str(tag), name)) list[count++] = span_str(tag);
            tag_due = false;
        }
        list[count++] = name;
    }
    if (tag_due) list[count++] = span_str(tag);
    return names_of(list, count);
}

static bool list_names(struct scan *scan, const struct scan_rules *rules, int fd, struct err *err)
{
    if (!scan->whole) {
        scan->names = planned_names(scan, NULL);
        return true;
    }
    int fault;
    if (!names_read(fd, &rules->names, &scan->names, &fault, err)) return false;
    if (fault) {
        scan->note = NOTE_FAULT;
        /* the descriptor is for looking up only where reading is forbidden */
        scan->sys = fault == EBADF ? EACCES : fault;
    }
    bool asked_for = scan->plan && scan->plan->chosen;
    if (names_tagged(scan->names) && !asked_for && tag_is_valid(fd)) {
        names_free(scan->names);
        scan->names = planned_names(scan, "CACHEDIR.TAG");
        scan->note = NOTE_TAGGED;
    }
    return true;
}

static int64_t ns_of(const struct statx_timestamp *time)
{
    return clock_ns_of(&(struct timespec){.tv_sec = time->tv_sec, .tv_nsec = time->tv_nsec});
}

static void take_stat(struct scan_item *item, const struct statx *stx, uint64_t now_ns)
{
    item->mode = stx->stx_mode & 07777;
    item->uid = stx->stx_uid;
    item->gid = stx->stx_gid;
    item->links = stx->stx_nlink;
    item->device_major = stx->stx_rdev_major;
    item->device_minor = stx->stx_rdev_minor;
    item->mount = makedev(stx->stx_dev_major, stx->stx_dev_minor);
    item->blocks = stx->stx_blocks;
    item->born_ns = stx->stx_mask & STATX_BTIME ? ns_of(&stx->stx_btime) : 0;
    item->key = (struct stat_key){.inode = stx->stx_ino,
                                  .size = stx->stx_size,
                                  .mtime_ns = ns_of(&stx->stx_mtime),
                                  .ctime_ns = ns_of(&stx->stx_ctime)};
    int64_t trusted_until = now_ns > INT64_MAX ? INT64_MAX : (int64_t)now_ns;
    item->cacheable = item->key.ctime_ns <= trusted_until - TRUSTED_AGE_NS;
}

/* 0: none that is backed up */
static enum entry_type type_of(unsigned mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return ENTRY_DIRECTORY;
    case S_IFREG:
        return ENTRY_FILE;
    case S_IFLNK:
        return ENTRY_SYMLINK;
    case S_IFIFO:
        return ENTRY_FIFO;
    case S_IFCHR:
        return ENTRY_CHAR_DEVICE;
    case S_IFBLK:
        return ENTRY_BLOCK_DEVICE;
    default:
        return 0;
    }
}

static bool always_excluded(const struct scan_rules *rules, struct span path, const struct scan_item *item)
{
    for (size_t i = 0; i < rules->always_count; i++) {
        const struct always *always = &rules->always[i];
        if (span_eq(path, buf_span(&always->path))) return true;
        if (always->exists && item->mount == always->device && item->key.inode == always->inode) return true;
    }
    return false;
}

/* A directory's own scan. */
static struct scan *scan_below(const struct scan *scan, const struct scan_rules *rules,
                               const struct scan_item *item, const struct plan *plan, bool whole)
{
    struct scan *below = scan_new(scan_path(scan), item->name);
    below->dir = dir_handle_child(scan->dir, item->name, item->mount, item->key.inode);
    below->plan = plan;
    below->whole = whole;
    below->depth = scan->depth + 1;
    below->mount = item->mount;
    below->home_mount = plan && plan->chosen ? item->mount : scan->home_mount;
    below->crossed = item->mount != scan->mount;
    if (rules->mounts == MOUNT_STAY && !plan && below->mount != below->home_mount)
        below->note = NOTE_OTHER_MOUNT;
    return below;
}

static void note_only(struct scan_item *item, enum scan_note note, int sys)
{
    item->listed = false;
    item->note = note;
    item->sys = sys;
}

/* A chosen path, or one on the way to chosen paths, that is no directory. */
static void note_chosen(struct scan_item *item, const struct plan *plan)
{
    if (item->type == ENTRY_SYMLINK)
        item->note = plan->count > 0 ? NOTE_LINK_ON_THE_WAY : NOTE_LINK_CHOSEN;
    else if (plan->count > 0) {
        item->note = NOTE_FAULT;
        item->sys = ENOTDIR;
    }
}

/* Decides on an entry whose stat was taken. False: a pattern leaves it out. */
static bool place(struct scan *scan, struct scan_rules *rules, struct span path, struct scan_item *item)
{
    const struct plan *plan = plan_find(scan->plan, item->name);
    bool is_directory = item->type == ENTRY_DIRECTORY;
    bool chosen = plan && plan->chosen;
    bool whole =
        chosen || (scan->whole &&
                   !exclude_matches(rules->exclude, path, is_directory ? EXCLUDE_DIRECTORY : EXCLUDE_OTHER));
    if (!whole && !plan) return false;
    if (always_excluded(rules, path, item)) {
        note_only(item, NOTE_ALWAYS_EXCLUDED, 0);
        return true;
    }
    item->listed = is_directory || whole;
    if (is_directory)
        item->below = scan_below(scan, rules, item, plan, whole);
    else if (plan)
        note_chosen(item, plan);
    return true;
}

static void look_up(struct scan *scan, const struct scan_rules *rules, struct scan_item *item)
{
    if (!scan->known || !item->listed) return;
    struct span same = stat_cache_dir_find(scan->known, item->name, &item->key);
    struct span known = same.len > 0 ? same : stat_cache_dir_named(scan->known, item->name);
    if (known.len < ENTRY_FIXED_LEN || known.data[4] != (uint8_t)item->type) return;
    bool anew = stat_cache_wants_anew(rules->cache, known);
    if (same.len > 0)
        *(anew ? &item->fallback : &item->cached) = known;
    else if (!anew)
        item->previous = known;
}

static struct span child_path(const struct scan *scan, struct span name, struct buf *scratch)
{
    buf_clear(scratch);
    buf_put_span(scratch, scan_path(scan));
    if (scan->path_len > 0) buf_put_u8(scratch, '/');
    buf_put_span(scratch, name);
    return buf_span(scratch);
}

/* Fills in what belongs to item->name, which a NUL follows. False: not to be told at all. */
static bool scan_entry(struct scan *scan, struct scan_rules *rules, int fd, struct scan_scratch *scratch,
                       struct scan_item *item)
{
    struct span path = child_path(scan, item->name, &scratch->path);
    if (path.len > PATH_LEN_MAX || scan->depth >= DEPTH_MAX) {
        note_only(item, NOTE_LONG_PATH, 0);
        return true;
    }
    struct statx stx;
    if (statx(fd, (const char *)item->name.data, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BASIC_STATS | STATX_BTIME, &stx) != 0) {
        bool gone = errno == ENOENT && !plan_find(scan->plan, item->name);
        note_only(item, gone ? NOTE_GONE : NOTE_FAULT, errno);
        return true;
    }
    take_stat(item, &stx, rules->now_ns);
    item->type = type_of(stx.stx_mode);
    if (!place(scan, rules, path, item)) return false;
    if (item->listed && item->type == 0) note_only(item, NOTE_SOCKET, 0);
    look_up(scan, rules, item);
    return true;
}

/* How many entries at once: fewer where their paths are very long. */
static size_t batch_of(const struct scan *scan)
{
    size_t batch = BATCH_PATHS / (scan->path_len + 1);
    if (batch > SCAN_BATCH) return SCAN_BATCH;
    return batch < BATCH_LEAST ? BATCH_LEAST : batch;
}

/* Moves the next names into `text`, a NUL behind each, and their lengths into the items. */
static bool take_names(struct scan *scan, struct err *err)
{
    size_t batch = batch_of(scan);
    size_t most = names_count(scan->names) < batch ? names_count(scan->names) : batch;
    bool found = true;
    scan->count = 0;
    buf_clear(&scan->text);
    if (!scan->items) scan->items = xcalloc(most ? most : 1, sizeof(*scan->items));
    while (scan->count < most) {
        struct span name;
        if (!names_next(scan->names, &name, &found, err)) {
            scan->count = 0;
            return false;
        }
        if (!found) break;
        scan->items[scan->count++] = (struct scan_item){.name = {NULL, name.len}};
        buf_put_span(&scan->text, name);
        buf_put_u8(&scan->text, 0);
    }
    if (!found || most < batch) {
        names_free(scan->names);
        scan->names = NULL;
    }
    return true;
}

static size_t bytes_held(const struct scan *scan)
{
    size_t bytes = sizeof(*scan) + scan->path_len + scan->text.cap + scan->count * sizeof(*scan->items);
    if (scan->names) bytes += names_bytes(scan->names);
    for (size_t i = 0; i < scan->count; i++)
        if (scan->items[i].below) bytes += sizeof(struct scan) + scan->items[i].below->path_len + 128;
    return bytes;
}

static bool take_batch(struct scan *scan, struct scan_rules *rules, int fd, struct scan_scratch *scratch,
                       struct err *err)
{
    if (!take_names(scan, err)) return false;
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < scan->count; i++) {
        struct scan_item item = scan->items[i];
        item.name.data = scan->text.data + at;
        at += item.name.len + 1;
        if (scan_entry(scan, rules, fd, scratch, &item)) scan->items[kept++] = item;
    }
    scan->count = kept;
    scan->bytes = bytes_held(scan);
    return true;
}

bool scan_run(struct scan *scan, struct scan_rules *rules, struct scan_scratch *scratch, struct err *err)
{
    scan->bytes = bytes_held(scan);
    if (scan->note != NOTE_NONE) return true;
    int fd;
    struct err inner;
    if (!dir_handle_get(scan->dir, &fd, &inner)) {
        set_fault(scan, &inner);
        return true;
    }
    bool ok = true;
    if (scan->crossed && mount_is_pseudo(fd)) {
        scan->note = NOTE_PSEUDO;
    } else {
        if (rules->cache) scan->known = stat_cache_dir_get(rules->cache, scan_path(scan));
        ok = list_names(scan, rules, fd, err) && take_batch(scan, rules, fd, scratch, err);
    }
    dir_handle_put(scan->dir);
    return ok;
}

bool scan_more(struct scan *scan, struct scan_rules *rules, struct scan_scratch *scratch, struct err *err)
{
    int fd;
    struct err inner;
    if (!dir_handle_get(scan->dir, &fd, &inner)) {
        /* what is left cannot be reached any more */
        set_fault(scan, &inner);
        names_free(scan->names);
        scan->names = NULL;
        scan->count = 0;
        return true;
    }
    bool ok = take_batch(scan, rules, fd, scratch, err);
    dir_handle_put(scan->dir);
    return ok;
}
