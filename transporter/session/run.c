#include "transporter/session/run.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/wire/head.h"
#include "common/wire/lent.h"
#include "common/wire/stored.h"
#include "transporter/session/run_findings.h"
#include "transporter/session/run_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- cancelling --- */

bool run_going_on(struct run *run, struct err *err)
{
    (void)pthread_mutex_lock(&run->lock);
    bool on = !atomic_load(&run->cancelled);
    if (!on) *err = run->cancel;
    (void)pthread_mutex_unlock(&run->lock);
    return on;
}

bool run_enter(struct run *run, void (*stop)(void *arg, const struct err *why), void *arg, struct err *err)
{
    (void)pthread_mutex_lock(&run->lock);
    bool on = !atomic_load(&run->cancelled);
    if (on) {
        run->stop = stop;
        run->stop_arg = arg;
    } else {
        *err = run->cancel;
    }
    (void)pthread_mutex_unlock(&run->lock);
    return on;
}

void run_leave(struct run *run)
{
    (void)pthread_mutex_lock(&run->lock);
    run->stop = NULL;
    (void)pthread_mutex_unlock(&run->lock);
}

static void end_with(struct run *run, const struct err *why)
{
    (void)pthread_mutex_lock(&run->lock);
    if (!atomic_load(&run->cancelled)) {
        run->cancel = *why;
        atomic_store(&run->cancelled, true);
    }
    if (run->stop) run->stop(run->stop_arg, &run->cancel);
    (void)pthread_mutex_unlock(&run->lock);
}

void run_cancel(struct run *run, const char *reason)
{
    struct err why;
    (void)err_set(&why, ERR_CANCELLED, "cancelled: %s", reason && reason[0] ? reason : "no reason given");
    end_with(run, &why);
}

void run_shut_down(struct run *run)
{
    struct err why;
    (void)err_set(&why, ERR_FAILED, CONVERSATION_SHUT_DOWN);
    end_with(run, &why);
}

void run_stop_session(void *session, const struct err *why)
{
    listener_session_fail(session, why);
}

void run_stop_dialler(void *dialler, const struct err *why)
{
    dialler_cancel(dialler, why);
}

/* --- what the kinds of work share --- */

const struct id *run_site(const struct run *run)
{
    return roster_site(run->roster);
}

/* Who only waits gives up later than who dials, and knows why nobody answered: that is the run's reason. */
static uint64_t lease_of(const struct run *run)
{
    uint64_t lease_ms = run->environment.lease_ms;
    return data_path_waits(&run->way.path) ? lease_ms + lease_ms / 2 : lease_ms;
}

static bool find_way(struct run *run, struct err *err)
{
    const struct run_environment *environment = &run->environment;
    struct run_way *way = &run->way;
    const struct data_path_words words = {.side = run->side,
                                          .connection = way->connection,
                                          .endpoint = way->endpoint,
                                          .proxy = way->proxy,
                                          .rendezvous = buf_span(&way->rendezvous)};
    return run_is_local(run) ||
           data_path_read(&words, &environment->ways, &environment->reverse, &way->path, err);
}

bool run_listen(struct run *run, enum conversation_kind conversation, struct listener_session **out,
                struct err *err)
{
    const struct run_environment *environment = &run->environment;
    struct listener_session_options options = {
        .run = run->id,
        .attempt = run->attempt,
        .conversation = conversation,
        .credit_bytes = RUN_CREDIT,
        .credits = environment->credits,
        .lease_ms = lease_of(run),
        .path = &run->way.path,
        .bandwidth = run->bandwidth,
        .given_up = &run->cancelled,
        .absence = &run->absence,
    };
    memcpy(options.ticket, run->ticket, sizeof(options.ticket));
    memcpy(options.peer_key, run->source->curve_pk.data, sizeof(options.peer_key));
    if (!listener_admit(environment->listener, &options, out, err)) return false;
    environment->hooks.ready(environment->hooks.arg, &run->id, run->attempt,
                             data_path_dials(&run->way.path) ? "" : listener_endpoint(environment->listener));
    return true;
}

bool run_dial(struct run *run, enum conversation_kind conversation, const struct id *seal,
              struct span point_file, enum job_question question, struct dialler **out, struct err *err)
{
    const struct run_environment *environment = &run->environment;
    struct dialler_options options = {
        .net = environment->net,
        .self = environment->self,
        .path = &run->way.path,
        .conversation = conversation,
        .run = run->id,
        .attempt = run->attempt,
        .seal = *seal,
        .point_file = point_file,
        .question = question,
        .lease_ms = lease_of(run),
        .bandwidth = run->bandwidth,
        .waiting_bytes = &run->counters.waiting_bytes,
        .absence = &run->absence,
        .credits = environment->credits,
    };
    memcpy(options.ticket, run->ticket, sizeof(options.ticket));
    memcpy(options.peer_key, run->target->curve_pk.data, sizeof(options.peer_key));
    return dialler_new(&options, out, err);
}

/* After a start repositories are opened one after another, and runs come meanwhile. They wait up to where the
 * other side would give them up. */
static bool await_repository(struct run *run, const struct id *id, struct repository **out, struct err *err)
{
    enum { LOOK_MS = 50 };
    struct err cancelled;
    uint64_t until_ms = clock_steady_ms() + run->environment.lease_ms / 2;
    for (;;) {
        bool expected =
            stores_is_expected(run->environment.stores, id); /* asked first: it may end in between */
        if (stores_get(run->environment.stores, id, out, err)) return true;
        if (!expected || clock_steady_ms() >= until_ms || !run_going_on(run, &cancelled)) return false;
        (void)pthread_mutex_lock(&run->lock);
        clock_wait(&run->changed, &run->lock, clock_steady_ms() + LOOK_MS);
        (void)pthread_mutex_unlock(&run->lock);
    }
}

/* One that the run uses already is no second use. */
static void note_use(struct run *run, const struct id *repository)
{
    for (size_t i = 0; i < run->using_count; i++)
        if (id_eq(&run->using[i], repository)) {
            stores_give_back(run->environment.stores, repository);
            return;
        }
    assert(run->using_count < sizeof(run->using) / sizeof(run->using[0])); /* read from, and written to */
    run->using[run->using_count++] = *repository;
}

static void give_back_repositories(struct run *run)
{
    for (size_t i = 0; i < run->using_count; i++) {
        stores_give_back(run->environment.stores, &run->using[i]);
        stores_mend(run->environment.stores, &run->using[i]);
    }
    run->using_count = 0;
}

bool run_repository(struct run *run, const struct statement *statement, struct repository **out,
                    struct err *err)
{
    struct repository *repository = NULL;
    struct repository_info info;
    if (!await_repository(run, &statement->id, &repository, err)) return false;
    note_use(run, &statement->id);
    repository_info(repository, &info);
    bool plain = statement->body.repository->kind == SEALIFT__STORE_KIND__STORE_PLAINTEXT;
    if ((info.kind == REPOSITORY_PLAINTEXT) != plain)
        return err_set(err, ERR_POLICY, "the repository is not of the kind that its statement says");
    *out = repository;
    return true;
}

void run_tell_point(struct run *run, const struct id *point, uint64_t number, uint64_t time_ns,
                    const struct hash *log_hash, struct span point_file)
{
    Sealift__PointNews news = SEALIFT__POINT_NEWS__INIT;
    news.repository = lent_bytes(run->repository->id.bytes, ID_LEN);
    news.number = number;
    news.time_ns = time_ns;
    news.log_hash = lent_bytes(log_hash->bytes, HASH_LEN);
    (void)pthread_mutex_lock(&run->lock);
    run->point = *point;
    run->has_point = true;
    (void)pthread_mutex_unlock(&run->lock);
    run->environment.hooks.point(run->environment.hooks.arg, &run->repository->id, &news, point_file);
}

/* Ever: what a writer wrote while it was admitted stays good; restores look at revocations. */
bool run_writer_admitted(void *arg, const uint8_t writer[SIGN_PK_LEN])
{
    const struct run *run = arg;
    uint64_t since_ns;
    return roster_ever_admitted(run->roster, writer, &since_ns);
}

bool run_open_copies(struct run *run, struct repository **to, struct ingest **ingest, struct err *err)
{
    const struct ingest_options options = {.session = run->id,
                                           .kind = INGEST_COPY,
                                           .admitted = run_writer_admitted,
                                           .arg = run,
                                           .durable_bytes = &run->counters.stored_bytes,
                                           .cancelled = &run->cancelled};
    struct repository *repository = NULL;
    if (!run_repository(run, run->repository, &repository, err) ||
        !ingest_open(repository, &options, ingest, err))
        return false;
    *to = repository;
    return true;
}

/* --- carrying out --- */

static bool execute(struct run *run, struct err *err)
{
    if (run->subject_type == SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY) return run_maintenance(run, err);
    if (run->subject_type == SEALIFT__STATEMENT_TYPE__STATEMENT_JOB) {
        bool copy = run_job(run)->kind == SEALIFT__JOB_KIND__JOB_COPY;
        return copy ? run_copy(run, err) : run_backup(run, err);
    }
    if (run_order(run)->kind == SEALIFT__ORDER_KIND__ORDER_WRAP) return run_wrap(run, err);
    if (run_order(run)->kind == SEALIFT__ORDER_KIND__ORDER_WITNESS) return run_witness(run, err);
    if (run_order(run)->kind == SEALIFT__ORDER_KIND__ORDER_PROTECT) return run_protect(run, err);
    if (run_is_care(run_order(run)->kind)) return run_care_order(run, err);
    if (run_order(run)->kind == SEALIFT__ORDER_KIND__ORDER_REWRAP)
        return run->side == SEALIFT__RUN_SIDE__SIDE_SOURCE ? run_serve_rewrap(run, err)
                                                           : run_rewrap(run, err);
    if (run->side == SEALIFT__RUN_SIDE__SIDE_SOURCE) return run_serve_recovery(run, err);
    bool browse = run_order(run)->kind == SEALIFT__ORDER_KIND__ORDER_BROWSE;
    return browse ? run_browse(run, err) : run_restore(run, err);
}

/* The director gets no more than a code and a sentence without names; operators get all of it. */
static void tell_end(struct run *run, bool ok, const struct err *why, const char *text)
{
    Sealift__Counters counters = SEALIFT__COUNTERS__INIT;
    Sealift__RunEnd end = SEALIFT__RUN_END__INIT;
    AUTO(buf) struct buf warnings = {0};
    AUTO(free) char *copy = xstrdup(text);
    run_fill_counters(run, &counters);
    end.run = lent_bytes(run->id.bytes, ID_LEN);
    end.attempt = run->attempt;
    end.side = run->side;
    end.counters = &counters;
    end.text = copy;
    if (ok)
        end.code = atomic_load(&run->warnings_seen) ? 1 : 0;
    else
        end.code = (uint32_t)why->code;
    if (run->has_point) end.point = lent_bytes(run->point.bytes, ID_LEN);
    run_warnings_encode(run, &warnings);
    run->environment.hooks.ended(run->environment.hooks.arg, &end, buf_span(&warnings));
}

/* A reason that was the peer's stays marked as such. */
static char *public_reason(const struct err *why)
{
    const char *text = conversation_public_text(why);
    bool by_peer = text != why->text && strncmp(why->text, HEAD_BY_PEER, strlen(HEAD_BY_PEER)) == 0;
    return xasprintf("%s%s", by_peer ? HEAD_BY_PEER : "", text);
}

/* The point is committed and told: whoever waits for the run need not wait for its cache. If the process is
 * killed before the cache is current, or half way, the cache knows less than it could, and nothing that
 * is not in this point or the one before. */
static void renew_cache(struct run *run)
{
    struct err why;
    if (!backup_renew_cache(run->renewal, &why))
        log_event(LOG_WARN, "cache_not_renewed", "reason", why.text, "next",
                  "the next run of the job reads more than has changed", NULL);
    stat_cache_close(run->renewal);
    run->renewal = NULL;
}

static void *run_main(void *arg)
{
    struct run *run = arg;
    struct err err = {0};
    bool allowed = run_check(run, &err) && find_way(run, &err);
    run_take_bandwidth(run);
    bool ok = allowed && execute(run, &err);
    give_back_repositories(run);
    run_ticker_stop(run);
    if (!ok && err.code == ERR_CANCELLED) (void)!run_going_on(run, &err); /* why it was */
    if (allowed && !ok) run_explain(run, &err);
    AUTO(free) char *text = ok ? xstrdup(run->summary) : allowed ? public_reason(&err) : xstrdup(err.text);
    tell_end(run, ok, &err, text);
    renew_cache(run);
    run->environment.hooks.gone(run->environment.hooks.arg, &run->id, run->attempt);
    return NULL;
}

/* --- making and ending --- */

static struct run_work work_of(const Sealift__Maintenance *message)
{
    struct run_work work = {0};
    if (!message) return work;
    work.kind = message->kind;
    work.level = message->level;
    work.sample_ppm = message->sample_ppm;
    work.dry_run = message->dry_run != 0;
    if (message->about.len == ID_LEN) work.about = stored_id(&message->about);
    return work;
}

static char *copy_text(const char *text)
{
    return xstrdup(text ? text : "");
}

static struct run_way way_of(const Sealift__Assign *assign)
{
    struct run_way way = {.connection = assign->connection,
                          .endpoint = copy_text(assign->endpoint),
                          .proxy = copy_text(assign->proxy)};
    buf_put_span(&way.rendezvous, stored_span(&assign->rendezvous));
    return way;
}

static void way_deinit(struct run_way *way)
{
    data_path_deinit(&way->path);
    free(way->endpoint);
    free(way->proxy);
    buf_deinit(&way->rendezvous);
}

struct run *run_start(const struct run_environment *environment, const Sealift__Assign *assign)
{
    struct run *run = xcalloc(1, sizeof(*run));
    run->environment = *environment;
    run->id = stored_id(&assign->run);
    run->attempt = assign->attempt;
    run->side = assign->side;
    run->subject_type = assign->subject;
    run->subject = stored_id(&assign->subject_id);
    run->subject_version = assign->subject_version;
    run->work = work_of(assign->work);
    memcpy(run->ticket, assign->ticket.data, sizeof(run->ticket));
    run->has_peer = assign->peer.len == SIGN_PK_LEN;
    if (run->has_peer) memcpy(run->peer, assign->peer.data, SIGN_PK_LEN);
    run->way = way_of(assign);
    if (environment->bandwidth) run->bandwidth = bandwidth_join(environment->bandwidth, NULL);
    atomic_store(&run->state, SEALIFT__RUN_STATE__RUN_RUNNING);
    (void)pthread_mutex_init(&run->lock, NULL);
    absence_init(&run->absence);
    (void)pthread_cond_init(&run->changed, NULL);
    /* without threads nothing can be reported: as with memory, that is the machine's failure */
    run_ticker_start(run);
    if (pthread_create(&run->thread, NULL, run_main, run) != 0) abort();
    return run;
}

void run_free(struct run *run)
{
    if (!run) return;
    (void)pthread_join(run->thread, NULL);
    run_warnings_free(run);
    run_findings_free(run->findings);
    statement_free(run->statement);
    statement_free(run->repository);
    statement_free(run->from);
    authority_roster_release(run->environment.authority, run->roster);
    way_deinit(&run->way);
    bandwidth_leave(run->bandwidth);
    (void)pthread_cond_destroy(&run->changed);
    (void)pthread_mutex_destroy(&run->lock);
    absence_deinit(&run->absence);
    free(run);
}
