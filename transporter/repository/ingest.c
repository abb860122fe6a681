#include "transporter/repository/ingest.h"

#include "common/base/alloc.h"
#include "transporter/repository/ingest_state.h"

#include <string.h>

/* --- opening --- */

static void free_ingest(struct ingest *ingest)
{
    if (!ingest) return;
    (void)pthread_mutex_destroy(&ingest->batch_lock);
    (void)pthread_mutex_destroy(&ingest->lock);
    (void)pthread_cond_destroy(&ingest->work);
    (void)pthread_cond_destroy(&ingest->done);
    id_set_deinit(&ingest->fresh);
    id_set_deinit(&ingest->syncing);
    seal_table_deinit(&ingest->seals);
    free(ingest);
}
DEFINE_AUTO(raw_ingest, struct ingest *, free_ingest)

/* Where a writer's seal goes on: behind the lists that are in packs. */
static bool resume(struct ingest *ingest, struct err *err)
{
    if (ingest->options.kind == INGEST_COPY) return true;
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(ingest->repository->index, &view, err)) return false;
    ingest->accepted = ingest->acknowledged = index_lists(view, &ingest->options.seal);
    return true;
}

static bool enter(struct ingest *ingest, struct err *err)
{
    struct repository *repository = ingest->repository;
    bool taken = false;
    if (!index_next_pack(repository->index, &ingest->first_pack, err)) return false;
    (void)pthread_mutex_lock(&repository->sessions_lock);
    ingest->since = repository_head(repository).number;
    for (struct ingest *other = repository->sessions; other; other = other->next)
        taken = taken || id_eq(&other->options.session, &ingest->options.session);
    if (!taken) {
        ingest->next = repository->sessions;
        repository->sessions = ingest;
    }
    (void)pthread_mutex_unlock(&repository->sessions_lock);
    return !taken || err_set(err, ERR_BUSY, "the session is open already");
}

static void leave(struct ingest *ingest)
{
    struct repository *repository = ingest->repository;
    (void)pthread_mutex_lock(&repository->sessions_lock);
    struct ingest **at = &repository->sessions;
    while (*at != ingest)
        at = &(*at)->next;
    *at = ingest->next;
    (void)pthread_mutex_unlock(&repository->sessions_lock);
}

static bool find_domain(struct ingest *ingest, struct err *err)
{
    const struct ingest_options *options = &ingest->options;
    ingest->domain = 0;
    if (options->kind == INGEST_COPY) ingest->domain = INDEX_ANY_DOMAIN;
    if (options->kind == INGEST_COPY || ingest->repository->kind == REPOSITORY_PLAINTEXT) return true;
    return index_domain(ingest->repository->index, &options->domain, &ingest->domain, err);
}

bool ingest_open(struct repository *repository, const struct ingest_options *options, struct ingest **out,
                 struct err *err)
{
    if (!repository->owner) return err_set(err, ERR_POLICY, "the repository is open for reading only");
    AUTO(raw_ingest) struct ingest *ingest = xcalloc(1, sizeof(*ingest));
    ingest->repository = repository;
    ingest->options = *options;
    ingest->min_free_bytes = options->min_free_bytes;
    ingest->pending_end = &ingest->pending;
    ingest->closed_end = &ingest->closed;
    (void)pthread_mutex_init(&ingest->batch_lock, NULL);
    (void)pthread_mutex_init(&ingest->lock, NULL);
    (void)pthread_cond_init(&ingest->work, NULL);
    (void)pthread_cond_init(&ingest->done, NULL);
    if (!reconcile_losses(repository, err) || !find_domain(ingest, err) || !resume(ingest, err) ||
        !enter(ingest, err))
        return false;
    int code = pthread_create(&ingest->thread, NULL, ingest_sync_main, ingest);
    if (code != 0) {
        leave(ingest);
        return err_sys(err, code, "cannot start a thread");
    }
    *out = ingest;
    ingest = NULL;
    return true;
}

/* --- closing --- */

static void stop_thread(struct ingest *ingest)
{
    (void)pthread_mutex_lock(&ingest->lock);
    ingest->stop = true;
    (void)pthread_cond_broadcast(&ingest->work);
    (void)pthread_mutex_unlock(&ingest->lock);
    (void)pthread_join(ingest->thread, NULL);
}

/* What is left only in a session that failed. */
static void abandon_rest(struct ingest *ingest)
{
    while (ingest->pending) {
        struct pending *pending = ingest->pending;
        ingest->pending = pending->next;
        pending_free(pending);
    }
    while (ingest->closed) {
        struct open_pack *pack = ingest->closed;
        ingest->closed = pack->next;
        open_pack_abandon(pack);
    }
    for (int class_ = PACK_DATA; class_ <= PACK_META; class_++)
        if (ingest->packs[class_]) open_pack_abandon(ingest->packs[class_]);
}

void ingest_close(struct ingest *ingest)
{
    if (!ingest) return;
    struct err ignored; /* the journals stay, and are salvaged */
    (void)!ingest_flush(ingest, &ignored);
    stop_thread(ingest);
    abandon_rest(ingest);
    leave(ingest);
    free_ingest(ingest);
}

/* --- asking --- */

uint64_t ingest_acknowledged(struct ingest *ingest)
{
    (void)pthread_mutex_lock(&ingest->lock);
    uint64_t number = ingest->acknowledged;
    (void)pthread_mutex_unlock(&ingest->lock);
    return number;
}

/* Batches of this session first: what leaves them for the index is in the index by then. */
static bool has_pending(struct ingest *ingest, const struct hash *ids, size_t count, uint8_t *have,
                        struct err *err)
{
    (void)pthread_mutex_lock(&ingest->lock);
    bool alive = ingest_alive(ingest, err);
    for (size_t i = 0; alive && i < count; i++)
        have[i] = id_set_has(&ingest->fresh, ids[i].bytes) || id_set_has(&ingest->syncing, ids[i].bytes);
    (void)pthread_mutex_unlock(&ingest->lock);
    return alive;
}

bool ingest_has(struct ingest *ingest, const struct hash *ids, size_t count, uint8_t *have, struct err *err)
{
    if (!has_pending(ingest, ids, count, have, err)) return false;
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(ingest->repository->index, &view, err)) return false;
    for (size_t i = 0; i < count; i++)
        if (!have[i]) have[i] = index_has(view, &ids[i], ingest->domain, INDEX_FOR_KEEPING);
    return true;
}
