#include "transporter/pipeline/restore_run.h"

#include "common/base/alloc.h"
#include "transporter/pipeline/node_loader.h"
#include "transporter/pipeline/restore_spill.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct restore_plan {
    struct restore_run *run;
    struct node_loader *nodes;      /* of the walk */
    struct node_loader *side_nodes; /* of refs nodes and of link targets: keeps the walk's read-ahead */
    struct manifest_reader *reader;
    struct manifest_reader *side_reader;   /* made when first needed */
    struct restore_writer writer;          /* for files that need no frame, and its cursor */
    struct destination_cursor first_names; /* of hard links */
    struct restore_window *window;
    struct restore_spill *directories, *links;
    struct buf last_path; /* of the entry that was planned last */
};

bool restore_plan_new(struct restore_run *run, struct restore_plan **out, struct err *err)
{
    const struct restore_options *options = run->options;
    AUTO(restore_plan) struct restore_plan *plan = xcalloc(1, sizeof(*plan));
    plan->run = run;
    plan->writer.run = run;
    destination_cursor_init(&plan->writer.cursor, run->destination);
    destination_cursor_init(&plan->first_names, run->destination);
    if (!node_loader_new(options->opener, &options->inlet, &options->root, &plan->nodes, err)) return false;
    if (!node_loader_new(options->opener, &options->inlet, &options->root, &plan->side_nodes, err))
        return false;
    if (!manifest_reader_new(node_loader_load, plan->nodes, &node_loader_root, &plan->reader, err))
        return false;
    if (!restore_spill_new(&plan->directories, err) || !restore_spill_new(&plan->links, err)) return false;
    *out = plan;
    plan = NULL;
    return true;
}

/* After a failure: lets go of the files of a window that nobody will fetch. */
static void drop_window(struct restore_plan *plan)
{
    if (!plan->window) return;
    for (uint32_t i = 0; i < plan->window->piece_count; i++) {
        atomic_store(&plan->window->pieces[i].file->failed, true);
        restore_file_done(&plan->writer, plan->window->pieces[i].file);
    }
    restore_window_free(plan->window);
    plan->window = NULL;
}

void restore_plan_free(struct restore_plan *plan)
{
    if (!plan) return;
    drop_window(plan);
    manifest_reader_free(plan->reader);
    manifest_reader_free(plan->side_reader);
    node_loader_free(plan->nodes);
    node_loader_free(plan->side_nodes);
    destination_cursor_deinit(&plan->writer.cursor);
    destination_cursor_deinit(&plan->first_names);
    restore_spill_free(plan->directories);
    restore_spill_free(plan->links);
    buf_deinit(&plan->last_path);
    free(plan);
}

/* --- what is there already --- */

enum in_the_way { WAY_FREE, WAY_KEEP, WAY_FAILED };

/* Makes way for a new inode at the name, as --overwrite says. */
static enum in_the_way make_way(struct restore_plan *plan, int dir, const char *name,
                                const struct entry *entry, struct err *err)
{
    if (plan->run->fresh) return WAY_FREE;
    struct stat there;
    if (fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return WAY_FREE;
        (void)err_sys(err, errno, "cannot stat what is in the way");
        return WAY_FAILED;
    }
    enum overwrite overwrite = plan->run->options->overwrite;
    bool keep =
        overwrite == OVERWRITE_NEVER ||
        (overwrite == OVERWRITE_CHANGED && entry->type == ENTRY_FILE && inode_is_unchanged(&there, entry));
    if (keep) {
        atomic_fetch_add(&plan->run->skipped, 1);
        return WAY_KEEP;
    }
    if (unlinkat(dir, name, 0) == 0) return WAY_FREE;
    (void)err_sys(err, errno,
                  S_ISDIR(there.st_mode) ? "a directory is in the way" : "cannot remove what is in the way");
    return WAY_FAILED;
}

/* --- entries without content --- */

static bool finish_later(struct restore_plan *plan, struct span path, const struct entry *entry,
                         const struct stat *st, struct err *err)
{
    const struct spilled_inode own = {.device = st->st_dev, .inode = st->st_ino};
    return restore_spill_put(plan->directories, path, entry, &own, err);
}

/* ERR_EXISTS: the name is taken. Somebody who may write here can put another directory in the place of the
 * new one at once: what has something in it was not made just now, and one that he must not have would become
 * his. */
static bool make_one(int dir, const char *name, struct stat *made, struct err *err)
{
    struct stat st;
    if (mkdirat(dir, name, 0700) != 0) return err_sys(err, errno, "cannot make the directory");
    AUTO(fd) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) return err_sys(err, errno, "cannot open the directory that was made");
    if (!inode_is_empty_directory(fd))
        return err_set(err, ERR_POLICY, "the directory was replaced while it was restored");
    *made = st;
    return true;
}

static bool make_directory(struct restore_plan *plan, struct span path, const struct entry *entry,
                           struct err *err)
{
    int dir;
    char name[256];
    struct stat there;
    if (!destination_parent(&plan->writer.cursor, path, &dir, name, err)) return false;
    enum overwrite overwrite = plan->run->options->overwrite;
    if (make_one(dir, name, &there, err)) return finish_later(plan, path, entry, &there, err);
    if (err->code != ERR_EXISTS) return false;
    if (fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(err, errno, "cannot make the directory");
    if (S_ISDIR(there.st_mode)) /* `never` leaves its owner, mode and time alone too */
        return overwrite == OVERWRITE_NEVER || finish_later(plan, path, entry, &there, err);
    if (overwrite != OVERWRITE_ALWAYS)
        return err_set(err, ERR_EXISTS, "something else is in the place of the directory");
    if (unlinkat(dir, name, 0) != 0) return err_sys(err, errno, "cannot make the directory");
    return make_one(dir, name, &there, err) && finish_later(plan, path, entry, &there, err);
}

static bool make_inode(int dir, const char *name, const struct entry *entry, struct err *err)
{
    int failed;
    switch (entry->type) {
    case ENTRY_SYMLINK: {
        AUTO(buf) struct buf target = {0};
        buf_put_span(&target, entry->target);
        failed = symlinkat(buf_cstr(&target), dir, name);
        break;
    }
    case ENTRY_FIFO:
        failed = mkfifoat(dir, name, 0600);
        break;
    case ENTRY_CHAR_DEVICE:
    case ENTRY_BLOCK_DEVICE:
        failed = mknodat(dir, name, (entry->type == ENTRY_CHAR_DEVICE ? S_IFCHR : S_IFBLK) | 0600,
                         makedev(entry->device_major, entry->device_minor));
        break;
    default:
        return err_set(err, ERR_FAILED, "an entry of a type that cannot be made");
    }
    return failed == 0 || err_sys(err, errno, "cannot make it");
}

static bool make_special(struct restore_plan *plan, struct span path, const struct entry *entry,
                         struct err *err)
{
    int dir;
    char name[256];
    if (!destination_parent(&plan->writer.cursor, path, &dir, name, err)) return false;
    enum in_the_way way = make_way(plan, dir, name, entry, err);
    if (way != WAY_FREE) return way == WAY_KEEP;
    if (!make_inode(dir, name, entry, err)) return false;
    struct inode_metadata metadata = inode_metadata_of(entry);
    unsigned losses = 0;
    struct err loss = {0};
    if (!inode_metadata_apply_at(&metadata, dir, name, &losses, &loss)) {
        *err = loss;
        return false;
    }
    if (losses) restore_tell_losses(plan->run, path, losses, &loss);
    atomic_fetch_add(&plan->run->progress->entries, 1);
    return true;
}

/* --- regular files --- */

static bool add_piece(struct restore_plan *plan, struct restore_file *file, const struct ref *ref,
                      uint64_t offset, struct err *err)
{
    if (plan->window && restore_window_full(plan->window)) {
        struct restore_window *full = plan->window;
        plan->window = NULL;
        if (!restore_hand_over(plan->run, full, err)) return false;
    }
    if (!plan->window) plan->window = restore_window_new();
    struct hash id = opener_chunk_id(plan->run->options->opener, FRAME_DATA, &ref->content);
    struct restore_piece piece = {
        .file = file, .file_offset = offset, .chunk_offset = ref->offset, .length = (uint32_t)ref->length};
    atomic_fetch_add(&file->users, 1);
    restore_window_add(plan->window, &id, &piece);
    return true;
}

static bool add_pieces(struct restore_plan *plan, struct restore_file *file, const struct entry *entry,
                       struct err *err)
{
    AUTO(refs_reader)
    struct refs_reader *refs = refs_reader_new(node_loader_load, plan->side_nodes, entry->refs);
    uint64_t offset = 0;
    for (;;) {
        struct ref ref;
        bool found = false;
        /* a few refs nodes that name each other's children again and again describe more holes than can be
         * counted */
        if (!restore_going_on(plan->run, err) || !refs_next(refs, &ref, &found, err)) return false;
        if (!found) return true;
        if (ref.length > entry->size - offset)
            return err_set(err, ERR_DAMAGED, "its references go beyond its size");
        if (ref.kind == REF_DATA && !add_piece(plan, file, &ref, offset, err)) return false;
        offset += ref.length;
    }
}

static bool is_single(const struct entry *entry)
{
    if (entry->ref_count != 1 || (entry->flags & ENTRY_REFS_IN_NODES)) return false;
    struct reader reader = reader_of(entry->refs);
    struct ref ref;
    struct err ignored = {0};
    return ref_decode(&reader, &ref, &ignored) && ref.kind == REF_DATA;
}

/* What is in the way of a file; nothing in a fresh destination, whose directories need not be entered. */
static enum in_the_way way_of_file(struct restore_plan *plan, struct span path, const struct entry *entry,
                                   struct err *err)
{
    int dir;
    char name[256];
    if (plan->run->fresh) return WAY_FREE;
    if (!destination_parent(&plan->writer.cursor, path, &dir, name, err)) return WAY_FAILED;
    return make_way(plan, dir, name, entry, err);
}

static bool plan_file(struct restore_plan *plan, struct span path, const struct entry *entry, struct err *err)
{
    enum in_the_way way = way_of_file(plan, path, entry, err);
    if (way != WAY_FREE) return way == WAY_KEEP;
    struct restore_file *file = restore_file_new(path, entry);
    file->single = is_single(entry);
    bool ok = add_pieces(plan, file, entry, err);
    if (!ok) atomic_store(&file->failed, true);
    restore_file_done(&plan->writer, file);
    return ok;
}

/* --- what is chosen --- */

static bool is_below(struct span path, struct span above)
{
    if (above.len == 0) return true;
    if (path.len < above.len || memcmp(path.data, above.data, above.len) != 0) return false;
    return path.len == above.len || path.data[above.len] == '/';
}

static bool is_chosen(const struct restore_options *options, struct span path)
{
    if (options->path_count == 0) return true;
    for (size_t i = 0; i < options->path_count; i++)
        if (is_below(path, options->paths[i])) return true;
    return false;
}

/* The file that hard links lead to; borrowed until the next call. */
static bool find_first_name(struct restore_plan *plan, struct span target, struct entry *first,
                            struct err *err)
{
    if (!plan->side_reader &&
        !manifest_reader_new(node_loader_load, plan->side_nodes, &node_loader_root, &plan->side_reader, err))
        return false;
    if (!manifest_seek(plan->side_reader, target, err)) return false;
    struct span found_path;
    bool found = false;
    if (!manifest_next(plan->side_reader, &found_path, first, &found, err)) return false;
    if (found && span_eq(found_path, target) && first->type == ENTRY_FILE) return true;
    return err_set(err, ERR_DAMAGED, "the file that it is a hard link to is not in the backup");
}

/* A link whose first name is not restored becomes the file itself. */
static bool plan_link(struct restore_plan *plan, struct span path, const struct entry *entry, struct err *err)
{
    struct entry first;
    static const struct spilled_inode none = {0};
    if (is_chosen(plan->run->options, entry->target))
        return restore_spill_put(plan->links, path, entry, &none, err);
    return find_first_name(plan, entry->target, &first, err) && plan_file(plan, path, &first, err);
}

static bool plan_entry(struct restore_plan *plan, struct span path, const struct entry *entry,
                       struct err *err)
{
    switch (entry->type) {
    case ENTRY_DIRECTORY:
        return make_directory(plan, path, entry, err);
    case ENTRY_FILE:
        return plan_file(plan, path, entry, err);
    case ENTRY_HARD_LINK:
        return plan_link(plan, path, entry, err);
    default:
        return make_special(plan, path, entry, err);
    }
}

/* One entry's own trouble is a warning; what stops all is an error. */
static bool plan_or_warn(struct restore_plan *plan, struct span path, const struct entry *entry,
                         struct err *err)
{
    struct err why = {0};
    if (plan_entry(plan, path, entry, &why)) return restore_going_on(plan->run, err);
    if (!restore_going_on(plan->run, err)) return false;
    if (why.code == ERR_NO_SPACE || why.code == ERR_UNREACHABLE || why.code == ERR_CANCELLED) {
        *err = why;
        return false;
    }
    restore_lost(plan->run, path, &why);
    return true;
}

/* The directories above a chosen path. */
static bool plan_parents(struct restore_plan *plan, struct span path, struct err *err)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] != '/') continue;
        struct span parent = span_of(path.data, i), found_path;
        struct entry entry;
        bool found = false;
        if (!manifest_seek(plan->reader, parent, err)) return false;
        if (!manifest_next(plan->reader, &found_path, &entry, &found, err)) return false;
        if (!found || !span_eq(found_path, parent) || entry.type != ENTRY_DIRECTORY) return true;
        if (!make_directory(plan, parent, &entry, err))
            return err_wrap(err, "'%.*s'", (int)i, (const char *)path.data);
    }
    return true;
}

/* Is it the backup itself that cannot be read here, or the way to it? */
static bool is_damage(enum err_code code)
{
    return code == ERR_DAMAGED || code == ERR_TRUNCATED || code == ERR_NOT_FOUND ||
           code == ERR_NOT_AUTHENTIC || code == ERR_VERSION;
}

/* The list of files cannot be read on from here: what came before is restored, the rest is named as lost. */
static bool lose_rest(struct restore_plan *plan, const struct err *why, struct err *err)
{
    struct err what = *why;
    if (!restore_going_on(plan->run, err)) return false;
    if (!is_damage(why->code)) {
        *err = *why;
        return false;
    }
    (void)err_wrap(&what, "the list of files is damaged behind it, and what follows there was not restored");
    if (what.code == ERR_NOT_FOUND) what.code = ERR_DAMAGED;
    size_t len = plan->last_path.len;
    restore_lost(plan->run, span_of(buf_cstr(&plan->last_path), len), &what); /* never NULL */
    return true;
}

static bool plan_below(struct restore_plan *plan, struct span chosen, struct err *err)
{
    struct err why = {0};
    buf_clear(&plan->last_path);
    buf_put_span(&plan->last_path, chosen);
    if (!plan_parents(plan, chosen, err)) return false;
    if (!manifest_seek(plan->reader, chosen, &why)) return lose_rest(plan, &why, err);
    for (;;) {
        struct span path;
        struct entry entry;
        bool found = false;
        if (!manifest_next(plan->reader, &path, &entry, &found, &why)) return lose_rest(plan, &why, err);
        if (!found || !is_below(path, chosen)) return true;
        if (!plan_or_warn(plan, path, &entry, err)) return false;
        buf_clear(&plan->last_path);
        buf_put_span(&plan->last_path, path);
    }
}

/* Before anything is written: a name that was mistyped leaves no half of a restore. */
static bool check_chosen(struct restore_plan *plan, struct span chosen, struct err *err)
{
    struct span path;
    struct entry entry;
    bool found = false;
    if (!manifest_seek(plan->reader, chosen, err)) return false;
    if (!manifest_next(plan->reader, &path, &entry, &found, err)) return false;
    if (found && span_eq(path, chosen)) return true;
    return err_set(err, ERR_NOT_FOUND, "'/%.*s' is not in this recovery point", (int)chosen.len,
                   (const char *)chosen.data);
}

/* A chosen path below another chosen one is restored with that one. */
static bool is_covered(const struct restore_options *options, size_t index)
{
    for (size_t i = 0; i < options->path_count; i++) {
        bool same = span_eq(options->paths[i], options->paths[index]);
        if (i != index && is_below(options->paths[index], options->paths[i]) && (!same || i < index))
            return true;
    }
    return false;
}

bool restore_plan_all(struct restore_plan *plan, struct err *err)
{
    const struct restore_options *options = plan->run->options;
    const struct manifest_root *root = manifest_reader_root(plan->reader);
    atomic_store(&plan->run->progress->total_entries, root->entries);
    atomic_store(&plan->run->progress->total_bytes, root->content_bytes);
    for (size_t i = 0; i < options->path_count; i++)
        if (!check_chosen(plan, options->paths[i], err)) return false;
    if (options->path_count == 0 && !plan_below(plan, span_of("", 0), err)) return false;
    for (size_t i = 0; i < options->path_count; i++)
        if (!is_covered(options, i) && !plan_below(plan, options->paths[i], err)) return false;
    if (!plan->window) return true;
    struct restore_window *last = plan->window;
    plan->window = NULL;
    return restore_hand_over(plan->run, last, err);
}

/* --- at the end --- */

/* Under `never` the first name may be a file that was left alone and has nothing to do with the backup. */
static bool is_ours(struct restore_plan *plan, int dir, const char *name, struct span target, struct err *err)
{
    struct stat there;
    struct entry first;
    if (plan->run->fresh || plan->run->options->overwrite != OVERWRITE_NEVER) return true;
    if (!find_first_name(plan, target, &first, err)) return false;
    if (fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && !inode_is_unchanged(&there, &first))
        return err_set(err, ERR_EXISTS, "its first name '/%.*s' is another file, which was left alone",
                       (int)target.len, (const char *)target.data);
    return true;
}

static bool make_link(struct restore_plan *plan, struct span path, struct span target, struct err *err)
{
    int dir, target_dir;
    char name[256], target_name[256];
    struct entry entry = {.type = ENTRY_HARD_LINK};
    if (!destination_parent(&plan->first_names, target, &target_dir, target_name, err) ||
        !destination_parent(&plan->writer.cursor, path, &dir, name, err))
        return false;
    enum in_the_way way = make_way(plan, dir, name, &entry, err);
    if (way != WAY_FREE) return way == WAY_KEEP;
    return is_ours(plan, target_dir, target_name, target, err) &&
           (linkat(target_dir, target_name, dir, name, 0) == 0 ||
            err_sys(err, errno, "cannot link it to its first name"));
}

static bool finish_link(void *arg, const struct spilled *link, struct err *err)
{
    struct restore_plan *plan = arg;
    struct err why = {0};
    if (make_link(plan, link->path, link->target, &why))
        atomic_fetch_add(&plan->run->progress->entries, 1);
    else
        restore_lost(plan->run, link->path, &why);
    return restore_going_on(plan->run, err);
}

/* The directory that was planned, and not what somebody who may write here has put in its place: one that
 * he must not have would become his. */
static bool open_planned(struct restore_plan *plan, const struct spilled *directory, int *out,
                         struct err *err)
{
    int dir;
    char name[256];
    struct stat st;
    if (!destination_parent(&plan->writer.cursor, directory->path, &dir, name, err)) return false;
    AUTO(fd) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) return err_sys(err, errno, "cannot open the directory");
    if (st.st_dev != directory->own.device || st.st_ino != directory->own.inode)
        return err_set(err, ERR_POLICY, "the directory was replaced while it was restored");
    *out = fd;
    fd = -1;
    return true;
}

static bool apply_directory(struct restore_plan *plan, const struct spilled *directory, struct err *err)
{
    AUTO(fd) int fd = -1;
    unsigned losses = 0;
    struct err loss = {0};
    if (!open_planned(plan, directory, &fd, err)) return false;
    if (!inode_metadata_apply(&directory->metadata, fd, &losses, &loss)) {
        *err = loss;
        return false;
    }
    if (losses) restore_tell_losses(plan->run, directory->path, losses, &loss);
    return true;
}

static bool finish_directory(void *arg, const struct spilled *directory, struct err *err)
{
    struct restore_plan *plan = arg;
    struct err why = {0};
    if (apply_directory(plan, directory, &why))
        atomic_fetch_add(&plan->run->progress->entries, 1);
    else
        restore_warn(plan->run, directory->path, &why);
    return restore_going_on(plan->run, err);
}

bool restore_plan_finish(struct restore_plan *plan, struct err *err)
{
    return restore_spill_each_backward(plan->links, finish_link, plan, err) &&
           restore_spill_each_backward(plan->directories, finish_directory, plan, err);
}
