#include "transporter/repository/sweep.h"

#include "common/base/alloc.h"
#include "common/base/lock.h"
#include "common/base/text.h"
#include "transporter/repository/care.h"
#include "transporter/repository/healed.h"
#include "transporter/repository/ingest_state.h"
#include "transporter/repository/mark.h"
#include "transporter/repository/pack_scan.h"
#include "transporter/repository/reserve.h"
#include "transporter/repository/rewraps.h"
#include "transporter/repository/rewrite.h"

#include <inttypes.h>
#include <string.h>

struct sweep {
    struct repository *repository;
    struct sweep_result *result;
    struct mark mark; /* head 0: none yet */
    struct usage *usage;
    uint32_t packs; /* numbers in use, of `usage` too */
    struct healed healed;
    uint64_t bad_chunks;  /* referred to, in packs that are damaged or lost */
    uint64_t parts, part; /* in so many parts, by their ids, these are looked for */
    uint64_t room;        /* bytes that may still be written in this round */
};

/* What of a pack's frames is referred to. Of a pack that is damaged or lost: and must stay there. */
struct usage {
    uint64_t live, all;
    uint64_t movable; /* of a bad pack's `live`: still reads */
    bool bad;
};

static void sweep_deinit(struct sweep *sweep)
{
    mark_deinit(&sweep->mark);
    free(sweep->usage);
    healed_deinit(&sweep->healed);
}
DEFINE_AUTO_IN_PLACE(sweep, struct sweep, sweep_deinit)

/* --- measuring --- */

static void count_chunk(void *arg, const uint8_t *id, const struct index_location *location)
{
    struct sweep *sweep = arg;
    if (location->pack >= sweep->packs) return;
    struct usage *usage = &sweep->usage[location->pack];
    usage->all += location->len;
    if (!live_set_has(&sweep->mark.live, id)) return;
    usage->live += location->len;
    sweep->bad_chunks += usage->bad;
}

static void note_bad_chunk(void *arg, const uint8_t *id, const struct index_location *location)
{
    struct sweep *sweep = arg;
    if (location->pack >= sweep->packs || !sweep->usage[location->pack].bad) return;
    if ((le32_get(id) * sweep->parts) >> 32 != sweep->part || !live_set_has(&sweep->mark.live, id)) return;
    healed_note(&sweep->healed, id, location);
}

/* What was brought again is not needed where it is damaged or lost. */
static void subtract_healed(void *arg, const struct index_location *location, enum healed_where where)
{
    struct sweep *sweep = arg;
    struct usage *usage = &sweep->usage[location->pack];
    if (where == HEALED_ELSEWHERE)
        usage->live -= location->len;
    else
        usage->movable += location->len;
}

/* In parts of which each fits, with room for parts that are larger than others. */
static bool look_elsewhere(struct sweep *sweep, struct err *err)
{
    struct repository *repository = sweep->repository;
    sweep->parts = sweep->bad_chunks ? 1 + sweep->bad_chunks / (HEALED_AT_ONCE / 4 * 3) : 0;
    for (sweep->part = 0; sweep->part < sweep->parts; sweep->part++) {
        healed_clear(&sweep->healed);
        if (!index_each_chunk(repository->index, note_bad_chunk, sweep, err) ||
            !healed_find(repository, &sweep->healed, subtract_healed, sweep, err))
            return false;
    }
    return true;
}

static bool find_bad(struct sweep *sweep, struct err *err)
{
    struct index_pack pack = {0};
    for (uint32_t no = 0; index_pack_from(sweep->repository->index, no, &pack, err); no = pack.no + 1)
        if (pack.no < sweep->packs) sweep->usage[pack.no].bad = healed_is_bad(sweep->repository, &pack);
    return err->code == ERR_NOT_FOUND;
}

static bool measure(struct sweep *sweep, struct err *err)
{
    struct repository *repository = sweep->repository;
    uint32_t packs = 0;
    if (!index_next_pack(repository->index, &packs, err)) return false;
    free(sweep->usage);
    sweep->usage = xcalloc((size_t)packs + 1, sizeof(*sweep->usage));
    sweep->packs = packs;
    mark_deinit(&sweep->mark);
    sweep->bad_chunks = 0;
    return find_bad(sweep, err) && mark_points(repository, &sweep->mark, err) &&
           index_each_chunk(repository->index, count_chunk, sweep, err) && look_elsewhere(sweep, err);
}

static bool is_worth_sweeping(const struct usage *usage)
{
    if (usage->bad) return usage->live == 0;
    return usage->live * 100 < usage->all * SWEEP_REWRITE_BELOW_PERCENT;
}

/* --- room --- */

/* What of a free disk a sweep may fill. */
static bool find_room(struct sweep *sweep, struct err *err)
{
    const struct storage *storage = &sweep->repository->storage;
    uint64_t free_bytes = 0, total_bytes = 0;
    if (!storage->ops->free_space(storage->self, &free_bytes, &total_bytes, err)) return false;
    sweep->room = free_bytes > RESERVE_MARGIN ? free_bytes - RESERVE_MARGIN : 0;
    return true;
}

/* Whether what must be moved out of the pack fits: its live frames, and at most all that is no frame. */
static bool fits(struct sweep *sweep, const struct index_pack *pack, const struct usage *usage)
{
    struct sweep_result *result = sweep->result;
    uint64_t needed = usage->live + (pack->size > usage->all ? pack->size - usage->all : 0);
    if (needed <= sweep->room) {
        sweep->room -= needed;
        return true;
    }
    uint64_t lacking = needed - sweep->room;
    if (result->postponed_packs == 0 || lacking < result->short_bytes) result->short_bytes = lacking;
    result->postponed_packs++;
    return false;
}

/* --- an entry with its packs --- */

static void add_name(struct buf *names, const struct index_pack *pack)
{
    buf_put(names, pack->name.bytes, HASH_LEN);
}

/* Under commit_lock. */
static bool append_packs(struct repository *repository, Sealift__LogKind kind, struct span names,
                         struct err *err)
{
    Sealift__LogEntry entry = SEALIFT__LOG_ENTRY__INIT;
    struct hash list = hash_of(names);
    size_t count = names.len / HASH_LEN;
    AUTO(free) ProtobufCBinaryData *packs = xcalloc(count + 1, sizeof(*packs));
    for (size_t i = 0; i < count; i++)
        packs[i] = stored_bytes(span_of(names.data + i * HASH_LEN, HASH_LEN));
    entry.kind = kind;
    entry.packs = packs;
    entry.n_packs = count;
    entry.object_hash = stored_bytes(span_of(list.bytes, HASH_LEN));
    return load_append(repository, &entry, err);
}

/* --- rescuing --- */

/* Whether moving what still reads is all that it takes for the pack to go. */
static bool is_rescuable(const struct usage *usage)
{
    return usage->bad && usage->live > 0 && usage->live == usage->movable;
}

static bool rescue_packs(struct sweep *sweep, uint32_t young, bool *any, struct err *err)
{
    struct repository *repository = sweep->repository;
    AUTO(rewrite) struct rewrite *rewrite = rewrite_new(repository, &sweep->mark.live);
    struct index_pack pack = {0};
    for (uint32_t no = 0; index_pack_from(repository->index, no, &pack, err); no = pack.no + 1) {
        if (pack.state != INDEX_DAMAGED || pack.no >= young || pack.no >= sweep->packs) continue;
        const struct usage *usage = &sweep->usage[pack.no];
        if (!is_rescuable(usage) || !fits(sweep, &pack, usage)) continue;
        if (!rewrite_good_of(rewrite, &pack, &sweep->healed, err)) return false;
        *any = true;
    }
    if (err->code != ERR_NOT_FOUND || !rewrite_finish(rewrite, err)) return false;
    sweep->result->moved_bytes += rewrite_bytes(rewrite);
    return true;
}

/* What is still good in damaged packs is copied out of them as it is. Whether a pack may go then is found out
 * by looking again at what is elsewhere. */
static bool rescue(struct sweep *sweep, uint32_t young, struct err *err)
{
    bool any = false;
    if (sweep->bad_chunks == 0) return true;
    if (!find_room(sweep, err) || !rescue_packs(sweep, young, &any, err)) return false;
    return !any || measure(sweep, err);
}

/* --- condemning --- */

/* Packs of live sessions, and later ones, have this number or a higher one. */
static bool first_young_pack(struct repository *repository, uint32_t *out, struct err *err)
{
    if (!index_next_pack(repository->index, out, err)) return false;
    (void)pthread_mutex_lock(&repository->sessions_lock);
    for (const struct ingest *session = repository->sessions; session; session = session->next)
        if (session->first_pack < *out) *out = session->first_pack;
    (void)pthread_mutex_unlock(&repository->sessions_lock);
    return true;
}

static bool choose(struct sweep *sweep, uint32_t young, struct buf *names, struct err *err)
{
    struct index *index = sweep->repository->index;
    struct index_pack pack = {0};
    for (uint32_t no = 0; index_pack_from(index, no, &pack, err); no = pack.no + 1) {
        if (pack.no >= young || names->len >= STORED_MAX_PACKS * HASH_LEN) return true;
        bool there = pack.state == INDEX_PACK || pack.state == INDEX_DAMAGED;
        if (there && is_worth_sweeping(&sweep->usage[pack.no])) add_name(names, &pack);
    }
    return err->code == ERR_NOT_FOUND;
}

/* Which of the packs that are lost nobody needs anything of. */
static bool find_lost(struct sweep *sweep, bool *gone, size_t *count, struct err *err)
{
    struct index_pack pack = {0};
    for (uint32_t no = 0; index_pack_from(sweep->repository->index, no, &pack, err); no = pack.no + 1) {
        if (pack.no >= sweep->packs) return true;
        gone[pack.no] = pack.state == INDEX_LOST && sweep->usage[pack.no].live == 0;
        *count += gone[pack.no];
    }
    return err->code == ERR_NOT_FOUND;
}

/* Of a lost pack there is nothing left to be removed but what the index says of it. */
static bool forget_lost(struct sweep *sweep, struct err *err)
{
    struct index *index = sweep->repository->index;
    size_t count = 0;
    if (!index_has_packs(index, INDEX_LOST)) return true;
    AUTO(free) bool *gone = xcalloc((size_t)sweep->packs + 1, sizeof(*gone));
    if (!find_lost(sweep, gone, &count, err)) return false;
    if (count > 0 && !index_forget_packs(index, gone, sweep->packs, err)) return false;
    for (uint32_t no = 0; no < sweep->packs; no++)
        if (gone[no] && !index_pack_drop(index, no, err)) return false;
    return true;
}

static bool condemn(struct sweep *sweep, struct err *err)
{
    struct repository *repository = sweep->repository;
    uint32_t young = 0;
    AUTO(buf) struct buf names = {0};
    if (!first_young_pack(repository, &young, err) || !measure(sweep, err) || !rescue(sweep, young, err) ||
        !forget_lost(sweep, err) || !choose(sweep, young, &names, err))
        return false;
    sweep->result->condemned_packs += names.len / HASH_LEN;
    if (names.len == 0) return true;
    LOCK_HERE(&repository->commit_lock);
    bool unchanged = repository->chain.number == sweep->mark.head;
    if (!append_packs(repository, SEALIFT__LOG_KIND__LOG_CONDEMNED, buf_span(&names), err)) return false;
    /* the points are those that were walked: they need not be walked again */
    sweep->mark.head = unchanged ? repository->chain.number : 0;
    return true;
}

/* --- sweeping --- */

/* Sessions that came before the packs were condemned, and may have been told that their chunks are there. */
static uint64_t count_pinning(struct repository *repository, uint64_t condemned)
{
    uint64_t count = 0;
    LOCK_HERE(&repository->sessions_lock);
    for (const struct ingest *session = repository->sessions; session; session = session->next)
        count += session->since < condemned;
    return count;
}

/* Faults of a pack keep it; others end the sweep. */
static bool is_pack_fault(enum err_code code)
{
    return code == ERR_DAMAGED || code == ERR_TRUNCATED || code == ERR_NOT_AUTHENTIC || code == ERR_VERSION;
}

/* Decides about one condemned pack, and has moved what it must keep when it may go. */
static bool empty_pack(struct sweep *sweep, struct rewrite *rewrite, const struct index_pack *pack,
                       struct buf *names, struct err *err)
{
    const struct usage *usage = &sweep->usage[pack->no];
    struct err why;
    bool goes = usage->live == 0;
    if (goes && !usage->bad && !rewrite_confirms_dead(rewrite, pack, err)) return false;
    if (!goes && is_worth_sweeping(usage) && fits(sweep, pack, usage)) {
        goes = rewrite_pack(rewrite, pack, &why);
        if (!goes && !is_pack_fault(why.code)) {
            *err = why;
            return false;
        }
        sweep->result->faulty_packs += !goes;
    }
    if (!goes) {
        sweep->result->spared_packs++;
        return true;
    }
    add_name(names, pack);
    sweep->result->swept_packs++;
    sweep->result->freed_bytes += pack->size;
    return true;
}

static bool empty_packs(struct sweep *sweep, struct buf *names, struct err *err)
{
    struct repository *repository = sweep->repository;
    AUTO(rewrite) struct rewrite *rewrite = rewrite_new(repository, &sweep->mark.live);
    struct index_pack pack = {0};
    if (!find_room(sweep, err)) return false;
    for (uint32_t no = 0; index_pack_from(repository->index, no, &pack, err); no = pack.no + 1)
        if (pack.state == INDEX_CONDEMNED && pack.no < sweep->packs &&
            !empty_pack(sweep, rewrite, &pack, names, err))
            return false;
    if (err->code != ERR_NOT_FOUND || !rewrite_finish(rewrite, err)) return false;
    sweep->result->moved_bytes += rewrite_bytes(rewrite);
    return true;
}

static bool append_swept(struct repository *repository, struct span names, struct err *err)
{
    LOCK_HERE(&repository->commit_lock);
    return append_packs(repository, SEALIFT__LOG_KIND__LOG_SWEPT, names, err);
}

/* The log entry is what counts: what cannot be removed now is removed at the next start, or by the next
 * sweep. */
static bool finish(struct sweep *sweep, struct err *err)
{
    struct repository *repository = sweep->repository;
    AUTO(buf) struct buf names = {0};
    if (sweep->mark.head != repository_head(repository).number && !measure(sweep, err)) return false;
    if (!empty_packs(sweep, &names, err) || !append_swept(repository, buf_span(&names), err)) return false;
    sweep->result->outcome = SWEEP_DONE;
    sweep_leftovers(repository);
    return true;
}

/* Once through; *more: it has made room for what it had to leave. */
static bool go_round(struct sweep *sweep, bool *more, struct err *err)
{
    struct repository *repository = sweep->repository;
    struct sweep_result *result = sweep->result;
    uint64_t swept = result->swept_packs;
    *more = false;
    result->spared_packs = result->faulty_packs = result->postponed_packs = result->short_bytes = 0;
    if (repository->condemned == 0 && !condemn(sweep, err)) return false;
    if (repository->condemned == 0) return true;
    result->sessions = count_pinning(repository, repository->condemned);
    result->outcome = SWEEP_WAITS;
    if (result->sessions > 0) return true;
    if (!finish(sweep, err)) return false;
    *more = result->postponed_packs > 0 && result->swept_packs > swept;
    return true;
}

static bool run(struct sweep *sweep, struct err *err)
{
    const struct sweep_result *result = sweep->result;
    bool more = true;
    if (!reconcile_in_place(sweep->repository, err)) return false;
    sweep_leftovers(sweep->repository);
    reserve_spend(sweep->repository, RESERVE_BYTES + RESERVE_MARGIN);
    while (more)
        if (!go_round(sweep, &more, err)) return false;
    if (result->swept_packs > 0) rewraps_leftovers(sweep->repository);
    if (result->swept_packs > 0 || result->postponed_packs == 0) return true;
    return err_set(err, ERR_NO_SPACE,
                   "%" PRIu64
                   " packs hold bytes that could go, but what else they hold must be written anew first: "
                   "%" PRIu64 " more bytes must be free where the repository lies",
                   result->postponed_packs, result->short_bytes);
}

bool repository_sweep(struct repository *repository, struct sweep_result *result, struct err *err)
{
    AUTO(care) struct repository *care = NULL;
    if (!care_begin(repository, &care, err)) return false;
    *result = (struct sweep_result){.outcome = SWEEP_CLEAN};
    AUTO(sweep) struct sweep sweep = {.repository = repository, .result = result};
    return run(&sweep, err);
}

/* --- removing --- */

/* The index forgets the pack's frames first, and the pack itself last. */
static void remove_pack(struct repository *repository, const struct index_pack *pack)
{
    const struct storage *storage = &repository->storage;
    struct err err;
    char name[BYTES_NAME_LEN];
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    bytes_name(pack, name);
    if (pack_toc_read_tail(storage, name, pack->size, &toc, &err) &&
        !index_forget(repository->index, pack->no, toc.entries, toc.count, &err))
        return;
    if (!storage->ops->remove(storage->self, name, &err) && err.code != ERR_NOT_FOUND) return;
    damage_marks_remove(repository->marks, &pack->name);
    (void)!index_pack_drop(repository->index, pack->no, &err);
}

struct void_points {
    struct repository *repository;
    struct buf names; /* POINT_NAME_LEN each */
};

static bool note_void(void *arg, const char *name, uint64_t size)
{
    struct void_points *points = arg;
    struct repository_point known;
    enum index_mark mark;
    struct err err;
    struct id id;
    if (strlen(name) != POINT_NAME_LEN - 1 || !hex_decode(name + strlen("points/"), id.bytes, ID_LEN, &err))
        return true;
    if (index_point_find(points->repository->index, &id, &known, &mark, &err) && mark == INDEX_VOID)
        buf_put(&points->names, name, POINT_NAME_LEN);
    return true;
}

static void remove_points(struct repository *repository)
{
    const struct storage *storage = &repository->storage;
    struct void_points points = {.repository = repository};
    struct err ignored;
    (void)!storage->ops->list(storage->self, "points", note_void, &points, &ignored);
    for (size_t at = 0; at < points.names.len; at += POINT_NAME_LEN)
        (void)!storage->ops->remove(storage->self, (const char *)points.names.data + at, &ignored);
    buf_deinit(&points.names);
}

void sweep_leftovers(struct repository *repository)
{
    struct err ignored;
    struct index_pack pack = {0};
    bool any = index_has_packs(repository->index, INDEX_SWEPT);
    for (uint32_t no = 0; any && index_pack_from(repository->index, no, &pack, &ignored); no = pack.no + 1)
        if (pack.state == INDEX_SWEPT) remove_pack(repository, &pack);
    (void)!damage_marks_save(repository->marks, &ignored); /* a mark too many is of no pack that there is */
    remove_points(repository);
}
