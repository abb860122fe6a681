#include "transporter/pipeline/check_restore.h"

#include "common/base/alloc.h"
#include "transporter/pipeline/check_restore_run.h"
#include "transporter/pipeline/node_loader.h"

enum { LINKS_MAX = 10000 };

/* What the planner reads. */
struct planning {
    struct checking checking;
    struct manifest_reader *reader;
    struct node_loader *nodes;
    struct node_loader *side_nodes; /* for references and hard links */
    struct manifest_reader *links;  /* for hard links; NULL until the first */
    uint64_t links_sought;
    struct err damage; /* to the list of files */
};

/* Damage is a finding; what keeps the check itself from going on is none. */
static bool is_damage(enum err_code code)
{
    return code == ERR_DAMAGED || code == ERR_TRUNCATED || code == ERR_NOT_AUTHENTIC ||
           code == ERR_NOT_ENCRYPTED || code == ERR_VERSION || code == ERR_NOT_FOUND || code == ERR_LIMIT;
}

/* --- planning --- */

/* Before a step that refers to a path, of so many bytes, of the same window. */
static bool make_room(struct checking *checking, size_t path_len, struct err *err)
{
    const struct window *window = check_restore_window(checking);
    return (window->step_count < STEPS_MAX && window->paths.len + path_len <= PATHS_MAX) ||
           check_restore_hand_over(checking, err);
}

static void add_step(struct checking *checking, const struct step *step)
{
    struct window *window = check_restore_window(checking);
    window->steps[window->step_count++] = *step;
}

static void add_path_step(struct checking *checking, enum step_kind kind, struct span path, struct err *why)
{
    struct window *window = check_restore_window(checking);
    const struct step step = {
        .kind = kind, .offset = (uint32_t)window->paths.len, .length = path.len, .why = why};
    buf_put_span(&window->paths, path);
    add_step(checking, &step);
}

static struct err *copy_of(const struct err *why)
{
    struct err *copy = xcalloc(1, sizeof(*copy));
    *copy = *why;
    return copy;
}

static bool begin_file(struct checking *checking, struct span path, struct err *err)
{
    if (!make_room(checking, path.len, err)) return false;
    add_path_step(checking, STEP_BEGIN, path, NULL);
    return true;
}

static bool add_data(struct checking *checking, const struct ref *ref, struct err *err)
{
    struct hash id = opener_chunk_id(checking->opener, FRAME_DATA, &ref->content);
    struct step step = {.kind = STEP_DATA, .offset = ref->offset, .length = ref->length};
    if (!make_room(checking, 0, err) || !check_restore_slot(checking, &id, &step.slot, err)) return false;
    add_step(checking, &step);
    return true;
}

static bool add_ref(struct checking *checking, const struct ref *ref, struct err *err)
{
    if (ref->kind != REF_HOLE) return add_data(checking, ref, err);
    const struct step step = {.kind = STEP_HOLE, .length = ref->length};
    if (!make_room(checking, 0, err)) return false;
    add_step(checking, &step);
    return true;
}

/* An image's hash is that of its references (docs/format.md section 9): its contents are opened all the
 * same, each to what the reference says. */
struct refs_check {
    struct hasher hasher;
    struct buf encoded;
    uint64_t length;
};

static void note_ref(struct refs_check *refs, const struct ref *ref)
{
    refs->length += ref->length;
    buf_clear(&refs->encoded);
    ref_encode(ref, &refs->encoded);
    hasher_add(&refs->hasher, refs->encoded.data, refs->encoded.len);
}

static bool plan_content(struct planning *planning, const struct entry *entry, struct refs_check *refs,
                         struct err *damage, struct err *err)
{
    AUTO(refs_reader)
    struct refs_reader *reader = refs_reader_new(node_loader_load, planning->side_nodes, entry->refs);
    for (;;) {
        struct ref ref;
        bool found = false;
        if (!refs_next(reader, &ref, &found, damage)) return true;
        if (!found) break;
        note_ref(refs, &ref);
        if (!add_ref(&planning->checking, &ref, err)) return false;
    }
    if (refs->length != entry->size)
        (void)err_set(damage, ERR_DAMAGED, "its contents are %llu bytes long instead of %llu",
                      (unsigned long long)refs->length, (unsigned long long)entry->size);
    return true;
}

static bool end_file(struct checking *checking, const struct entry *entry, const struct err *damage,
                     struct err *err)
{
    struct step end = {.kind = STEP_END, .content = entry->file_hash};
    if (checking->kind == OBJECT_IMAGE) end.kind = STEP_END_OPENED;
    if (!make_room(checking, 0, err)) return false;
    if (damage->code != ERR_NONE) end.why = copy_of(damage);
    add_step(checking, &end);
    return true;
}

static bool plan_file(struct planning *planning, struct span path, const struct entry *entry, struct err *err)
{
    struct checking *checking = &planning->checking;
    struct refs_check refs = {0};
    struct err damage = {0};
    hasher_init(&refs.hasher);
    if (!begin_file(checking, path, err)) return false;
    bool planned = plan_content(planning, entry, &refs, &damage, err);
    buf_deinit(&refs.encoded);
    if (!planned) return false;
    if (damage.code != ERR_NONE && !is_damage(damage.code)) {
        *err = damage;
        return false;
    }
    struct hash hash = hasher_result(&refs.hasher);
    if (checking->kind == OBJECT_IMAGE && damage.code == ERR_NONE && !hash_eq(&hash, &entry->file_hash))
        (void)err_set(&damage, ERR_DAMAGED, "its references are not those that were backed up");
    return end_file(checking, entry, &damage, err);
}

/* --- hard links --- */

static bool leads_to_a_file(struct planning *planning, struct span target, bool *out, struct err *err)
{
    struct span path;
    struct entry entry;
    bool found = false;
    if (!planning->links && !manifest_reader_new(node_loader_load, planning->side_nodes, &node_loader_root,
                                                 &planning->links, err))
        return false;
    if (!manifest_seek(planning->links, target, err) ||
        !manifest_next(planning->links, &path, &entry, &found, err))
        return false;
    *out = found && span_eq(path, target) && entry.type != ENTRY_DIRECTORY && entry.type != ENTRY_HARD_LINK;
    return true;
}

static bool check_link(struct planning *planning, struct span path, const struct entry *entry,
                       struct err *err)
{
    struct checking *checking = &planning->checking;
    struct err why = {0};
    bool good = false;
    if (planning->links_sought++ >= LINKS_MAX) {
        checking->result->links_unchecked++;
        return true;
    }
    if (path_cmp(entry->target, path) >= 0 || !leads_to_a_file(planning, entry->target, &good, &why)) {
        if (why.code != ERR_NONE && !is_damage(why.code)) {
            *err = why;
            return false;
        }
    }
    if (good) return true;
    if (why.code == ERR_NONE)
        (void)err_set(&why, ERR_DAMAGED, "the file that the hard link leads to is not in the point");
    if (!make_room(checking, path.len, err)) return false;
    add_path_step(checking, STEP_FINDING, path, copy_of(&why));
    return true;
}

/* --- all of it --- */

static bool plan_entries(void *arg, struct err *err)
{
    struct planning *planning = arg;
    for (;;) {
        struct span path;
        struct entry entry;
        bool found = false;
        if (!manifest_next(planning->reader, &path, &entry, &found, &planning->damage)) return true;
        if (!found) return true;
        planning->checking.result->entries++;
        if (entry.type == ENTRY_FILE && !plan_file(planning, path, &entry, err)) return false;
        if (entry.type == ENTRY_HARD_LINK && !check_link(planning, path, &entry, err)) return false;
    }
}

static bool open_all(struct planning *planning, const struct hash *root, struct err *err)
{
    struct checking *checking = &planning->checking;
    if (!node_loader_new(checking->opener, checking->inlet, root, &planning->nodes, err) ||
        !node_loader_new(checking->opener, checking->inlet, root, &planning->side_nodes, err) ||
        !manifest_reader_new(node_loader_load, planning->nodes, &node_loader_root, &planning->reader, err))
        return false;
    checking->kind = manifest_reader_root(planning->reader)->kind;
    return true;
}

static void planning_free(struct planning *planning)
{
    if (!planning) return;
    manifest_reader_free(planning->links);
    manifest_reader_free(planning->reader);
    node_loader_free(planning->side_nodes);
    node_loader_free(planning->nodes);
    free(planning);
}
DEFINE_AUTO(planning, struct planning *, planning_free)

bool check_restore_point(struct opener *opener, const struct inlet *inlet, const struct hash *root,
                         const struct check_restore_sink *sink, struct check_restore_result *result,
                         struct err *err)
{
    AUTO(planning) struct planning *planning = xcalloc(1, sizeof(*planning));
    struct err *damage = &planning->damage;
    struct checking *checking = &planning->checking;
    checking->opener = opener;
    checking->inlet = inlet;
    checking->sink = sink;
    checking->result = result;
    bool opened = open_all(planning, root, damage);
    if (opened && !check_restore_threads(checking, plan_entries, planning, err)) return false;
    if (damage->code == ERR_NONE) return true;
    if (!is_damage(damage->code)) {
        *err = *damage;
        return false;
    }
    if (!opened)
        (void)err_wrap(damage, "the point cannot be read");
    else
        (void)err_wrap(damage, "the list of files cannot be read to its end");
    check_restore_find(checking, span_of(NULL, 0), damage);
    return true;
}
