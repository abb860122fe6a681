#include "transporter/session/run_recovery.h"

#include "common/wire/grant.h"
#include "common/wire/stored.h"
#include "transporter/session/run_unlock.h"
#include "transporter/session/serve_fetch.h"

#include <string.h>

/* --- which point --- */

struct committed {
    struct id point;
    uint64_t time_ns; /* UINT64_MAX: not found */
};

static bool note_time(void *arg, const struct repository_point *point)
{
    struct committed *committed = arg;
    if (!id_eq(&point->point, &committed->point)) return true;
    committed->time_ns = point->time_ns;
    return false;
}

/* What a writer wrote while it was admitted stays good. When it came is the word of the repository's log, so
 * it is the repository side that looks; `repository` is NULL on the other one. */
static bool check_writer(const struct run *run, const struct point *point, struct repository *repository,
                         struct err *err)
{
    uint64_t since_ns;
    struct committed committed = {.point = point->point, .time_ns = UINT64_MAX};
    if (!roster_ever_admitted(run->roster, point->writer, &since_ns))
        return err_set(err, ERR_NOT_AUTHENTIC, "the point's writer was never admitted to this site");
    if (since_ns == UINT64_MAX || !repository || run_order(run)->accept_revoked) return true;
    if (!repository_points(repository, note_time, &committed, err)) return false;
    if (committed.time_ns < since_ns) return true;
    return err_set(err, ERR_NOT_AUTHENTIC, "the point was committed after its writer had been revoked");
}

/* The order quotes the hash of the point file that the operator verified. */
static bool check_point(const struct run *run, struct span file, struct repository *repository,
                        struct point **out, struct err *err)
{
    const Sealift__OrderBody *order = run_order(run);
    struct hash hash = hash_of(file), wanted = stored_hash(&order->point_hash);
    struct id id = stored_id(&order->point);
    struct hash key_id = stored_hash(&order->key_id);
    bool plain = run->repository->body.repository->kind == SEALIFT__STORE_KIND__STORE_PLAINTEXT;
    AUTO(point) struct point *point = NULL;
    if (!hash_eq(&hash, &wanted))
        return err_set(err, ERR_NOT_AUTHENTIC, "the point file is not the one that the order means");
    if (!point_decode(file, &point, err)) return false;
    if (!id_eq(&point->point, &id) || !id_eq(&point->site, run_site(run)))
        return err_set(err, ERR_NOT_AUTHENTIC, "the point file is of another point or site");
    if (!check_writer(run, point, repository, err)) return false;
    if (plain != (point->cipher == CIPHER_NONE))
        return err_set(err, ERR_NOT_AUTHENTIC, "the point does not fit its repository: one is encrypted");
    if (!hash_eq(&point->key_id, &key_id))
        return err_set(err, ERR_WRONG_KEY, "the order names another key than the point");
    *out = point;
    point = NULL;
    return true;
}

/* The key of an encrypted point; *half stays NULL in a plaintext repository. */
static bool open_key(struct run *run, struct repository *repository, const struct point *point,
                     struct read_half **half, struct err *err)
{
    AUTO(read_half) struct read_half *opened = NULL;
    if (point->cipher == CIPHER_NONE) return true;
    if (!run_unlock(run, repository, point->unlock_section, &opened, err)) return false;
    if (!read_half_use_domain(opened, point->domain, &point->domain_id, err)) return false;
    *half = opened;
    opened = NULL;
    return true;
}

/* Whether the other side opens for this one, which needs no key then. */
static bool is_opened_there(const struct run *run)
{
    return run_order(run)->open_at == SEALIFT__OPEN_AT__OPEN_AT_SOURCE && !run_is_local(run);
}

static bool make_opener(struct recovery *recovery, struct err *err)
{
    recovery->root = recovery->point->root;
    if (is_opened_there(recovery->run)) {
        recovery->root = (struct hash){{0}};
        recovery->opener = opener_new_opened();
        return true;
    }
    if (!open_key(recovery->run, recovery->repository, recovery->point, &recovery->half, err)) return false;
    recovery->opener = opener_new(recovery->half, recovery->point->domain);
    return true;
}

/* --- where from --- */

static bool connect(struct recovery *recovery, struct buf *file, struct err *err)
{
    struct run *run = recovery->run;
    return run_listen(run, CONVERSATION_RECOVERY, &recovery->session, err) &&
           run_enter(run, run_stop_session, recovery->session, err) &&
           inlet_remote_new(recovery->session, &recovery->remote, err) &&
           inlet_remote_point(recovery->remote, file, err);
}

static void stop_local(void *inlet, const struct err *why)
{
    const struct inlet local = inlet_repository_inlet(inlet);
    local.ops->cancel(local.self);
}

static bool open_repository(struct recovery *recovery, struct repository **repository, struct buf *file,
                            struct err *err)
{
    struct run *run = recovery->run;
    struct id point = stored_id(&run_order(run)->point);
    if (!run_repository(run, run->repository, repository, err) ||
        !repository_point_read(*repository, &point, file, err))
        return false;
    recovery->local = inlet_repository_new(*repository);
    recovery->repository = *repository;
    return run_enter(run, stop_local, recovery->local, err);
}

enum opening { OPEN_WITH_KEY, FIND_POINT };

static bool open_all(struct recovery *recovery, enum opening opening, struct err *err)
{
    struct run *run = recovery->run;
    struct repository *repository = NULL;
    AUTO(buf) struct buf file = {0};
    if (!(run_is_local(run) ? open_repository(recovery, &repository, &file, err)
                            : connect(recovery, &file, err)))
        return false;
    if (!check_point(run, buf_span(&file), repository, &recovery->point, err) ||
        (opening == OPEN_WITH_KEY && !make_opener(recovery, err)) ||
        !authority_execute_once(run->environment.authority, &run->subject, err))
        return false;
    if (recovery->local && recovery->half)
        inlet_repository_restrict(recovery->local, &recovery->point->domain_id);
    recovery->inlet =
        recovery->remote ? inlet_remote_inlet(recovery->remote) : inlet_repository_inlet(recovery->local);
    if (recovery->remote) inlet_remote_accept(recovery->remote);
    return true;
}

static bool open_or_close(struct run *run, enum opening opening, struct recovery *out, struct err *err)
{
    out->run = run;
    if (open_all(out, opening, err)) return true;
    recovery_close(out, err);
    return false;
}

bool recovery_open(struct run *run, struct recovery *out, struct err *err)
{
    return open_or_close(run, OPEN_WITH_KEY, out, err);
}

bool recovery_find(struct run *run, struct recovery *out, struct err *err)
{
    return open_or_close(run, FIND_POINT, out, err);
}

void recovery_close(struct recovery *recovery, const struct err *why)
{
    if (recovery->remote && why) inlet_remote_refuse(recovery->remote, why);
    if (recovery->remote && !why) inlet_remote_finish(recovery->remote);
    run_leave(recovery->run);
    opener_free(recovery->opener);
    read_half_free(recovery->half);
    point_free(recovery->point);
    inlet_remote_free(recovery->remote);
    inlet_repository_free(recovery->local);
    listener_session_free(recovery->session);
    *recovery = (struct recovery){0};
}

bool recovery_plan(struct run *run, struct secret **out, struct err *err)
{
    const Sealift__OrderBody *order = run_order(run);
    const struct identity *self = run->environment.self;
    return sealed_copy_open(order->plan, order->n_plan, self->known.sign_pk, self->box, "order",
                            run_site(run), &run->subject, out, err);
}

/* --- the repository side --- */

static bool serve(struct run *run, struct dialler *dialler, struct repository *repository,
                  const struct point *point, const struct read_half *half, struct err *err)
{
    const struct hash *domain = point->cipher == CIPHER_NONE ? NULL : &point->domain_id;
    AUTO(opener) struct opener *opener = half ? opener_new(half, point->domain) : NULL;
    struct serve_open open = {.opener = opener, .root = point->root};
    struct dialler_opened opened;
    const struct serve_fetch_options options = {
        .dialler = dialler,
        .repository = repository,
        .domain = domain,
        .open = half ? &open : NULL,
        .sent_bytes = &run->counters.sent_bytes,
    };
    return dialler_await(dialler, &opened, err) &&
           authority_execute_once(run->environment.authority, &run->subject, err) &&
           serve_fetch(&options, err);
}

bool run_serve_recovery(struct run *run, struct err *err)
{
    const Sealift__OrderBody *order = run_order(run);
    struct repository *repository = NULL;
    struct id id = stored_id(&order->point), seal = id_random();
    struct dialler *dialler = NULL;
    AUTO(buf) struct buf file = {0};
    AUTO(point) struct point *point = NULL;
    AUTO(read_half) struct read_half *half = NULL; /* where this side opens */
    if (!run_repository(run, run->repository, &repository, err) ||
        !repository_point_read(repository, &id, &file, err) ||
        !check_point(run, buf_span(&file), repository, &point, err))
        return false;
    if (is_opened_there(run) && !open_key(run, repository, point, &half, err)) return false;
    if (!run_dial(run, CONVERSATION_RECOVERY, &seal, buf_span(&file), JOB_NOT_ASKED, &dialler, err))
        return false;
    bool done =
        run_enter(run, run_stop_dialler, dialler, err) && serve(run, dialler, repository, point, half, err);
    run_leave(run);
    dialler_free(dialler, done ? NULL : err);
    return done;
}
