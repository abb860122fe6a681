#include "transporter/pipeline/check_restore.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "transporter/core/manifest.h"
#include "transporter/pipeline/node_loader.h"

#include <stdatomic.h>
#include <string.h>

/* Contents are put together window by window: what is to be hashed in which order, and the chunks that it
 * takes, which come in the repository's order. A window holds at most CHUNKS_MAX chunks of 4 MiB. */
enum { CHUNKS_MAX = 24, STEPS_MAX = 16384, LINKS_MAX = 10000 };
#define PATHS_MAX (4u * 1024 * 1024)

enum step_kind {
    STEP_BEGIN, /* of a file */
    STEP_DATA,
    STEP_HOLE,
    STEP_END,       /* all of its bytes have the hash */
    STEP_END_OPENED /* of an image: they had each to open, no more */
};

struct step {
    enum step_kind kind;
    size_t chunk;        /* of the window */
    uint32_t offset;     /* in the chunk; of STEP_BEGIN: in the paths */
    uint64_t length;     /* of the path, too */
    struct hash content; /* STEP_END: the file's hash */
    struct err *why;     /* of an end: what is wrong with the references; NULL: nothing */
};

struct chunk {
    struct hash id;
    struct buf plain;
    bool here;
    bool bad;       /* the copy that came does not open */
    struct err why; /* not here */
};

struct checking {
    struct opener *opener;
    const struct inlet *inlet;
    const struct check_restore_sink *sink;
    struct check_restore_result *result;
    struct opener_thread *thread;
    struct manifest_reader *reader;
    struct node_loader *nodes;
    struct node_loader *side_nodes; /* for references and hard links */
    struct manifest_reader *links;  /* for hard links; NULL until the first */
    uint64_t links_sought;
    enum object_kind kind;

    struct step *steps; /* STEPS_MAX */
    size_t step_count;
    struct chunk chunks[CHUNKS_MAX];
    size_t chunk_count;
    struct buf paths;

    /* the file whose steps are being played */
    struct buf path;
    struct hasher hasher;
    bool bad;
};

/* Damage is a finding; what keeps the check itself from going on is none. */
static bool is_damage(enum err_code code)
{
    return code == ERR_DAMAGED || code == ERR_TRUNCATED || code == ERR_NOT_AUTHENTIC ||
           code == ERR_NOT_ENCRYPTED || code == ERR_VERSION || code == ERR_NOT_FOUND || code == ERR_LIMIT;
}

static void find(struct checking *checking, struct span path, const struct err *why)
{
    struct err what = *why;
    if (what.code == ERR_NOT_FOUND) what.code = ERR_DAMAGED;
    checking->result->findings++;
    checking->sink->finding(checking->sink->arg, path, &what);
}

static void tell_progress(struct checking *checking)
{
    if (checking->sink->progress)
        checking->sink->progress(checking->sink->arg, checking->result->files, checking->result->bytes);
}

/* --- fetching a window --- */

static struct chunk *chunk_of(struct checking *checking, const struct hash *id)
{
    for (size_t i = 0; i < checking->chunk_count; i++)
        if (hash_eq(&checking->chunks[i].id, id)) return &checking->chunks[i];
    return NULL;
}

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct checking *checking = arg;
    return opener_take_envelope(checking->opener, envelope, err);
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct checking *checking = arg;
    struct chunk *chunk = chunk_of(checking, id);
    if (!chunk) return err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
    chunk->here = opener_frame(checking->thread, id, frame, &chunk->plain, &chunk->why);
    chunk->bad = !chunk->here;
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct checking *checking = arg;
    struct chunk *chunk = chunk_of(checking, id);
    if (!chunk) return err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
    (void)!opener_missing(why, &chunk->why);
    return true;
}

/* What a restore does, too: it is damage only if no copy opens. */
static bool fetch_other_copies(struct checking *checking, struct err *err)
{
    for (size_t i = 0; i < checking->chunk_count; i++) {
        struct chunk *chunk = &checking->chunks[i];
        if (!chunk->bad) continue;
        chunk->bad = false;
        if (!opener_other_copy(checking->thread, checking->inlet, &chunk->id, &chunk->plain, &chunk->here,
                               err))
            return false;
    }
    return true;
}

static bool fetch(struct checking *checking, struct err *err)
{
    struct hash ids[CHUNKS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < checking->chunk_count; i++)
        if (!checking->chunks[i].here) ids[count++] = checking->chunks[i].id;
    const struct inlet_sink sink = {
        .envelope = on_envelope, .frame = on_frame, .missing = on_missing, .arg = checking};
    if (count > 0 && !checking->inlet->ops->fetch(checking->inlet->self, ids, count, &sink, err))
        return false;
    return fetch_other_copies(checking, err);
}

/* --- putting together --- */

static void spoil(struct checking *checking, const struct err *why)
{
    if (checking->bad) return;
    checking->bad = true;
    find(checking, buf_span(&checking->path), why);
}

static void play_begin(struct checking *checking, const struct step *step)
{
    buf_clear(&checking->path);
    buf_put(&checking->path, checking->paths.data + step->offset, (size_t)step->length);
    hasher_init(&checking->hasher);
    checking->bad = false;
}

static void play_data(struct checking *checking, const struct step *step)
{
    const struct chunk *chunk = &checking->chunks[step->chunk];
    struct err why = {0};
    if (checking->bad) return;
    if (!chunk->here) {
        if (chunk->why.code == ERR_NONE)
            (void)err_set(&why, ERR_DAMAGED, "the repository side told nothing about a chunk");
        spoil(checking, chunk->why.code == ERR_NONE ? &why : &chunk->why);
    } else if (step->offset + step->length > chunk->plain.len) {
        (void)err_set(&why, ERR_DAMAGED, "a chunk is shorter than the file's reference into it");
        spoil(checking, &why);
    } else {
        if (checking->kind != OBJECT_IMAGE)
            hasher_add(&checking->hasher, chunk->plain.data + step->offset, (size_t)step->length);
        checking->result->bytes += step->length;
    }
}

static bool is_cancelled(const struct checking *checking)
{
    return checking->sink->cancelled && atomic_load(checking->sink->cancelled);
}

/* Whoever wrote the point says how long it is: it may take years. */
static bool play_hole(struct checking *checking, uint64_t length, struct err *err)
{
    static const uint8_t zeros[64 * 1024];
    while (!checking->bad && checking->kind != OBJECT_IMAGE && length > 0) {
        size_t part = length < sizeof(zeros) ? (size_t)length : sizeof(zeros);
        if (is_cancelled(checking)) return err_set(err, ERR_CANCELLED, "the check was cancelled");
        hasher_add(&checking->hasher, zeros, part);
        length -= part;
    }
    return true;
}

static void play_end(struct checking *checking, const struct step *step)
{
    struct hash hash = hasher_result(&checking->hasher);
    struct err why;
    checking->result->files++;
    (void)err_set(&why, ERR_DAMAGED, "its content is not what was backed up");
    if (step->why)
        spoil(checking, step->why);
    else if (step->kind == STEP_END && !hash_eq(&hash, &step->content))
        spoil(checking, &why);
    tell_progress(checking);
}

/* Small files follow each other in one chunk: the last one may be wanted again. */
static void keep_last_chunk(struct checking *checking)
{
    for (size_t i = 0; i + 1 < checking->chunk_count; i++)
        checking->chunks[i].here = false;
    size_t last = checking->chunk_count ? checking->chunk_count - 1 : 0;
    checking->chunk_count = checking->chunk_count && checking->chunks[last].here;
    if (!checking->chunk_count || last == 0) return;
    struct chunk kept = checking->chunks[last];
    checking->chunks[last] = checking->chunks[0];
    checking->chunks[0] = kept;
    checking->chunks[last].here = false;
}

static void clear_steps(struct checking *checking)
{
    for (size_t i = 0; i < checking->step_count; i++)
        free(checking->steps[i].why);
    checking->step_count = 0;
}

static bool play(struct checking *checking, struct err *err)
{
    if (!fetch(checking, err)) return false;
    for (size_t i = 0; i < checking->step_count; i++) {
        const struct step *step = &checking->steps[i];
        switch (step->kind) {
        case STEP_BEGIN:
            play_begin(checking, step);
            break;
        case STEP_DATA:
            play_data(checking, step);
            break;
        case STEP_HOLE:
            if (!play_hole(checking, step->length, err)) return false;
            break;
        case STEP_END:
        case STEP_END_OPENED:
            play_end(checking, step);
            break;
        }
    }
    clear_steps(checking);
    buf_clear(&checking->paths);
    keep_last_chunk(checking);
    return true;
}

/* --- planning --- */

static bool add_step(struct checking *checking, const struct step *step, struct err *err)
{
    if (checking->step_count == STEPS_MAX && !play(checking, err)) return false;
    checking->steps[checking->step_count++] = *step;
    return true;
}

static bool begin_file(struct checking *checking, struct span path, struct err *err)
{
    if (checking->step_count == STEPS_MAX || checking->paths.len + path.len > PATHS_MAX)
        if (!play(checking, err)) return false;
    struct step step = {.kind = STEP_BEGIN, .offset = (uint32_t)checking->paths.len, .length = path.len};
    buf_put_span(&checking->paths, path);
    return add_step(checking, &step, err);
}

static bool add_data(struct checking *checking, const struct ref *ref, struct err *err)
{
    struct hash id = opener_chunk_id(checking->opener, FRAME_DATA, &ref->content);
    bool full = checking->chunk_count == CHUNKS_MAX || checking->step_count == STEPS_MAX;
    struct chunk *chunk = chunk_of(checking, &id);
    if ((!chunk || checking->step_count == STEPS_MAX) && full) {
        if (!play(checking, err)) return false;
        chunk = chunk_of(checking, &id);
    }
    if (!chunk) {
        chunk = &checking->chunks[checking->chunk_count++];
        chunk->id = id;
        chunk->here = false;
        chunk->why = (struct err){0};
    }
    const struct step step = {.kind = STEP_DATA,
                              .chunk = (size_t)(chunk - checking->chunks),
                              .offset = ref->offset,
                              .length = ref->length};
    return add_step(checking, &step, err);
}

static bool add_ref(struct checking *checking, const struct ref *ref, struct err *err)
{
    if (ref->kind != REF_HOLE) return add_data(checking, ref, err);
    const struct step step = {.kind = STEP_HOLE, .length = ref->length};
    return add_step(checking, &step, err);
}

/* An image's hash is that of its references (docs/format.md section 9): its contents are opened all the
 * same, each to what the reference says. */
struct refs_check {
    uint64_t length;
    struct hasher hasher;
    struct buf encoded;
};

static void note_ref(struct refs_check *refs, const struct ref *ref)
{
    refs->length += ref->length;
    buf_clear(&refs->encoded);
    ref_encode(ref, &refs->encoded);
    hasher_add(&refs->hasher, refs->encoded.data, refs->encoded.len);
}

static bool plan_content(struct checking *checking, const struct entry *entry, struct refs_check *refs,
                         struct err *damage, struct err *err)
{
    AUTO(refs_reader)
    struct refs_reader *reader = refs_reader_new(node_loader_load, checking->side_nodes, entry->refs);
    for (;;) {
        struct ref ref;
        bool found = false;
        if (!refs_next(reader, &ref, &found, damage)) return true;
        if (!found) break;
        note_ref(refs, &ref);
        if (!add_ref(checking, &ref, err)) return false;
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
    if (checking->step_count == STEPS_MAX && !play(checking, err)) return false;
    if (damage->code != ERR_NONE) {
        end.why = xcalloc(1, sizeof(*end.why));
        *end.why = *damage;
    }
    return add_step(checking, &end, err);
}

static bool plan_file(struct checking *checking, struct span path, const struct entry *entry, struct err *err)
{
    struct refs_check refs = {0};
    struct err damage = {0};
    hasher_init(&refs.hasher);
    if (!begin_file(checking, path, err)) return false;
    bool planned = plan_content(checking, entry, &refs, &damage, err);
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

static bool leads_to_a_file(struct checking *checking, struct span target, bool *out, struct err *err)
{
    struct span path;
    struct entry entry;
    bool found = false;
    if (!checking->links && !manifest_reader_new(node_loader_load, checking->side_nodes, &node_loader_root,
                                                 &checking->links, err))
        return false;
    if (!manifest_seek(checking->links, target, err) ||
        !manifest_next(checking->links, &path, &entry, &found, err))
        return false;
    *out = found && span_eq(path, target) && entry.type != ENTRY_DIRECTORY && entry.type != ENTRY_HARD_LINK;
    return true;
}

static bool check_link(struct checking *checking, struct span path, const struct entry *entry,
                       struct err *err)
{
    struct err why = {0};
    bool good = false;
    if (checking->links_sought++ >= LINKS_MAX) {
        checking->result->links_unchecked++;
        return true;
    }
    if (path_cmp(entry->target, path) >= 0 || !leads_to_a_file(checking, entry->target, &good, &why)) {
        if (why.code != ERR_NONE && !is_damage(why.code)) {
            *err = why;
            return false;
        }
    }
    if (good) return true;
    if (why.code == ERR_NONE)
        (void)err_set(&why, ERR_DAMAGED, "the file that the hard link leads to is not in the point");
    find(checking, path, &why);
    return true;
}

/* --- all of it --- */

static bool check_entries(struct checking *checking, struct err *damage, struct err *err)
{
    for (;;) {
        struct span path;
        struct entry entry;
        bool found = false;
        if (!manifest_next(checking->reader, &path, &entry, &found, damage)) return true;
        if (!found) return true;
        checking->result->entries++;
        if (entry.type == ENTRY_FILE && !plan_file(checking, path, &entry, err)) return false;
        if (entry.type == ENTRY_HARD_LINK && !check_link(checking, path, &entry, err)) return false;
    }
}

static bool open_all(struct checking *checking, const struct hash *root, struct err *err)
{
    if (!opener_thread_new(checking->opener, &checking->thread, err) ||
        !node_loader_new(checking->opener, checking->inlet, root, &checking->nodes, err) ||
        !node_loader_new(checking->opener, checking->inlet, root, &checking->side_nodes, err) ||
        !manifest_reader_new(node_loader_load, checking->nodes, &node_loader_root, &checking->reader, err))
        return false;
    checking->kind = manifest_reader_root(checking->reader)->kind;
    return true;
}

static void checking_deinit(struct checking *checking)
{
    manifest_reader_free(checking->links);
    manifest_reader_free(checking->reader);
    node_loader_free(checking->side_nodes);
    node_loader_free(checking->nodes);
    opener_thread_free(checking->thread);
    for (size_t i = 0; i < CHUNKS_MAX; i++) {
        wipe(checking->chunks[i].plain.data, checking->chunks[i].plain.cap);
        buf_deinit(&checking->chunks[i].plain);
    }
    buf_deinit(&checking->paths);
    buf_deinit(&checking->path);
    clear_steps(checking);
    free(checking->steps);
    free(checking);
}
DEFINE_AUTO(checking, struct checking *, checking_deinit)

bool check_restore_point(struct opener *opener, const struct inlet *inlet, const struct hash *root,
                         const struct check_restore_sink *sink, struct check_restore_result *result,
                         struct err *err)
{
    AUTO(checking) struct checking *checking = xcalloc(1, sizeof(*checking));
    struct err damage = {0};
    checking->opener = opener;
    checking->inlet = inlet;
    checking->sink = sink;
    checking->result = result;
    checking->steps = xcalloc(STEPS_MAX, sizeof(*checking->steps));
    bool opened = open_all(checking, root, &damage);
    if (opened && (!check_entries(checking, &damage, err) || !play(checking, err))) return false;
    if (damage.code == ERR_NONE) return true;
    if (!is_damage(damage.code)) {
        *err = damage;
        return false;
    }
    if (!opened)
        (void)err_wrap(&damage, "the point cannot be read");
    else
        (void)err_wrap(&damage, "the list of files cannot be read to its end");
    find(checking, span_of(NULL, 0), &damage);
    return true;
}
