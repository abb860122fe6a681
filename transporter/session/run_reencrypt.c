#include "transporter/session/run_reencrypt.h"

#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "transporter/pipeline/inlet_repository.h"
#include "transporter/repository/ingest.h"
#include "transporter/session/copy_anew.h"
#include "transporter/session/inlet_remote.h"
#include "transporter/session/outlet_ingest.h"
#include "transporter/session/outlet_led.h"
#include "transporter/session/outlet_remote.h"
#include "transporter/session/serve_fetch.h"

#include <string.h>

enum { POINTS_MOST = STORED_MAX_POINT / ID_LEN };

/* --- which points are believed --- */

/* A writer that is not trusted any more has its points copied as far as they came before that. When one came
 * is the word of the repository's log, so it is the side of the repository that looks. */
static bool writer_was_trusted(const struct run *run, struct repository *from, const struct point *point,
                               struct err *err)
{
    uint64_t since_ns;
    struct repository_point listed;
    if (!roster_ever_admitted(run->roster, point->writer, &since_ns))
        return err_set(err, ERR_NOT_AUTHENTIC, "the point's writer was never admitted to this site");
    if (since_ns == UINT64_MAX || !from) return true;
    if (!repository_point_find(from, &point->point, &listed, err)) return false;
    return listed.time_ns < since_ns ||
           err_set(err, ERR_NOT_AUTHENTIC, "the point was committed after its writer had been revoked");
}

static bool check_point(const struct run *run, struct repository *from, const struct point *point,
                        struct err *err)
{
    bool plain = run->from->body.repository->kind == SEALIFT__STORE_KIND__STORE_PLAINTEXT;
    if (!id_eq(&point->site, run_site(run)))
        return err_set(err, ERR_NOT_AUTHENTIC, "the point is of another site");
    if (plain != (point->cipher == CIPHER_NONE))
        return err_set(err, ERR_NOT_AUTHENTIC, "the point does not fit its repository: one is encrypted");
    return writer_was_trusted(run, from, point, err);
}

/* --- the points of a repository of ours --- */

struct local_points {
    struct repository *repository;
    struct inlet_repository *inlet;
};
static void local_points_deinit(struct local_points *points)
{
    inlet_repository_free(points->inlet);
}
DEFINE_AUTO_IN_PLACE(local_points, struct local_points, local_points_deinit)

static bool note_point(void *arg, const struct repository_point *point)
{
    struct buf *ids = arg;
    buf_put(ids, point->point.bytes, ID_LEN);
    return true;
}

static bool local_list(void *self, struct buf *ids, struct err *err)
{
    const struct local_points *points = self;
    return repository_points(points->repository, note_point, ids, err);
}

static bool local_read(void *self, const struct id *point, struct buf *file, struct err *err)
{
    const struct local_points *points = self;
    return repository_point_read(points->repository, point, file, err);
}

static struct inlet local_inlet(void *self, const struct point *point)
{
    struct local_points *points = self;
    inlet_repository_free(points->inlet);
    points->inlet = inlet_repository_new(points->repository);
    if (point->cipher != CIPHER_NONE) inlet_repository_restrict(points->inlet, &point->domain_id);
    return inlet_repository_inlet(points->inlet);
}

/* --- those of the other side --- */

static bool remote_list(void *self, struct buf *ids, struct err *err)
{
    AUTO(buf) struct buf told = {0};
    if (!inlet_remote_point(self, &told, err)) return false;
    if (told.len % ID_LEN || told.len / ID_LEN > POINTS_MOST)
        return err_set(err, ERR_PROTOCOL, "a list of points of %zu bytes", told.len);
    buf_put_span(ids, buf_span(&told));
    inlet_remote_accept(self);
    return true;
}

static bool remote_read(void *self, const struct id *point, struct buf *file, struct err *err)
{
    return inlet_remote_read_point(self, point, file, err);
}

static struct inlet remote_inlet(void *self, const struct point *point)
{
    return inlet_remote_inlet(self);
}

/* --- the side that seals --- */

struct sealing_side {
    struct run *run;
    run_copied_fn *copied;
    struct repository *from; /* NULL: at the other side */
    struct repository *to;   /* the same */
    struct run_seal_keys keys;
    struct run_key *key;
    uint64_t head_number;
    struct hash head_hash;
};

static void sealing_side_deinit(struct sealing_side *side)
{
    run_seal_keys_deinit(&side->keys);
    run_key_free(side->key);
}
DEFINE_AUTO_IN_PLACE(sealing_side, struct sealing_side, sealing_side_deinit)

static bool on_check(void *arg, const struct point *point, struct err *err)
{
    const struct sealing_side *side = arg;
    return check_point(side->run, side->from, point, err);
}

static bool on_open_key(void *arg, const struct point *point, struct read_half **out, struct err *err)
{
    struct sealing_side *side = arg;
    AUTO(read_half) struct read_half *half = NULL;
    if (!run_granted_key(side->run, &point->key_id, point->unlock_section, &half, err))
        return err_wrap(err, "key '%s'", point->key_label);
    if (!read_half_use_domain(half, point->domain, &point->domain_id, err)) return false;
    *out = half;
    half = NULL;
    return true;
}

static void on_warning(void *arg, const struct id *point, const struct err *what)
{
    struct sealing_side *side = arg;
    atomic_fetch_add(&side->run->counters.failed, 1);
    run_warn(side->run, span_of(NULL, 0), what);
}

static void on_copied(void *arg, const struct id *point, const struct commit_receipt *receipt,
                      struct span point_file)
{
    struct sealing_side *side = arg;
    struct err why;
    AUTO(buf) struct buf stored = {0};
    /* one that was there before, and lacked something, keeps its file */
    bool read = side->to && repository_point_read(side->to, point, &stored, &why);
    side->copied(side->run, point, receipt, read ? buf_span(&stored) : point_file);
}

static struct backup_identity identity_of(const struct sealing_side *side)
{
    const struct run *run = side->run;
    return (struct backup_identity){
        .site = *run_site(run),
        .run = run->id,
        .repository = run->repository->id,
        .attempt = run->attempt,
        .writer_name = run->environment.self->known.name,
        .key_label = side->keys.label,
        .domain = run_job(run)->domain,
        .unlock_section = buf_span(&side->keys.unlock),
        .writer_roster = roster_bytes(run->roster),
        .head_number = side->head_number,
        .head_hash = side->head_hash,
    };
}

/* Seals all that comes from `from` into the outlet, which takes what a copy's does. */
static bool seal_into(struct sealing_side *side, const struct copy_anew_from *from,
                      const struct outlet *outlet, struct err *err)
{
    struct run *run = side->run;
    AUTO(outlet_led)
    struct outlet_led led = {.behind = *outlet, .sent_bytes = &run->counters.sent_bytes};
    struct copy_anew_options options = {
        .from = *from,
        .job = run_job(run)->from_job,
        .sealing = {.place = SEAL_HERE,
                    .writer = run->environment.self->sign,
                    .run = side->key,
                    .half = side->keys.half,
                    .cipher = (enum cipher)run_job(run)->cipher,
                    .padding = PADDING_PADME,
                    .outlet = outlet_led(&led)},
        .identity = identity_of(side),
        .check = on_check,
        .open_key = on_open_key,
        .warning = on_warning,
        .copied = on_copied,
        .arg = side,
        .opened_bytes = &run->restore.fetched_bytes,
        .points = &run->counters.points,
        .skipped = &run->counters.skipped,
        .cancelled = &run->cancelled,
    };
    return compress_spec_parse(run_job(run)->compressor, &options.sealing.compress, err) &&
           copy_anew(&options, err);
}

static bool open_from(struct sealing_side *side, struct local_points *points, struct copy_anew_from *out,
                      struct err *err)
{
    if (!run_repository(side->run, side->run->from, &side->from, err)) return false;
    points->repository = side->from;
    *out = (struct copy_anew_from){
        .points = local_list, .read = local_read, .inlet = local_inlet, .self = points};
    return true;
}

/* --- at the source --- */

static bool talk(struct sealing_side *side, struct dialler *dialler, const struct copy_anew_from *from,
                 struct err *err)
{
    struct dialler_opened opened;
    struct outlet outlet = outlet_remote(dialler);
    if (!dialler_await(dialler, &opened, err)) return false;
    if (!id_eq(&opened.repository, &side->run->repository->id))
        return err_set(err, ERR_PROTOCOL, "the target has opened another repository");
    side->head_number = opened.head_number;
    side->head_hash = opened.head_hash;
    return seal_into(side, from, &outlet, err);
}

static bool seal_and_send(struct sealing_side *side, struct err *err)
{
    struct run *run = side->run;
    AUTO(local_points) struct local_points points = {0};
    struct copy_anew_from from;
    struct dialler *dialler = NULL;
    struct id seal = id_random();
    if (!open_from(side, &points, &from, err) ||
        !run_dial(run, CONVERSATION_COPY, &seal, span_of(NULL, 0), JOB_NOT_ASKED, &dialler, err))
        return false;
    bool done = run_enter(run, run_stop_dialler, dialler, err) && talk(side, dialler, &from, err);
    run_leave(run);
    dialler_free(dialler, done ? NULL : err);
    return done;
}

/* --- where the repository is written to --- */

static bool store_sealed(struct sealing_side *side, const struct copy_anew_from *from, struct err *err)
{
    struct run *run = side->run;
    struct repository *to = NULL;
    struct repository_info info;
    AUTO(ingest) struct ingest *ingest = NULL;
    if (!run_open_copies(run, &to, &ingest, err)) return false;
    side->to = to;
    repository_info(to, &info);
    side->head_number = info.head_number;
    side->head_hash = info.head_hash;
    struct outlet_ingest behind = {.repository = to, .ingest = ingest, .cancelled = &run->cancelled};
    struct outlet outlet = outlet_ingest(&behind);
    return seal_into(side, from, &outlet, err);
}

static bool seal_here(struct sealing_side *side, struct err *err)
{
    AUTO(local_points) struct local_points points = {0};
    struct copy_anew_from from;
    return open_from(side, &points, &from, err) && store_sealed(side, &from, err);
}

static bool fetch_and_seal(struct sealing_side *side, struct err *err)
{
    struct run *run = side->run;
    AUTO(listener_session) struct listener_session *session = NULL;
    struct inlet_remote *remote = NULL;
    if (!run_listen(run, CONVERSATION_RECOVERY, &session, err)) return false;
    if (!run_enter(run, run_stop_session, session, err) || !inlet_remote_new(session, &remote, err)) {
        run_leave(run);
        return false;
    }
    const struct copy_anew_from from = {
        .points = remote_list, .read = remote_read, .inlet = remote_inlet, .self = remote};
    bool done = store_sealed(side, &from, err);
    if (done)
        inlet_remote_finish(remote);
    else
        inlet_remote_refuse(remote, err);
    run_leave(run);
    inlet_remote_free(remote);
    return done;
}

bool run_seal_copies(struct run *run, run_copied_fn *copied, struct err *err)
{
    AUTO(sealing_side) struct sealing_side side = {.run = run, .copied = copied};
    if (!run_seal_keys_get(run, &side.keys, err)) return false;
    side.key = run_key_new();
    if (run_is_local(run)) return seal_here(&side, err);
    bool source = run->side == SEALIFT__RUN_SIDE__SIDE_SOURCE;
    return source ? seal_and_send(&side, err) : fetch_and_seal(&side, err);
}

/* --- the source of a copy that the target seals --- */

struct showing {
    struct run *run;
    struct repository *from;
};

/* Which are of the job that is copied only their files say; one that cannot be read is the target's to miss.
 */
static bool list_points(const struct showing *showing, struct buf *out, struct err *err)
{
    const char *job = run_job(showing->run)->from_job;
    AUTO(buf) struct buf all = {0};
    if (!repository_points(showing->from, note_point, &all, err)) return false;
    for (size_t at = 0; at < all.len; at += ID_LEN) {
        struct id id;
        struct err why;
        AUTO(buf) struct buf file = {0};
        AUTO(point) struct point *point = NULL;
        memcpy(id.bytes, all.data + at, ID_LEN);
        bool read = job[0] && repository_point_read(showing->from, &id, &file, &why) &&
                    point_decode(buf_span(&file), &point, &why);
        if (!read || strcmp(job, point->job) == 0) buf_put(out, id.bytes, ID_LEN);
    }
    if (out->len / ID_LEN <= POINTS_MOST) return true;
    return err_set(err, ERR_LIMIT, "more than %d points in one repository", POINTS_MOST);
}

static bool may_show(void *arg, struct span point_file, struct err *err)
{
    const struct showing *showing = arg;
    const char *job = run_job(showing->run)->from_job;
    AUTO(point) struct point *point = NULL;
    if (!point_decode(point_file, &point, err)) return false;
    if (job[0] && strcmp(job, point->job) != 0)
        return err_set(err, ERR_POLICY, "the point is of another job than the one that is copied");
    return check_point(showing->run, showing->from, point, err);
}

bool run_show_points(struct run *run, struct err *err)
{
    struct showing showing = {.run = run};
    struct dialler *dialler = NULL;
    struct dialler_opened opened;
    struct id seal = id_random();
    AUTO(buf) struct buf ids = {0};
    if (!run_repository(run, run->from, &showing.from, err) || !list_points(&showing, &ids, err))
        return false;
    if (!run_dial(run, CONVERSATION_RECOVERY, &seal, buf_span(&ids), JOB_NOT_ASKED, &dialler, err))
        return false;
    const struct serve_points points = {.may_show = may_show, .arg = &showing};
    const struct serve_fetch_options options = {.dialler = dialler,
                                                .repository = showing.from,
                                                .points = &points,
                                                .sent_bytes = &run->counters.sent_bytes};
    bool done = run_enter(run, run_stop_dialler, dialler, err) && dialler_await(dialler, &opened, err) &&
                serve_fetch(&options, err);
    run_leave(run);
    dialler_free(dialler, done ? NULL : err);
    return done;
}
