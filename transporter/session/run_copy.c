#include "common/wire/stored.h"
#include "transporter/session/copy.h"
#include "transporter/session/outlet_ingest.h"
#include "transporter/session/outlet_remote.h"
#include "transporter/session/run_inside.h"
#include "transporter/session/run_reencrypt.h"
#include "transporter/session/serve_ingest.h"

#include <string.h>

static void warn_of_point(void *arg, const struct id *point, const struct err *what)
{
    struct run *run = arg;
    atomic_fetch_add(&run->counters.failed, 1);
    run_warn(run, span_of(NULL, 0), what);
}

/* The owner of the repository that was written to tells the director: on one host that is us. */
static void note_copied(void *arg, const struct id *point, const struct commit_receipt *receipt,
                        struct span point_file)
{
    struct run *run = arg;
    atomic_store(&run->counters.stored_bytes, receipt->stored_bytes);
    if (run->side != SEALIFT__RUN_SIDE__SIDE_SOURCE) {
        run_tell_point(run, point, receipt->number, receipt->time_ns, &receipt->log_hash, point_file);
        return;
    }
    (void)pthread_mutex_lock(&run->lock);
    run->point = *point;
    run->has_point = true;
    (void)pthread_mutex_unlock(&run->lock);
}

static void remark(void *arg, const struct err *what)
{
    run_warn(arg, span_of(NULL, 0), what);
}

static bool is_operator(void *arg, const uint8_t signer[SIGN_PK_LEN])
{
    const struct run *run = arg;
    return roster_ever_operator(run->roster, signer);
}

/* A host that was revoked makes no rewrap that a copy takes. */
static bool is_rewrapper(void *arg, const uint8_t signer[SIGN_PK_LEN])
{
    const struct run *run = arg;
    const Sealift__Member *host = roster_transporter(run->roster, signer);
    return host && host->zone == SEALIFT__ZONE__ZONE_TRUSTED;
}

static bool copy_into(struct run *run, struct repository *from, const struct outlet *outlet, struct err *err)
{
    struct copy_options options = {
        .from = from,
        .job = run_job(run)->from_job,
        .outlet = *outlet,
        .sent_bytes = &run->counters.sent_bytes,
        .points = &run->counters.points,
        .skipped = &run->counters.skipped,
        .warning = warn_of_point,
        .copied = note_copied,
        .remark = remark,
        .arg = run,
        .cancelled = &run->cancelled,
    };
    return copy_points(&options, err);
}

static bool send_copies(struct run *run, struct err *err)
{
    struct repository *from = NULL;
    struct dialler *dialler = NULL;
    struct id seal = id_random();
    struct dialler_opened opened;
    if (!run_repository(run, run->from, &from, err) ||
        !run_dial(run, CONVERSATION_COPY, &seal, span_of(NULL, 0), JOB_NOT_ASKED, &dialler, err))
        return false;
    struct outlet outlet = outlet_remote(dialler);
    bool done = run_enter(run, run_stop_dialler, dialler, err) && dialler_await(dialler, &opened, err);
    if (done && !id_eq(&opened.repository, &run->repository->id))
        done = err_set(err, ERR_PROTOCOL, "the target has opened another repository");
    done = done && copy_into(run, from, &outlet, err);
    run_leave(run);
    dialler_free(dialler, done ? NULL : err);
    return done;
}

static struct serve_ingest_options serve_options(struct run *run)
{
    return (struct serve_ingest_options){
        .conversation = CONVERSATION_COPY,
        .run = run->id,
        .admitted = run_writer_admitted,
        .is_operator = is_operator,
        .is_rewrapper = is_rewrapper,
        .committed = note_copied,
        .arg = run,
        .cancelled = &run->cancelled,
        .received_bytes = &run->counters.received_bytes,
        .stored_bytes = &run->counters.stored_bytes,
    };
}

static bool take_copies(struct run *run, struct err *err)
{
    struct serve_ingest_options options = serve_options(run);
    AUTO(listener_session) struct listener_session *session = NULL;
    if (!run_repository(run, run->repository, &options.repository, err) ||
        !run_listen(run, CONVERSATION_COPY, &session, err))
        return false;
    options.session = session;
    bool done = run_enter(run, run_stop_session, session, err) && serve_ingest(&options, err);
    run_leave(run);
    return done;
}

static bool copy_here(struct run *run, struct err *err)
{
    struct repository *from = NULL, *to = NULL;
    AUTO(ingest) struct ingest *ingest = NULL;
    if (!run_repository(run, run->from, &from, err) || !run_open_copies(run, &to, &ingest, err)) return false;
    struct outlet_ingest behind = {.repository = to,
                                   .ingest = ingest,
                                   .is_operator = is_operator,
                                   .is_rewrapper = is_rewrapper,
                                   .arg = run,
                                   .cancelled = &run->cancelled};
    struct outlet outlet = outlet_ingest(&behind);
    return copy_into(run, from, &outlet, err);
}

static bool copy_at_source(struct run *run, struct err *err)
{
    switch (run_job(run)->placement) {
    case SEALIFT__PLACEMENT__PLACE_SOURCE:
        return run_seal_copies(run, note_copied, err);
    case SEALIFT__PLACEMENT__PLACE_TARGET:
        return run_show_points(run, err);
    default:
        return send_copies(run, err);
    }
}

/* What the source has sealed comes as copies do that nobody seals. */
static bool copy_at_target(struct run *run, struct err *err)
{
    bool seals = run_job(run)->placement == SEALIFT__PLACEMENT__PLACE_TARGET;
    return seals ? run_seal_copies(run, note_copied, err) : take_copies(run, err);
}

bool run_copy(struct run *run, struct err *err)
{
    bool sealed = run_job(run)->key_id.len > 0;
    if (run_is_local(run)) return sealed ? run_seal_copies(run, note_copied, err) : copy_here(run, err);
    return run->side == SEALIFT__RUN_SIDE__SIDE_SOURCE ? copy_at_source(run, err) : copy_at_target(run, err);
}
