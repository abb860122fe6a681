/* What opening a repository does with its log: verified, and compared with the index. */
#include "transporter/repository/inside.h"

#include <inttypes.h>
#include <string.h>

enum { ENTRIES_PER_MARK = 1000 };

bool load_identity(struct repository *repository, struct chain *first, struct err *err)
{
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    first->operators = repository->operators;
    if (!chain_next(first, &repository->storage, &entry, err)) {
        if (err->code != ERR_NOT_FOUND) return false;
        return err_set(err, ERR_NOT_FOUND, "there is no repository: it has no log");
    }
    repository->ours = (struct pack_header){.site = first->site, .repository = first->repository};
    repository->kind = first->kind;
    return true;
}

/* The position that a trustworthy index of this repository matches; else the index is emptied and the
 * log is read from its start. */
static bool resume_position(struct repository *repository, const struct chain *first, struct err *err)
{
    struct chain known;
    if (!index_chain(repository->index, &known, err)) return false;
    bool ours = known.number > 0 && id_eq(&known.repository, &first->repository) &&
                id_eq(&known.site, &first->site) && known.kind == first->kind &&
                memcmp(known.founder, first->founder, SIGN_PK_LEN) == 0;
    if (ours) {
        repository->chain = known;
        repository->chain.operators = repository->operators;
        return true;
    }
    if (known.number > 0) index_distrust(repository->index, "it is of another repository");
    repository->chain = (struct chain){.operators = repository->operators};
    return index_reset(repository->index, err);
}

/* What was seen before must still be there: the entry that the index matches. */
static bool verify_position(struct repository *repository, uint64_t last, struct err *err)
{
    const struct chain *known = &repository->chain;
    if (known->number == 0) return true;
    if (last < known->number)
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "the log ends at entry %" PRIu64 ", but entry %" PRIu64 " was seen before", last,
                       known->number);
    char name[CHAIN_NAME_LEN];
    chain_name(known->number, name);
    AUTO(buf) struct buf file = {0};
    if (!repository->storage.ops->get(repository->storage.self, name, STORED_MAX_SIGNED, &file, err))
        return false;
    struct hash hash = hash_of(buf_span(&file));
    if (hash_eq(&hash, &known->hash)) return true;
    return err_set(err, ERR_NOT_AUTHENTIC,
                   "log entry %" PRIu64 " is not the one that was there before: history was rewritten",
                   known->number);
}

/* Gives the packs that the entry names, as far as they are there, another state. */
static bool set_packs(struct repository *repository, const Sealift__LogEntry *entry, enum index_state state,
                      struct err *err)
{
    for (size_t i = 0; i < entry->n_packs; i++) {
        struct hash name = stored_hash(&entry->packs[i]);
        struct index_pack pack;
        if (!index_pack_find(repository->index, &name, &pack, err)) {
            if (err->code != ERR_NOT_FOUND) return false;
            continue;
        }
        pack.state = state;
        if (!index_pack_set(repository->index, &pack, err)) return false;
    }
    return true;
}

static bool condemn(struct repository *repository, const Sealift__LogEntry *entry, struct err *err)
{
    repository->condemned = entry->number;
    return set_packs(repository, entry, INDEX_CONDEMNED, err);
}

/* Of the packs that were condemned those named are swept, the others spared. */
static bool sweep(struct repository *repository, const Sealift__LogEntry *entry, struct err *err)
{
    if (!set_packs(repository, entry, INDEX_SWEPT, err)) return false;
    struct index_pack pack = {0};
    struct err end;
    for (uint32_t no = 0; index_pack_from(repository->index, no, &pack, &end); no = pack.no + 1) {
        if (pack.state != INDEX_CONDEMNED) continue;
        pack.state = damage_marks_has(repository->marks, &pack.name) ? INDEX_DAMAGED : INDEX_PACK;
        if (!index_pack_set(repository->index, &pack, err)) return false;
    }
    repository->condemned = 0;
    if (end.code == ERR_NOT_FOUND) return index_points_void(repository->index, err);
    *err = end;
    return false;
}

static bool apply_mark(struct repository *repository, const Sealift__LogEntry *entry, enum index_mark mark,
                       struct err *err)
{
    struct id point = stored_id(&entry->object);
    bool done = entry->kind == SEALIFT__LOG_KIND__LOG_HELD
                    ? index_point_hold(repository->index, &point, REPOSITORY_HELD, err)
                : entry->kind == SEALIFT__LOG_KIND__LOG_RELEASED
                    ? index_point_hold(repository->index, &point, REPOSITORY_RELEASED, err)
                    : index_point_mark(repository->index, &point, mark, err);
    if (done) return true;
    if (err->code != ERR_NOT_FOUND) return false;
    if (repository->damage == REPOSITORY_READ_DAMAGED)
        return true; /* its entry may be one of those missing */
    return err_set(err, ERR_DAMAGED, "log entry %" PRIu64 " speaks of a point that the log does not name",
                   entry->number);
}

/* Brings the index in line with an entry that follows those it knows. */
static bool apply(struct repository *repository, const Sealift__LogEntry *entry, struct err *err)
{
    switch (entry->kind) {
    case SEALIFT__LOG_KIND__LOG_POINT: {
        struct repository_point point = {.point = stored_id(&entry->object),
                                         .number = entry->number,
                                         .time_ns = entry->time_ns,
                                         .hash = stored_hash(&entry->object_hash)};
        return index_point_put(repository->index, &point, err);
    }
    case SEALIFT__LOG_KIND__LOG_REMOVED:
        return apply_mark(repository, entry, INDEX_REMOVED, err);
    case SEALIFT__LOG_KIND__LOG_UNDELETED:
    case SEALIFT__LOG_KIND__LOG_HELD:
    case SEALIFT__LOG_KIND__LOG_RELEASED:
        return apply_mark(repository, entry, INDEX_THERE, err);
    case SEALIFT__LOG_KIND__LOG_CONDEMNED:
        return condemn(repository, entry, err);
    case SEALIFT__LOG_KIND__LOG_SWEPT:
        return sweep(repository, entry, err);
    default:
        return true;
    }
}

/* The next entry, verified and applied. */
static bool follow_entry(struct repository *repository, struct err *err)
{
    struct chain *chain = &repository->chain;
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    if (chain_next(chain, &repository->storage, &entry, err)) return apply(repository, entry, err);
    if (repository->damage == REPOSITORY_REFUSE_DAMAGE || chain->number == 0 || err->code == ERR_SYSTEM)
        return false;
    chain_skip(chain, &repository->storage);
    return true;
}

static bool last_entry(struct repository *repository, uint64_t *last, struct err *err)
{
    if (repository->damage == REPOSITORY_READ_DAMAGED) return chain_highest(&repository->storage, last, err);
    return chain_last(&repository->storage, repository->chain.number, last, err);
}

/* Verifies and applies the entries that the index does not know yet. */
static bool follow_log(struct repository *repository, const struct chain_head *head, struct err *err)
{
    struct chain *chain = &repository->chain;
    uint64_t last;
    if (!last_entry(repository, &last, err) || !verify_position(repository, last, err)) return false;
    if (last < head->number)
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "the log ends at entry %" PRIu64 ", but entry %" PRIu64 " was seen before", last,
                       head->number);
    while (chain->number < last) {
        if (!follow_entry(repository, err)) return false;
        if (chain->number == head->number && !chain_matches(chain, head, err)) return false;
        if (chain->number % ENTRIES_PER_MARK == 0 && !index_set_chain(repository->index, chain, err))
            return false;
    }
    return index_set_chain(repository->index, chain, err);
}

bool load_append(struct repository *repository, Sealift__LogEntry *entry, struct err *err)
{
    struct err after;
    if (!chain_append(&repository->chain, &repository->storage, repository->owner, entry, err)) return false;
    if (!apply(repository, entry, &after) || !index_set_chain(repository->index, &repository->chain, &after))
        repository->chain.state = CHAIN_DOUBTFUL;
    repository_show_head(repository);
    (void)!chain_remember(repository->state_dir, &repository->chain, &after); /* an older head is no lie */
    return true;
}

/* No session of before is left to rely on those that are condemned. Those that are known as damaged stay so
 * when the index is lost. */
static bool look_at_packs(struct repository *repository, struct err *err)
{
    struct index *index = repository->index;
    struct index_pack pack = {0};
    if (!index_has_packs(index, INDEX_CONDEMNED) && !index_has_packs(index, INDEX_DAMAGED)) return true;
    for (uint32_t no = 0; index_pack_from(index, no, &pack, err); no = pack.no + 1) {
        if (pack.state == INDEX_CONDEMNED) repository->condemned = repository->chain.number;
        if (pack.state == INDEX_DAMAGED) damage_marks_add(repository->marks, &pack.name);
    }
    return err->code == ERR_NOT_FOUND;
}

/* Of another owner's repository ours is made by the statement that says so: before anything of it is touched.
 */
static bool own(struct repository *repository, struct err *err)
{
    const struct sign_pair *owner = repository->owner;
    if (!owner || memcmp(repository->chain.owner, owner->pk, SIGN_PK_LEN) == 0) return true;
    if (repository->statement.len == 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "the repository's log is signed by another owner");
    Sealift__LogEntry entry = SEALIFT__LOG_ENTRY__INIT;
    entry.kind = SEALIFT__LOG_KIND__LOG_OWNER;
    entry.statement = stored_bytes(repository->statement);
    return load_append(repository, &entry, err) ||
           err_wrap(err, "the repository's log is signed by another owner");
}

bool load_repository(struct repository *repository, struct err *err)
{
    struct chain first = {0};
    struct chain_head head = {0};
    if (!load_identity(repository, &first, err)) return false;
    if (repository->state_dir && !chain_recall(repository->state_dir, &head, err)) return false;
    if (head.number > 0 && !id_eq(&head.repository, &first.repository) && !chain_matches(&first, &head, err))
        return false;
    repository->marks =
        damage_marks_load(repository->owner ? repository->state_dir : NULL, &first.repository);
    if (!resume_position(repository, &first, err)) return false;
    uint64_t seen = head.number > repository->chain.number ? head.number : repository->chain.number;
    if (!reconcile_packs(repository, err) || !follow_log(repository, &head, err) ||
        !reconcile_in_place(repository, err) || !look_at_packs(repository, err) || !own(repository, err))
        return false;
    repository_show_head(repository);
    repository->forgot_head = seen == 0 && repository->chain.number > 1;
    if (repository->owner && !chain_remember(repository->state_dir, &repository->chain, err)) return false;
    if (repository->chain.number == 1 && !index_set_proven(repository->index, err)) return false;
    if (repository->owner) sweep_leftovers(repository);
    return salvage_journals(repository, err);
}
