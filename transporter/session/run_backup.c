#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/wire/stored.h"
#include "transporter/pipeline/outlet_repository.h"
#include "transporter/repository/care.h"
#include "transporter/session/head_memory.h"
#include "transporter/session/outlet_remote.h"
#include "transporter/session/run_object.h"
#include "transporter/session/serve_ingest.h"

#include <stdlib.h>
#include <string.h>

enum {
    PASSES = 2,                       /* the second when the cache named what the repository has lost */
    CACHE_WAIT_MS = 60 * 1000,        /* at most, before the other side is called */
    RENEWAL_WAIT_MS = 10 * 60 * 1000, /* behind that: of many millions of files it takes minutes */
    CACHE_LOOK_MS = 10,
};

/* The source's side. */
struct source {
    struct run *run;
    struct run_object object;
    struct run_seal_keys keys; /* where this side seals */
    enum seal_place place;
    struct compress_spec compress;
    char *cache_dir;
    struct stat_cache *cache;
    struct hash cache_binding;
    enum cache_found found;
    bool renewing; /* the run before has the cache still */
    bool told;     /* that there is no cache although there were runs */
    bool missing;  /* the last commit lacked references */
};

static void source_deinit(struct source *source)
{
    stat_cache_close(source->cache);
    free(source->cache_dir);
    run_seal_keys_deinit(&source->keys);
    run_object_deinit(&source->object);
}
DEFINE_AUTO_IN_PLACE(source, struct source, source_deinit)

/* --- what it needs --- */

/* Keys come before the first byte is read: what is to be encrypted and cannot be, fails here. */
static bool get_keys(struct source *source, struct err *err)
{
    struct run *run = source->run;
    const Sealift__JobBody *job = run_job(run);
    bool sealed = job->placement != SEALIFT__PLACEMENT__PLACE_PLAIN;
    bool there = job->placement == SEALIFT__PLACEMENT__PLACE_TARGET && !run_is_local(run);
    source->place = there ? SEAL_THERE : SEAL_HERE;
    if (!compress_spec_parse(job->compressor, &source->compress, err)) return false;
    return !sealed || there || run_seal_keys_get(run, &source->keys, err);
}

/* The run before may still be making the cache current, and waiting for that is cheaper than reading
 * everything. `stopped`: NULL, or becomes true when there is nothing left to wait for. */
static bool await_cache(struct source *source, uint64_t most_ms, const _Atomic bool *stopped, struct err *err)
{
    struct run *run = source->run;
    uint64_t until_ms = clock_steady_ms() + most_ms;
    for (;;) {
        if (stat_cache_open(source->cache_dir, &source->cache_binding, &source->cache, &source->found, err))
            return true;
        source->cache = NULL;
        struct err cancelled;
        if (err->code != ERR_BUSY || clock_steady_ms() >= until_ms || (stopped && atomic_load(stopped)) ||
            !run_going_on(run, &cancelled))
            return false;
        (void)pthread_mutex_lock(&run->lock);
        clock_wait(&run->changed, &run->lock, clock_steady_ms() + CACHE_LOOK_MS);
        (void)pthread_mutex_unlock(&run->lock);
    }
}

/* Of that wait, what comes before the other side is called: up to where it would give us up. */
static uint64_t wait_uncalled_ms(const struct run *run)
{
    uint64_t most_ms = run->environment.lease_ms / 2;
    if (run_is_local(run)) return RENEWAL_WAIT_MS;
    return most_ms < CACHE_WAIT_MS ? most_ms : CACHE_WAIT_MS;
}

/* Why a run reads everything although there were others; NULL: it does not. */
static const char *reason_to_read_all(enum cache_found found)
{
    switch (found) {
    case CACHE_REBOUND:
        return "the cache of earlier runs was dropped as asked: everything is read";
    case CACHE_LOST:
        return "the cache of earlier runs is lost: everything is read, and small files may be stored again";
    case CACHE_KEPT:
    case CACHE_NEW:
        break;
    }
    return NULL;
}

/* A cache that cannot be used costs a re-read, no more. */
static void tell_cache(struct source *source, bool opened, struct err *err)
{
    const char *reason = opened ? reason_to_read_all(source->found) : NULL;
    if (reason) run_note(source->run, reason);
    if (opened) return;
    (void)err_wrap(err, "the cache of earlier runs cannot be used, everything is read");
    run_warn(source->run, span_of(NULL, 0), err);
}

/* Where it lies is the job's; another epoch is what an operator asks for to have it emptied. */
static void open_cache(struct source *source)
{
    struct run *run = source->run;
    const Sealift__JobBody *job = run_job(run);
    struct err err = {0};
    struct span parts[] = {span_of(run->repository->id.bytes, ID_LEN), stored_span(&job->domain_id),
                           span_of(run->subject.bytes, ID_LEN)};
    struct hash place = hash_of_parts(parts, 3);
    uint8_t epoch[8];
    char name[2 * HASH_LEN + 1];
    le64_put(epoch, job->cache_epoch);
    struct span bound[] = {span_of(place.bytes, HASH_LEN), span_of(epoch, sizeof(epoch))};
    source->cache_binding = hash_of_parts(bound, 2);
    hex_encode(place.bytes, HASH_LEN, name);
    source->cache_dir = xasprintf("%s/cache/%s", run->environment.state_dir, name);
    bool opened = await_cache(source, wait_uncalled_ms(run), NULL, &err);
    source->renewing = !opened && err.code == ERR_BUSY && !run_is_local(run);
    if (!source->renewing) tell_cache(source, opened, &err);
}

/* The rest of the wait, when the other side is there and knows that we are. */
static void await_renewal(struct source *source, const _Atomic bool *failed)
{
    struct run *run = source->run;
    struct err err = {0};
    if (!source->renewing) return;
    source->renewing = false;
    log_event(LOG_INFO, "cache_awaited", "reason", "the run before is still making it current", NULL);
    atomic_store(&run->state, SEALIFT__RUN_STATE__RUN_RUNNING);
    bool opened = await_cache(source, RENEWAL_WAIT_MS, failed, &err);
    if (!atomic_load(failed) && !atomic_load(&run->cancelled)) tell_cache(source, opened, &err);
}

/* Nothing here tells a first run from one whose cache was removed whole: the repository does. */
static bool asks_for_earlier_runs(const struct source *source)
{
    return source->cache && source->found == CACHE_NEW && !source->told;
}

static void take_job_point(struct source *source, uint64_t number)
{
    if (!asks_for_earlier_runs(source) || number == 0) return;
    source->told = true;
    run_note(source->run, reason_to_read_all(CACHE_LOST));
}

/* --- the outlet, watched for commits --- */

struct watched {
    struct source *source;
    struct outlet behind;
};

static bool watched_ask(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                        uint8_t *have, struct err *err)
{
    const struct outlet *behind = &((struct watched *)self)->behind;
    return behind->ops->ask(behind->self, types, ids, count, have, err);
}

static bool watched_envelope(void *self, struct span envelope, struct err *err)
{
    const struct outlet *behind = &((struct watched *)self)->behind;
    return behind->ops->envelope(behind->self, envelope, err);
}

static bool watched_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    const struct outlet *behind = &((struct watched *)self)->behind;
    return behind->ops->send(behind->self, number, batch, err);
}

static bool watched_commit(void *self, const struct commit_request *request, struct commit_receipt *receipt,
                           struct buf *missing, struct err *err)
{
    struct watched *watched = self;
    atomic_store(&watched->source->run->state, SEALIFT__RUN_STATE__RUN_COMMITTING);
    bool done = watched->behind.ops->commit(watched->behind.self, request, receipt, missing, err);
    watched->source->missing = !done && err->code == ERR_NOT_FOUND && missing->len > 0;
    return done;
}

static void watched_cancel(void *self)
{
    const struct outlet *behind = &((struct watched *)self)->behind;
    behind->ops->cancel(behind->self);
}

static const struct outlet_ops watched_ops = {
    .ask = watched_ask,
    .envelope = watched_envelope,
    .send = watched_send,
    .commit = watched_commit,
    .cancel = watched_cancel,
};

/* --- one pass --- */

static struct backup_identity identity_of(const struct source *source, const struct id *point)
{
    const struct run *run = source->run;
    const Sealift__JobBody *job = run_job(run);
    return (struct backup_identity){
        .site = *run_site(run),
        .run = run->id,
        .point = *point,
        .repository = run->repository->id,
        .attempt = run->attempt,
        .job = job->name,
        .writer_name = run->environment.self->known.name,
        .key_label = source->keys.label,
        .domain = job->domain,
        .unlock_section = buf_span(&source->keys.unlock),
        .writer_roster = roster_bytes(run->roster),
    };
}

static bool read_and_send(struct source *source, const struct run_key *key,
                          const struct backup_identity *identity, const struct outlet *outlet,
                          const _Atomic bool *stopped, struct backup_result *result, struct err *err)
{
    struct run *run = source->run;
    const Sealift__JobBody *job = run_job(run);
    struct watched watched = {.source = source, .behind = *outlet};
    bool here = source->place == SEAL_HERE; /* else the seal, and the signature, are the target's */
    struct backup_options options = {
        .host = run->environment.self->known.name,
        .place = source->place,
        .writer = here ? run->environment.self->sign : NULL,
        .run = here ? key : NULL,
        .half = source->keys.half,
        .cipher = source->keys.half ? (enum cipher)job->cipher : CIPHER_NONE,
        .padding = source->keys.half ? PADDING_PADME : PADDING_NONE,
        .compress = source->compress,
        .cache = source->cache,
        .outlet = {.ops = &watched_ops, .self = &watched},
        .identity = *identity,
        .progress = &run->backup,
        .warning = run_engine_warning,
        .arg = run,
        .cancelled = stopped,
    };
    atomic_store(&run->state, SEALIFT__RUN_STATE__RUN_RUNNING);
    return run_object_back_up(&source->object, &options, result, err);
}

/* The target makes the point and gives it the conversation's id; else we do, and it gets one of its own. */
static struct id point_of(const struct source *source, const struct run_key *key)
{
    return source->place == SEAL_THERE ? key->seal : id_random();
}

static void note_result(struct run *run, const struct id *point, const struct backup_result *result)
{
    (void)pthread_mutex_lock(&run->lock);
    run->point = *point;
    run->has_point = true;
    (void)pthread_mutex_unlock(&run->lock);
    atomic_store(&run->counters.stored_bytes, result->receipt.stored_bytes);
}

/* The target's log must go on from what this host has seen of it, and is remembered from here on. */
static bool witness(const struct run *run, const struct head_memory *before,
                    const struct dialler_opened *opened, struct err *err)
{
    const struct head_memory now = {
        .statement = run->repository->version, .number = opened->head_number, .hash = opened->head_hash};
    return head_memory_check(before, &now, err) &&
           head_memory_keep(run->environment.state_dir, &run->repository->id, &now, err);
}

/* A commit that is done is done, whatever becomes of the memory of it. */
static void remember(const struct run *run, const struct backup_result *result)
{
    struct err ignored;
    const struct head_memory now = {.statement = run->repository->version,
                                    .number = result->receipt.number,
                                    .hash = result->receipt.log_hash};
    if (!head_memory_keep(run->environment.state_dir, &run->repository->id, &now, &ignored))
        log_event(LOG_WARN, "head_not_kept", "reason", ignored.text, NULL);
}

static bool talk(struct source *source, struct dialler *dialler, const struct head_memory *before,
                 const struct run_key *key, struct err *err)
{
    struct run *run = source->run;
    struct dialler_opened opened;
    if (!dialler_await(dialler, &opened, err)) return false;
    if (!id_eq(&opened.repository, &run->repository->id))
        return err_set(err, ERR_PROTOCOL, "the target has opened another repository");
    if (!witness(run, before, &opened, err)) return false;
    take_job_point(source, opened.job_point);
    await_renewal(source, dialler_failed(dialler));
    struct id point = point_of(source, key);
    struct backup_identity identity = identity_of(source, &point);
    identity.head_number = opened.head_number;
    identity.head_hash = opened.head_hash;
    struct outlet outlet = outlet_remote(dialler);
    struct backup_result result = {0};
    /* a silent command must not hide that the target is gone; a cancel of the run ends the conversation too
     */
    if (!read_and_send(source, key, &identity, &outlet, dialler_failed(dialler), &result, err)) {
        if (err->code == ERR_CANCELLED) dialler_failure(dialler, err); /* says more */
        return false;
    }
    remember(run, &result);
    note_result(run, &point, &result);
    return true;
}

static bool pass_remote(struct source *source, const struct run_key *key, bool last, struct err *err)
{
    struct run *run = source->run;
    bool sealed = run_job(run)->placement == SEALIFT__PLACEMENT__PLACE_SOURCE;
    enum job_question question = asks_for_earlier_runs(source) ? JOB_HAS_POINTS : JOB_NOT_ASKED;
    struct dialler *dialler = NULL;
    struct head_memory before;
    head_memory_load(run->environment.state_dir, &run->repository->id, &before);
    if (!run_dial(run, sealed ? CONVERSATION_SEALED : CONVERSATION_UNSEALED, &key->seal, span_of(NULL, 0),
                  question, &dialler, err))
        return false;
    bool done = run_enter(run, run_stop_dialler, dialler, err) && talk(source, dialler, &before, key, err);
    run_leave(run);
    if (!done && source->missing && !last)
        dialler_leave(dialler);
    else
        dialler_free(dialler, done ? NULL : err);
    return done;
}

/* A sync that failed ends the outlet; the two are made one after the other. */
struct local {
    pthread_mutex_t lock;
    struct outlet_repository *outlet;
};

static void local_failed(void *arg, const struct err *why)
{
    struct local *local = arg;
    (void)pthread_mutex_lock(&local->lock);
    if (local->outlet) outlet_repository_fail(local->outlet, why);
    (void)pthread_mutex_unlock(&local->lock);
}

static bool store(struct source *source, struct repository *repository, struct local *local,
                  const struct run_key *key, struct err *err)
{
    struct run *run = source->run;
    struct repository_info info;
    repository_info(repository, &info);
    struct err unknown;
    uint64_t number;
    if (asks_for_earlier_runs(source) &&
        repository_job_point(repository, run_job(run)->name, &number, &unknown))
        take_job_point(source, number);
    struct id point = point_of(source, key);
    struct backup_identity identity = identity_of(source, &point);
    identity.head_number = info.head_number;
    identity.head_hash = info.head_hash;
    struct outlet outlet = outlet_repository_outlet(local->outlet);
    struct backup_result result = {0};
    AUTO(buf) struct buf file = {0};
    if (!read_and_send(source, key, &identity, &outlet, &run->cancelled, &result, err)) return false;
    note_result(run, &point, &result);
    if (!repository_point_read(repository, &point, &file, err)) return false;
    run_tell_point(run, &point, result.receipt.number, result.receipt.time_ns, &result.receipt.log_hash,
                   buf_span(&file));
    return true;
}

static void local_outlet_end(struct local *local)
{
    (void)pthread_mutex_lock(&local->lock);
    struct outlet_repository *outlet = local->outlet;
    local->outlet = NULL;
    (void)pthread_mutex_unlock(&local->lock);
    outlet_repository_free(outlet);
}

static bool pass_local(struct source *source, const struct run_key *key, struct err *err)
{
    struct run *run = source->run;
    struct repository *repository = NULL;
    AUTO(ingest) struct ingest *ingest = NULL;
    struct local local = {.lock = PTHREAD_MUTEX_INITIALIZER};
    if (!run_repository(run, run->repository, &repository, err)) return false;
    struct ingest_options options = {
        .session = run->id,
        .kind = INGEST_WRITER,
        .seal = key->seal,
        .domain = stored_hash(&run_job(run)->domain_id),
        .job = run_job(run)->name,
        .failed = local_failed,
        .arg = &local,
        .durable_bytes = &run->counters.stored_bytes,
        .cancelled = &run->cancelled,
    };
    memcpy(options.writer, run->environment.self->known.sign_pk, SIGN_PK_LEN);
    if (!ingest_open(repository, &options, &ingest, err) ||
        !outlet_repository_new(ingest, OUTLET_REPOSITORY_QUEUE, &local.outlet, err))
        return false;
    bool done = store(source, repository, &local, key, err);
    local_outlet_end(&local);
    return done;
}

/* What is counted is what the point holds; what was read and warned of, all of the run. */
static void count_anew(struct backup_progress *progress)
{
    atomic_store(&progress->entries, 0);
    atomic_store(&progress->files, 0);
    atomic_store(&progress->content_bytes, 0);
    atomic_store(&progress->hole_bytes, 0);
}

static bool make_passes(struct source *source, struct err *err)
{
    struct run *run = source->run;
    for (int pass = 1;; pass++) {
        AUTO(run_key) struct run_key *key = run_key_new();
        source->missing = false;
        bool done =
            run_is_local(run) ? pass_local(source, key, err) : pass_remote(source, key, pass == PASSES, err);
        if (done) return true;
        if (!source->missing || pass == PASSES || !run_going_on(run, err)) return false;
        run_warn(run, span_of(NULL, 0), err);
        count_anew(&run->backup);
    }
}

static bool back_up(struct run *run, struct err *err)
{
    AUTO(source) struct source source = {.run = run};
    if (!run_object_open(run, &source.object, err) || !get_keys(&source, err)) return false;
    if (run_object_is_cached(&source.object)) open_cache(&source);
    bool done = make_passes(&source, err);
    run_object_end(&source.object, done ? NULL : err);
    if (!done) return false;
    run->renewal = source.cache;
    source.cache = NULL;
    return true;
}

/* --- the target's side --- */

static void committed(void *arg, const struct id *point, const struct commit_receipt *receipt,
                      struct span point_file)
{
    struct run *run = arg;
    atomic_store(&run->counters.stored_bytes, receipt->stored_bytes);
    run_tell_point(run, point, receipt->number, receipt->time_ns, &receipt->log_hash, point_file);
}

static bool seal_for_source(struct run *run, struct run_seal_keys *keys, struct serve_reseal *out,
                            struct err *err)
{
    const Sealift__JobBody *job = run_job(run);
    if (!run_seal_keys_get(run, keys, err)) return false;
    *out = (struct serve_reseal){
        .sealing = {.place = SEAL_HERE,
                    .writer = run->environment.self->sign,
                    .half = keys->half,
                    .cipher = (enum cipher)job->cipher,
                    .padding = PADDING_PADME},
        .identity = {.site = *run_site(run),
                     .run = run->id,
                     .repository = run->repository->id,
                     .attempt = run->attempt,
                     .job = job->name,
                     .writer_name = run->environment.self->known.name,
                     .key_label = keys->label,
                     .domain = job->domain,
                     .unlock_section = buf_span(&keys->unlock),
                     .writer_roster = roster_bytes(run->roster)},
    };
    return compress_spec_parse(job->compressor, &out->sealing.compress, err);
}

static bool take_in(struct run *run, struct err *err)
{
    const Sealift__JobBody *job = run_job(run);
    bool seal = job->placement == SEALIFT__PLACEMENT__PLACE_TARGET;
    AUTO(run_seal_keys) struct run_seal_keys keys = {0};
    AUTO(listener_session) struct listener_session *session = NULL;
    struct serve_reseal reseal;
    struct serve_ingest_options options = {
        .conversation =
            job->placement == SEALIFT__PLACEMENT__PLACE_SOURCE ? CONVERSATION_SEALED : CONVERSATION_UNSEALED,
        .run = run->id,
        .domain = stored_hash(&job->domain_id),
        .job = job->name,
        .reseal = seal ? &reseal : NULL,
        .committed = committed,
        .arg = run,
        .cancelled = &run->cancelled,
        .received_bytes = &run->counters.received_bytes,
        .stored_bytes = &run->counters.stored_bytes,
    };
    const uint8_t *writer = seal ? run->environment.self->known.sign_pk : run->source->sign_pk.data;
    memcpy(options.writer, writer, SIGN_PK_LEN);
    if (!run_repository(run, run->repository, &options.repository, err)) return false;
    if (seal && !seal_for_source(run, &keys, &reseal, err)) return false;
    if (!run_listen(run, options.conversation, &session, err)) return false;
    options.session = session;
    bool done = run_enter(run, run_stop_session, session, err) && serve_ingest(&options, err);
    run_leave(run);
    return done;
}

bool run_backup(struct run *run, struct err *err)
{
    return run->side == SEALIFT__RUN_SIDE__SIDE_TARGET ? take_in(run, err) : back_up(run, err);
}
