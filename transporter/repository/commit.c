/* Committing a session: its packs, everything the point refers to, the point, the log entry. */
#include "common/base/text.h"
#include "transporter/repository/closure.h"
#include "transporter/repository/ingest_state.h"
#include "transporter/repository/reserve.h"

#include <string.h>

enum { MAX_ROUNDS = 8 };

/* One commit, under the repository's commit_lock. */
struct commit {
    struct ingest *ingest;
    struct repository *repository;
    const struct id *point;
    const struct hash *root;
    struct span file;
    struct hash file_hash;
    uint32_t domain;
};

/* --- what the point says of itself --- */

/* Points are found by the label: under that of another job it would be taken for that one's newest. */
static bool label_fits(const struct ingest_options *options, const Sealift__PointBody *body, struct err *err)
{
    struct id run = stored_id(&body->run);
    if (!options->job) return true;
    if (strcmp(body->job, options->job) != 0)
        return err_set(err, ERR_POLICY, "the point carries the name of another job than the run's");
    return id_eq(&run, &options->session) || err_set(err, ERR_POLICY, "the point is of another run");
}

static bool writer_fits(const struct ingest *ingest, const Sealift__PointBody *body, struct err *err)
{
    const struct ingest_options *options = &ingest->options;
    if (options->kind == INGEST_COPY) {
        if (!options->admitted || options->admitted(options->arg, body->writer.data)) return true;
        return err_set(err, ERR_NOT_AUTHENTIC, "the point's writer was never admitted");
    }
    struct id seal = stored_id(&body->seal);
    struct hash domain = stored_hash(&body->domain_id);
    if (memcmp(body->writer.data, options->writer, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "the point is not signed by the run's writer");
    if (!id_eq(&seal, &options->seal))
        return err_set(err, ERR_POLICY, "the point is of another seal than the run's");
    if (body->cipher && !hash_eq(&domain, &options->domain))
        return err_set(err, ERR_POLICY, "the point is of another dedup domain than the job's");
    return label_fits(options, body, err);
}

static bool kind_fits(const struct repository *repository, const Sealift__PointBody *body, struct err *err)
{
    struct id site = stored_id(&body->site);
    if (!id_eq(&site, &repository->ours.site))
        return err_set(err, ERR_POLICY, "the point is of another site than the repository");
    if (repository->kind == REPOSITORY_ENCRYPTED && body->cipher == 0)
        return err_set(err, ERR_POLICY, "a point that is not sealed, in an encrypted repository");
    if (repository->kind == REPOSITORY_PLAINTEXT && body->cipher != 0)
        return err_set(err, ERR_POLICY, "a sealed point in a plaintext repository");
    return true;
}

static bool open_point(struct commit *commit, struct err *err)
{
    AUTO(stored_point) Sealift__PointFile *file = NULL;
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    if (!stored_point_decode(commit->file, &file, err) || !stored_point_open(file, &body, err)) return false;
    struct id point = stored_id(&body->point);
    struct hash root = stored_hash(&body->root);
    if (!id_eq(&point, commit->point) || !hash_eq(&root, commit->root))
        return err_set(err, ERR_PROTOCOL, "the point file is of another point or root than the commit");
    if (!kind_fits(commit->repository, body, err) || !writer_fits(commit->ingest, body, err)) return false;
    struct hash domain = stored_hash(&body->domain_id);
    if (body->cipher) return index_domain(commit->repository->index, &domain, &commit->domain, err);
    commit->domain = 0;
    return true;
}

/* --- what it reaches --- */

/* Publishes the journal of whichever session holds it. */
static bool publish_journal(struct repository *repository, uint32_t no, struct err *err)
{
    struct index_pack pack;
    if (!index_pack_get(repository->index, no, &pack, err)) return err->code == ERR_NOT_FOUND;
    (void)pthread_mutex_lock(&repository->sessions_lock);
    for (struct ingest *session = repository->sessions; session; session = session->next)
        if (id_eq(&session->options.session, &pack.session)) {
            /* a session that fails takes its journal along: the next round finds that out */
            struct err ignored;
            (void)!ingest_flush(session, &ignored);
        }
    (void)pthread_mutex_unlock(&repository->sessions_lock);
    return true;
}

/* Walks until the point rests on published packs only. */
static bool prove_whole(struct commit *commit, enum index_use use, struct buf *missing, struct err *err)
{
    struct repository *repository = commit->repository;
    for (int round = 0; round < MAX_ROUNDS; round++) {
        AUTO(closure) struct closure closure = {.cancelled = commit->ingest->options.cancelled};
        if (!closure_walk(repository, commit->root, commit->domain, use, &closure, err)) return false;
        if (closure.missing.len) {
            buf_put_span(missing, buf_span(&closure.missing));
            return err_set(err, ERR_NOT_FOUND, "the repository lacks %zu %s that the point refers to",
                           closure.missing.len / HASH_LEN,
                           plural(closure.missing.len / HASH_LEN, "chunk", "chunks"));
        }
        /* what only pinned chunks make whole is not whole for others */
        if (closure.journal_count == 0)
            return use == INDEX_FOR_PINNED || index_add_closed(repository->index, closure.nodes,
                                                               closure.node_count, commit->domain, err);
        for (size_t i = 0; i < closure.journal_count; i++)
            if (!publish_journal(repository, closure.journals[i], err)) return false;
    }
    return err_set(err, ERR_BUSY, "other sessions hold chunks that the point refers to in unfinished packs");
}

/* --- a point that was sealed anew before --- */

/* What a point file says that it was made from; false: nothing, or it cannot be read. */
static bool read_origin(struct span bytes, struct id *origin, struct hash *root)
{
    AUTO(stored_point) Sealift__PointFile *file = NULL;
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    struct err ignored;
    if (!stored_point_decode(bytes, &file, &ignored) || !stored_point_open(file, &body, &ignored) ||
        !body->origin)
        return false;
    *origin = stored_id(&body->origin->point);
    *root = stored_hash(&body->root);
    return true;
}

/* Of a point that is there already, in the log or not: a copy that seals anew makes other bytes of it each
 * time. */
static bool is_made_again(const struct commit *commit)
{
    const struct storage *storage = &commit->repository->storage;
    char name[POINT_NAME_LEN];
    AUTO(buf) struct buf there = {0};
    struct id origin, same_origin;
    struct hash root, same_root;
    struct err ignored;
    point_name(commit->point, name);
    return storage->ops->get(storage->self, name, STORED_MAX_POINT, &there, &ignored) &&
           read_origin(commit->file, &origin, &root) &&
           read_origin(buf_span(&there), &same_origin, &same_root) && id_eq(&origin, &same_origin) &&
           hash_eq(&root, &same_root);
}

/* --- writing it --- */

static bool put_point(struct commit *commit, struct err *err)
{
    const struct storage *storage = &commit->repository->storage;
    char name[POINT_NAME_LEN];
    point_name(commit->point, name);
    if (storage->ops->put_if_absent(storage->self, name, commit->file, err)) return true;
    if (err->code != ERR_EXISTS) return false;
    /* left by a commit that did not come to its log entry */
    AUTO(buf) struct buf there = {0};
    if (!storage->ops->get(storage->self, name, STORED_MAX_POINT, &there, err)) return false;
    if (span_eq(buf_span(&there), commit->file)) return true;
    if (!is_made_again(commit)) return err_set(err, ERR_EXISTS, "'%s' exists with other bytes", name);
    /* no entry names it: it is no object that is ever to be kept */
    return storage->ops->remove(storage->self, name, err) &&
           storage->ops->put_if_absent(storage->self, name, commit->file, err);
}

/* The log entry is the commit: what fails behind it does not undo it, but this process can no longer
 * trust its index. */
static void note_commit(struct commit *commit, const struct repository_point *point)
{
    struct repository *repository = commit->repository;
    struct err err;
    if (!index_point_put(repository->index, point, &err) ||
        !index_set_chain(repository->index, &repository->chain, &err))
        repository->chain.state = CHAIN_DOUBTFUL;
    repository_show_head(repository);
    (void)!chain_remember(repository->state_dir, &repository->chain, &err); /* an older head is no lie */
}

static void fill_receipt(struct commit *commit, const struct repository_point *point,
                         const struct hash *log_hash, struct ingest_receipt *receipt)
{
    struct ingest *ingest = commit->ingest;
    (void)pthread_mutex_lock(&ingest->lock);
    uint64_t stored = ingest->stored_bytes;
    (void)pthread_mutex_unlock(&ingest->lock);
    *receipt = (struct ingest_receipt){
        .number = point->number, .log_hash = *log_hash, .time_ns = point->time_ns, .new_bytes = stored};
}

static bool append_point(struct commit *commit, struct ingest_receipt *receipt, struct err *err)
{
    struct repository *repository = commit->repository;
    Sealift__LogEntry entry = SEALIFT__LOG_ENTRY__INIT;
    entry.kind = SEALIFT__LOG_KIND__LOG_POINT;
    entry.object = stored_bytes(span_of(commit->point->bytes, ID_LEN));
    entry.object_hash = stored_bytes(span_of(commit->file_hash.bytes, HASH_LEN));
    if (!chain_append(&repository->chain, &repository->storage, repository->owner, &entry, err)) return false;
    struct repository_point point = {.point = *commit->point,
                                     .number = repository->chain.number,
                                     .time_ns = repository->chain.time_ns,
                                     .hash = commit->file_hash};
    note_commit(commit, &point);
    fill_receipt(commit, &point, &repository->chain.hash, receipt);
    return true;
}

/* --- the same commit again --- */

static bool first_receipt(struct commit *commit, const struct repository_point *point,
                          struct ingest_receipt *receipt, struct err *err)
{
    const struct storage *storage = &commit->repository->storage;
    char name[CHAIN_NAME_LEN];
    AUTO(buf) struct buf entry = {0};
    chain_name(point->number, name);
    if (!storage->ops->get(storage->self, name, STORED_MAX_SIGNED, &entry, err)) return false;
    struct hash log_hash = hash_of(buf_span(&entry));
    fill_receipt(commit, point, &log_hash, receipt);
    return true;
}

/* A point that is there already may have lost something since: then this is a repair, and what is missing is
 * told. Condemned packs still count, as they do for its restore. */
static bool is_still_whole(struct commit *commit, struct buf *missing, struct err *err)
{
    return reconcile_nothing_lost(commit->repository) || prove_whole(commit, INDEX_FOR_PINNED, missing, err);
}

/* Its file may be lost or damaged, and the log says which bytes it had: these. A damaged one is no object
 * that is ever to be kept. */
static bool mend_point(struct commit *commit, struct err *err)
{
    const struct storage *storage = &commit->repository->storage;
    char name[POINT_NAME_LEN];
    AUTO(buf) struct buf there = {0};
    point_name(commit->point, name);
    bool read = storage->ops->get(storage->self, name, STORED_MAX_POINT, &there, err);
    if (read && span_eq(buf_span(&there), commit->file)) return true;
    if (!read && err->code == ERR_SYSTEM) return false;
    if (!storage->ops->remove(storage->self, name, err) && err->code != ERR_NOT_FOUND) return false;
    return storage->ops->put_if_absent(storage->self, name, commit->file, err);
}

static bool commit_locked(struct commit *commit, struct ingest_receipt *receipt, struct buf *missing,
                          struct err *err)
{
    struct repository_point known;
    enum index_mark mark;
    if (index_point_find(commit->repository->index, commit->point, &known, &mark, err)) {
        if (mark == INDEX_THERE && hash_eq(&known.hash, &commit->file_hash))
            return is_still_whole(commit, missing, err) && mend_point(commit, err) &&
                   first_receipt(commit, &known, receipt, err);
        /* asked for again where it is not whole: what is there stays, and what it lacks is told */
        if (mark == INDEX_THERE && is_made_again(commit))
            return is_still_whole(commit, missing, err) && first_receipt(commit, &known, receipt, err);
        if (mark != INDEX_THERE)
            return err_set(err, ERR_POLICY,
                           "the point was removed from this repository: it is not taken again");
        return err_set(err, ERR_EXISTS, "another point of this id has been committed before");
    }
    if (err->code != ERR_NOT_FOUND) return false;
    bool pinned = commit->ingest->since < commit->repository->condemned;
    enum index_use use = pinned ? INDEX_FOR_PINNED : INDEX_FOR_KEEPING;
    if (!prove_whole(commit, use, missing, err)) return false;
    reserve_spend(commit->repository, RESERVE_MARGIN);
    return put_point(commit, err) && append_point(commit, receipt, err);
}

bool ingest_commit(struct ingest *ingest, const struct id *point, const struct hash *root,
                   struct span point_file, struct ingest_receipt *receipt, struct buf *missing,
                   struct err *err)
{
    struct commit commit = {.ingest = ingest,
                            .repository = ingest->repository,
                            .point = point,
                            .root = root,
                            .file = point_file,
                            .file_hash = hash_of(point_file)};
    if (!open_point(&commit, err) || !ingest_flush(ingest, err)) return false;
    (void)pthread_mutex_lock(&ingest->repository->commit_lock);
    bool done = commit_locked(&commit, receipt, missing, err);
    (void)pthread_mutex_unlock(&ingest->repository->commit_lock);
    return done;
}

bool repository_point_is_whole(struct repository *repository, struct span point_file,
                               const _Atomic bool *cancelled, bool *out, struct err *err)
{
    uint32_t domain_no = 0;
    AUTO(stored_point) Sealift__PointFile *file = NULL;
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    AUTO(closure) struct closure closure = {.cancelled = cancelled};
    if (reconcile_nothing_lost(repository)) {
        *out = true;
        return true;
    }
    if (!stored_point_decode(point_file, &file, err) || !stored_point_open(file, &body, err)) return false;
    struct hash root = stored_hash(&body->root), domain = stored_hash(&body->domain_id);
    if ((body->cipher && !index_domain(repository->index, &domain, &domain_no, err)) ||
        !closure_walk(repository, &root, domain_no, INDEX_FOR_PINNED, &closure, err))
        return false;
    *out = closure.missing.len == 0;
    return true;
}
