/* restore_object: the references of an image's or a stream's one entry in order, those that are not there yet
 * fetched in windows and written by several threads. */
#include "common/base/alloc.h"
#include "transporter/pipeline/image_target.h"
#include "transporter/pipeline/node_loader.h"
#include "transporter/pipeline/restore_run.h"

enum { ZERO_STEP = 256 * 1024 * 1024 }; /* between two looks whether to stop */

struct image_plan {
    struct restore_run *run;
    struct node_loader *nodes, *side_nodes;
    struct manifest_reader *reader;
    struct entry entry; /* spans are the reader's */
    struct image_target *target;
    struct restore_file *file; /* for the writers */
    struct restore_window *window;
    struct buf scratch;
};

/* Lets go of the pieces of a window that nobody will fetch. */
static void drop_window(struct image_plan *plan)
{
    struct restore_writer writer = {.run = plan->run};
    if (!plan->window) return;
    for (uint32_t i = 0; i < plan->window->piece_count; i++)
        restore_file_done(&writer, plan->window->pieces[i].file);
    restore_window_free(plan->window);
    plan->window = NULL;
}

static void image_plan_deinit(struct image_plan *plan)
{
    struct restore_writer writer = {.run = plan->run};
    drop_window(plan);
    if (plan->file) restore_file_done(&writer, plan->file);
    image_target_free(plan->target);
    manifest_reader_free(plan->reader);
    node_loader_free(plan->nodes);
    node_loader_free(plan->side_nodes);
    buf_deinit(&plan->scratch);
}
DEFINE_AUTO_IN_PLACE(image_plan, struct image_plan, image_plan_deinit)

/* --- what is to be restored --- */

static bool check_root(const struct image_plan *plan, struct err *err)
{
    const struct manifest_root *root = manifest_reader_root(plan->reader);
    if (root->kind == OBJECT_TREE)
        return err_set(err, ERR_USAGE, "the recovery point holds files, not an image or a stream");
    if (root->entries != 1 || root->content_bytes != plan->entry.size || plan->entry.type != ENTRY_FILE)
        return err_set(err, ERR_DAMAGED, "a manifest of kind '%s' with anything but one regular file",
                       object_kind_name(root->kind));
    return true;
}

static bool read_entry(struct image_plan *plan, struct err *err)
{
    const struct restore_options *options = plan->run->options;
    struct span path;
    bool found = false;
    if (!node_loader_new(options->opener, &options->inlet, &options->root, &plan->nodes, err)) return false;
    if (!node_loader_new(options->opener, &options->inlet, &options->root, &plan->side_nodes, err))
        return false;
    if (!manifest_reader_new(node_loader_load, plan->nodes, &node_loader_root, &plan->reader, err))
        return false;
    if (!manifest_next(plan->reader, &path, &plan->entry, &found, err)) return false;
    if (!found) return err_set(err, ERR_DAMAGED, "a manifest without an entry");
    if (!check_root(plan, err)) return false;
    atomic_store(&plan->run->progress->total_entries, 1);
    atomic_store(&plan->run->progress->total_bytes, plan->entry.size);
    return true;
}

/* --- its references --- */

static void count_bytes(struct image_plan *plan, uint64_t length)
{
    atomic_fetch_add(&plan->run->progress->content_bytes, length);
}

static bool hand_over_full(struct image_plan *plan, struct err *err)
{
    struct restore_window *full = plan->window;
    if (!full || !restore_window_full(full)) return true;
    plan->window = NULL;
    return restore_hand_over(plan->run, full, err);
}

static bool plan_data(struct image_plan *plan, const struct ref *ref, uint64_t offset, struct err *err)
{
    const struct image_target *target = plan->target;
    bool whole = ref->offset == 0; /* else its hash is not the chunk's */
    if (whole && image_target_compares(target) &&
        image_target_holds(target, offset, ref->length, &ref->content, &plan->scratch)) {
        count_bytes(plan, ref->length);
        return true;
    }
    if (!hand_over_full(plan, err)) return false;
    if (!plan->window) plan->window = restore_window_new();
    struct hash id = opener_chunk_id(plan->run->options->opener, FRAME_DATA, &ref->content);
    struct restore_piece piece = {.file = plan->file,
                                  .file_offset = offset,
                                  .chunk_offset = ref->offset,
                                  .length = (uint32_t)ref->length};
    atomic_fetch_add(&plan->file->users, 1);
    restore_window_add(plan->window, &id, &piece);
    return true;
}

static bool plan_hole(struct image_plan *plan, uint64_t offset, uint64_t length, struct err *err)
{
    while (length > 0) {
        uint64_t step = length < ZERO_STEP ? length : ZERO_STEP;
        if (!restore_going_on(plan->run, err)) return false;
        if (!image_target_zero(plan->target, offset, step, err)) return false;
        count_bytes(plan, step);
        offset += step;
        length -= step;
    }
    return true;
}

static bool plan_refs(void *arg, struct err *err)
{
    struct image_plan *plan = arg;
    AUTO(refs_reader)
    struct refs_reader *refs = refs_reader_new(node_loader_load, plan->side_nodes, plan->entry.refs);
    uint64_t offset = 0;
    for (;;) {
        struct ref ref;
        bool found = false;
        if (!restore_going_on(plan->run, err) || !refs_next(refs, &ref, &found, err)) return false;
        if (!found) break;
        if (ref.length > plan->entry.size - offset)
            return err_set(err, ERR_DAMAGED, "references beyond the end of the content");
        if (!(ref.kind == REF_HOLE ? plan_hole(plan, offset, ref.length, err)
                                   : plan_data(plan, &ref, offset, err)))
            return false;
        offset += ref.length;
    }
    if (offset != plan->entry.size)
        return err_set(err, ERR_DAMAGED, "references that end before the content");
    struct restore_window *last = plan->window;
    plan->window = NULL;
    return !last || restore_hand_over(plan->run, last, err);
}

/* --- the whole --- */

static void warn_excess(const struct image_plan *plan)
{
    struct err what = {0};
    uint64_t excess = image_target_excess(plan->target);
    if (excess == 0) return;
    (void)err_set(&what, ERR_FAILED,
                  "the device is larger than the %s: its last %llu bytes are left as they are",
                  object_kind_name(manifest_reader_root(plan->reader)->kind), (unsigned long long)excess);
    restore_warn(plan->run, plan->entry.name, &what);
}

static bool finish(struct image_plan *plan, struct err *err)
{
    unsigned losses = 0;
    struct err loss = {0};
    if (!image_target_finish(plan->target, &plan->entry, &losses, &loss, err)) return false;
    if (losses) restore_tell_losses(plan->run, plan->entry.name, losses, &loss);
    atomic_fetch_add(&plan->run->progress->entries, 1);
    atomic_fetch_add(&plan->run->progress->files, 1);
    return true;
}

static bool write_all(struct image_plan *plan, struct err *err)
{
    struct restore_run *run = plan->run;
    run->image = plan->target;
    plan->file = restore_file_new(plan->entry.name, &plan->entry);
    bool ok = restore_flush_start(&run->flush, run, err) && restore_run_threads(run, plan_refs, plan, err);
    restore_flush_end(&run->flush);
    return ok && restore_going_on(run, err);
}

static bool restore_one(struct restore_run *run, void *arg, struct err *err)
{
    (void)arg;
    AUTO(image_plan) struct image_plan plan = {.run = run};
    if (!read_entry(&plan, err)) return false;
    if (!image_target_open(run->options, &plan.entry, &plan.target, err)) return false;
    if (!plan.target) {
        atomic_fetch_add(&run->skipped, 1);
        return true;
    }
    warn_excess(&plan);
    if (!write_all(&plan, err)) return false;
    return atomic_load(&run->failed) > 0 || finish(&plan, err);
}

bool restore_object(const struct restore_options *options, struct restore_result *result, struct err *err)
{
    if (options->path_count > 0)
        return err_set(err, ERR_USAGE, "an image or a stream is restored whole: it has no paths");
    if (options->destination[0] != '/')
        return err_set(err, ERR_USAGE, "'%s' is not an absolute path", options->destination);
    return restore_run_with(options, restore_one, NULL, result, err);
}
