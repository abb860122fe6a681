/* Bringing the index in line with the packs that are there. */
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "transporter/repository/inside.h"
#include "transporter/repository/pack_scan.h"

#include <stdatomic.h>
#include <string.h>

/* --- where they lie --- */

/* Of points alone it is known while the index is built anew. */
static bool needs_packs(struct repository *repository)
{
    struct index_totals totals;
    struct repository_point point;
    struct err ignored;
    index_totals(repository->index, &totals);
    return totals.packs > 0 || index_point_from(repository->index, 0, &point, &ignored);
}

static bool stop_at_first(void *arg, const char *name, uint64_t size)
{
    return false;
}

bool reconcile_in_place(struct repository *repository, struct err *err)
{
    const struct storage *storage = &repository->storage;
    struct err why;
    uint64_t size = 0;
    if (!needs_packs(repository)) return true;
    if (!storage->ops->size(storage->self, "packs", &size, &why) && why.code == ERR_NOT_FOUND)
        return err_set(
            err, ERR_FAILED,
            "packs/ is missing in the repository: is the disk mounted? Nothing is written or taken "
            "for lost until it is back; if it is gone for good, put an empty packs/ in its place");
    return storage->ops->list(storage->self, "packs", stop_at_first, NULL, err);
}

bool reconcile_nothing_lost(struct repository *repository)
{
    struct index_totals totals;
    index_totals(repository->index, &totals);
    return totals.bad == 0 && index_is_proven(repository->index);
}

/* --- adding one pack --- */

static bool number_domains(struct repository *repository, const struct pack_toc *toc,
                           const struct pack_seal *seals, uint32_t *domains, struct err *err)
{
    for (uint32_t i = 0; i < toc->envelopes; i++)
        if (!index_domain(repository->index, &seals[i].domain, &domains[i + 1], err)) return false;
    return true;
}

bool reconcile_add(struct repository *repository, struct index_pack *pack, const struct pack_toc *toc,
                   const struct pack_seal *seals, struct err *err)
{
    AUTO(free) uint32_t *domains = xcalloc((size_t)toc->envelopes + 1, sizeof(*domains));
    if (!number_domains(repository, toc, seals, domains, err)) return false;
    /* until all entries are in, the pack is not there: a crash in between starts over */
    enum index_state state = pack->state;
    pack->state = INDEX_OPEN;
    pack->frames = toc->frames;
    if (!index_pack_add(repository->index, pack, err) ||
        !index_add(repository->index, pack->no, toc->entries, toc->count, domains, 0, err))
        return false;
    pack->state = state;
    return index_pack_set(repository->index, pack, err);
}

/* --- reading one pack --- */

static bool read_seal(struct repository *repository, const char *name, const struct pack_entry *entry,
                      struct pack_seal *out, struct err *err)
{
    uint8_t bytes[RECORD_HEADER_LEN + ENVELOPE_LEN];
    const struct storage *storage = &repository->storage;
    struct record_view record;
    struct envelope_view envelope;
    if (!storage->ops->get_range(storage->self, name, entry->offset - RECORD_HEADER_LEN, bytes, sizeof(bytes),
                                 err) ||
        !record_parse(span_of(bytes, sizeof(bytes)), &record, err) ||
        !envelope_parse(record.payload, &envelope, err))
        return false;
    struct id listed = pack_entry_seal(entry);
    if (record.kind != RECORD_ENVELOPE || !id_eq(&envelope.seal, &listed))
        return err_set(err, ERR_DAMAGED, "the pack's trailer names another envelope than is there");
    *out = (struct pack_seal){.seal = envelope.seal, .domain = envelope.domain};
    memcpy(out->writer, envelope.writer, SIGN_PK_LEN);
    return true;
}

static bool read_seals(struct repository *repository, const char *name, const struct pack_toc *toc,
                       struct pack_seal *seals, struct err *err)
{
    bool plain = repository->kind == REPOSITORY_PLAINTEXT;
    size_t found = 0;
    for (size_t i = 0; i < toc->count; i++) {
        const struct pack_entry *entry = &toc->entries[i];
        if (entry->kind == RECORD_FRAME && (entry->envelope == 0) != plain)
            return err_set(err, ERR_DAMAGED, "the pack's trailer mixes sealed and plain");
        if (entry->kind == RECORD_ENVELOPE &&
            (plain || !read_seal(repository, name, entry, &seals[found++], err)))
            return plain ? err_set(err, ERR_DAMAGED, "an envelope in a plaintext repository") : false;
    }
    return true;
}

/* What the trailer says, or, of a damaged pack, what is found from its start. The frames of a pack are
 * worth more than its trailer. */
static bool read_pack(struct repository *repository, struct index_pack *pack, const char *name, bool *indexed,
                      struct err *err)
{
    const struct storage *storage = &repository->storage;
    struct pack_header header;
    struct err why;
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    *indexed = false;
    if (pack_toc_read(storage, name, pack->size, &repository->ours, &header, &toc, &why)) {
        AUTO(free) struct pack_seal *seals = xcalloc((size_t)toc.envelopes + 1, sizeof(*seals));
        if (read_seals(repository, name, &toc, seals, &why)) {
            pack->class_ = header.class_;
            *indexed = true;
            return reconcile_add(repository, pack, &toc, seals, err);
        }
    }
    AUTO(pack_prefix) struct pack_prefix prefix = {0};
    if (!pack_scan_prefix(storage, name, &repository->ours, repository->kind, &prefix, &why)) return true;
    if (prefix.rules.toc.count == 0) return true;
    pack->class_ = prefix.rules.class_;
    *indexed = true;
    return reconcile_add(repository, pack, &prefix.rules.toc, prefix.rules.seals, err);
}

/* --- comparing with the listing --- */

struct reconciling {
    struct repository *repository;
    uint64_t seen; /* packs of the listing that the index has */
    uint64_t done_bytes, total_bytes;
    bool failed;
    struct err *err;
};

/* *indexed: something of it could be read. */
static bool see_new(struct reconciling *work, const struct hash *hash, const char *name, uint64_t size,
                    bool *indexed)
{
    bool damaged = damage_marks_has(work->repository->marks, hash);
    struct index_pack pack = {.state = damaged ? INDEX_DAMAGED : INDEX_PACK, .size = size, .name = *hash};
    if (!read_pack(work->repository, &pack, name, indexed, work->err)) return false;
    if (*indexed) work->seen++;
    return true;
}

/* Cut, or back again: what the index says of it no longer holds. One of which nothing reads is as lost as one
 * without a file, and points may need it. */
static bool see_again(struct reconciling *work, struct index_pack *known, const char *name, uint64_t size)
{
    struct index *index = work->repository->index;
    const struct hash hash = known->name;
    bool indexed;
    if (known->state != INDEX_LOST) damage_marks_add(work->repository->marks, &hash);
    known->state = INDEX_LOST;
    return index_pack_set(index, known, work->err) && index_pack_drop(index, known->no, work->err) &&
           see_new(work, &hash, name, size, &indexed) && (indexed || index_pack_set(index, known, work->err));
}

static bool see_pack(struct reconciling *work, const struct hash *hash, const char *name, uint64_t size)
{
    struct index_pack known;
    bool indexed;
    if (!index_pack_find(work->repository->index, hash, &known, work->err))
        return work->err->code == ERR_NOT_FOUND && see_new(work, hash, name, size, &indexed);
    if (known.state == INDEX_SWEPT) return true; /* its file was to be removed */
    if (known.state == INDEX_LOST || known.size != size) return see_again(work, &known, name, size);
    work->seen++;
    return true;
}

static bool tell_progress(struct reconciling *work)
{
    const struct repository_progress *progress = work->repository->progress;
    if (!progress || progress->passed(progress->arg, work->done_bytes, work->total_bytes)) return true;
    return err_set(work->err, ERR_CANCELLED, "stopped before all packs were looked at");
}

static bool see_object(void *arg, const char *name, uint64_t size)
{
    struct reconciling *work = arg;
    struct hash hash;
    work->done_bytes += size;
    work->failed =
        (pack_parse_name(name, &hash) && !see_pack(work, &hash, name, size)) || !tell_progress(work);
    return !work->failed;
}

static bool add_size(void *arg, const char *name, uint64_t size)
{
    struct reconciling *work = arg;
    (void)name;
    work->total_bytes += size;
    return true;
}

/* Journals are read anew by salvage; what the index said of them is void. */
static bool drop_journals(struct index *index, struct err *err)
{
    struct index_pack pack = {0};
    if (!index_has_packs(index, INDEX_OPEN) && !index_has_packs(index, INDEX_STRAY)) return true;
    for (uint32_t no = 0; index_pack_from(index, no, &pack, err); no = pack.no + 1) {
        bool journal = pack.state == INDEX_OPEN || pack.state == INDEX_STRAY;
        if (journal && !index_pack_drop(index, pack.no, err)) return false;
    }
    return err->code == ERR_NOT_FOUND;
}

static bool find_lost(struct repository *repository, struct err *err)
{
    const struct storage *storage = &repository->storage;
    struct index_pack pack = {0};
    for (uint32_t no = 0; index_pack_from(repository->index, no, &pack, err); no = pack.no + 1) {
        char name[BYTES_NAME_LEN];
        uint64_t size;
        if (pack.state == INDEX_LOST || pack.state == INDEX_SWEPT) continue;
        bytes_name(&pack, name);
        if (storage->ops->size(storage->self, name, &size, err)) continue;
        if (err->code != ERR_NOT_FOUND) return false;
        pack.state = INDEX_LOST;
        if (!index_pack_set(repository->index, &pack, err)) return false;
    }
    return err->code == ERR_NOT_FOUND;
}

bool reconcile_packs(struct repository *repository, struct err *err)
{
    struct reconciling work = {.repository = repository, .err = err};
    const struct storage *storage = &repository->storage;
    if (!reconcile_in_place(repository, err)) return false;
    if (repository->progress && !storage->ops->list(storage->self, "packs", add_size, &work, err))
        return false;
    if (!drop_journals(repository->index, err) ||
        !storage->ops->list(storage->self, "packs", see_object, &work, err) || work.failed)
        return false;
    struct index_totals totals;
    index_totals(repository->index, &totals);
    return totals.packs == work.seen || find_lost(repository, err);
}

/* --- what went away meanwhile --- */

enum { LOOK_SHARE = 100 };

static bool is_published(const struct index_pack *pack)
{
    return pack->state == INDEX_PACK || pack->state == INDEX_CONDEMNED || pack->state == INDEX_DAMAGED;
}

/* What the pack is by its file now: lost, or damaged where it was cut or is no file. What cannot be asked is
 * as it was. */
static enum index_state state_now(struct repository *repository, const struct index_pack *pack)
{
    char name[BYTES_NAME_LEN];
    uint64_t size;
    struct err why;
    bytes_name(pack, name);
    bool there = repository->storage.ops->size(repository->storage.self, name, &size, &why);
    if (!there && why.code == ERR_NOT_FOUND) return INDEX_LOST;
    bool whole = there ? size == pack->size : why.code != ERR_DAMAGED;
    return whole || pack->state != INDEX_PACK ? pack->state : INDEX_DAMAGED;
}

/* Looked at again under the lock: a sweep takes packs away, and says so first. */
static bool note_loss(struct repository *repository, uint32_t no, struct err *err)
{
    struct index_pack pack;
    LOCK_HERE(&repository->commit_lock);
    if (!index_pack_get(repository->index, no, &pack, err)) return err->code == ERR_NOT_FOUND;
    enum index_state now = is_published(&pack) ? state_now(repository, &pack) : pack.state;
    if (now == pack.state) return true;
    if (!reconcile_in_place(repository, err)) return false;
    if (now == INDEX_DAMAGED) {
        struct err ignored; /* the next check finds it again */
        damage_marks_add(repository->marks, &pack.name);
        (void)!damage_marks_save(repository->marks, &ignored);
    }
    pack.state = now;
    return index_pack_set(repository->index, &pack, err);
}

static bool is_due(struct repository *repository)
{
    uint64_t pause_ms = LOOK_SHARE * atomic_load(&repository->look_took_ms);
    return clock_steady_ms() - atomic_load(&repository->looked_ms) >= pause_ms;
}

bool reconcile_losses(struct repository *repository, struct err *err)
{
    struct index_pack pack = {0};
    uint64_t begun_ms = clock_steady_ms();
    if (!reconcile_in_place(repository, err)) return false;
    if (!is_due(repository)) return true;
    for (uint32_t no = 0; index_pack_from(repository->index, no, &pack, err); no = pack.no + 1)
        if (is_published(&pack) && state_now(repository, &pack) != pack.state &&
            !note_loss(repository, pack.no, err))
            return false;
    if (err->code != ERR_NOT_FOUND) return false;
    uint64_t now_ms = clock_steady_ms();
    atomic_store(&repository->looked_ms, now_ms);
    atomic_store(&repository->look_took_ms, now_ms - begun_ms);
    return true;
}
