/* One run from the inside. Private to run*.c.
 *
 * run.c owns the thread and the report; run_progress.c tells how far it is; run_check.c decides whether the
 * assignment may be carried out at all; run_keys.c gets keys; run_warnings.c seals warnings; the rest are the
 * kinds of work. */
#ifndef SEALIFT_SESSION_RUN_INSIDE_H
#define SEALIFT_SESSION_RUN_INSIDE_H

#include "transporter/pipeline/backup.h"
#include "transporter/pipeline/restore.h"
#include "transporter/repository/ingest.h"
#include "transporter/session/absence.h"
#include "transporter/session/dialler.h"
#include "transporter/session/listener.h"
#include "transporter/session/run.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    RUN_WARNINGS_MAX = 20,
    RUN_WARNING_TEXT_MAX = 1024,
    RUN_WARNINGS_BYTES_MAX = 960 * 1024,
    RUN_CREDIT = 96 << 20,
};

/* Of a maintenance run: what is to be done, as the director says. It authorises nothing. */
struct run_work {
    Sealift__MaintenanceKind kind;
    Sealift__CheckLevel level;
    uint32_t sample_ppm; /* 0: all */
    struct id about;     /* of a prune: the job, of a check: the one point; zeros: none */
    bool dry_run;
};

/* To the other side, as the assignment says. */
struct run_way {
    Sealift__Connection connection;
    char *endpoint, *proxy;
    struct buf rendezvous;
    struct data_path path; /* after run_check, unless one host is both sides */
};

struct run_counters {
    _Atomic uint64_t received_bytes, sent_bytes, stored_bytes, points, skipped, failed;
    _Atomic uint64_t waiting_bytes; /* sent, and not acknowledged */
    _Atomic uint64_t shown_bytes;   /* of content, in the progress so far */
};

struct run {
    struct run_environment environment;
    struct id id;
    uint32_t attempt;
    Sealift__RunSide side;
    Sealift__StatementType subject_type;
    struct id subject;
    uint64_t subject_version;
    struct run_work work; /* of a maintenance run */
    uint8_t ticket[LISTENER_TICKET_LEN];
    uint8_t peer[SIGN_PK_LEN];
    bool has_peer;
    struct run_way way;

    /* after run_check */
    const struct roster *roster;
    struct statement *statement;            /* the job or order; of maintenance: the repository's */
    struct statement *repository;           /* written to; of an order: read from */
    struct statement *from;                 /* of a copy: read from */
    const Sealift__Member *source, *target; /* of the roster */

    struct bandwidth_share *bandwidth; /* NULL: unlimited */
    pthread_t thread;
    pthread_t ticker;
    bool ticking;

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    void (*stop)(void *arg, const struct err *why); /* ends what the run is waiting for */
    void *stop_arg;
    bool ended;
    struct err cancel;
    Sealift__SealedCopy **warnings;
    size_t warning_count; /* copies */
    size_t warnings_kept, warning_bytes;
    Sealift__SealedCopy *key_back; /* or NULL */

    _Atomic bool cancelled;
    _Atomic uint64_t warnings_seen;
    _Atomic int state; /* Sealift__RunState */
    struct run_counters counters;
    struct absence absence; /* of the other side */
    struct backup_progress backup;
    struct restore_progress restore;
    struct id point;
    bool has_point;
    char summary[256];             /* what is said of a run that ended well; no names */
    struct stat_cache *renewal;    /* to be made current once the end was told; or NULL */
    struct run_findings *findings; /* of a check; NULL: none was made */
    struct id using[2];            /* repositories of ours; given back when the work is done */
    size_t using_count;
};

struct run_findings;

/* While a run waits for something that can be ended from outside, `stop` ends it; run_leave withdraws it.
 * ERR_CANCELLED if the run has been cancelled already. */
bool run_enter(struct run *run, void (*stop)(void *arg, const struct err *why), void *arg,
               struct err *err) MUST_CHECK;
void run_leave(struct run *run);
bool run_going_on(struct run *run, struct err *err) MUST_CHECK;

static inline const Sealift__JobBody *run_job(const struct run *run)
{
    return run->statement->body.job;
}
static inline const Sealift__OrderBody *run_order(const struct run *run)
{
    return run->statement->body.order;
}
/* An order about what a repository keeps, of which nobody opens anything: for its owner alone. */
static inline bool run_is_care(Sealift__OrderKind kind)
{
    return kind == SEALIFT__ORDER_KIND__ORDER_PROTECT || kind == SEALIFT__ORDER_KIND__ORDER_HOLD ||
           kind == SEALIFT__ORDER_KIND__ORDER_RELEASE || kind == SEALIFT__ORDER_KIND__ORDER_DELETE ||
           kind == SEALIFT__ORDER_KIND__ORDER_UNDELETE;
}
static inline bool run_is_local(const struct run *run)
{
    return run->side == SEALIFT__RUN_SIDE__SIDE_BOTH;
}
const struct id *run_site(const struct run *run);

/* The statements are there at the named version and mean this side and this peer; the placement table and
 * local policy allow it. Fills the fields above. Errors hold no paths. */
bool run_check(struct run *run, struct err *err) MUST_CHECK;

/* --- keys (run_keys.c) --- */

/* What a sealing side of a job needs. */
struct run_seal_keys {
    struct write_half *half;
    struct buf unlock;
    char label[256];
};
void run_seal_keys_deinit(struct run_seal_keys *keys);
DEFINE_AUTO_IN_PLACE(run_seal_keys, struct run_seal_keys, run_seal_keys_deinit)
/* From our own key file if it is that key, else from a grant. ERR_NO_KEY, ERR_WRONG_KEY. */
bool run_seal_keys_get(struct run *run, struct run_seal_keys *keys, struct err *err) MUST_CHECK;
/* S as the order itself carries it, sealed to us. ERR_NO_KEY: it carries none; ERR_WRONG_KEY. */
bool run_order_secret(const struct run *run, const struct hash *key_id, struct secret **out,
                      struct err *err) MUST_CHECK;

/* The same for a job, which carries no secret: from our own key file or a read grant, of the key itself or of
 * a later generation. ERR_NO_KEY. */
bool run_granted_key(struct run *run, const struct hash *key_id, struct span unlock_section,
                     struct read_half **half, struct err *err) MUST_CHECK;

/* --- warnings (run_warnings.c): any thread --- */

/* A warning that names a file (`path` may be empty), sealed to every operator; counted in any case. */
void run_warn(struct run *run, struct span path, const struct err *what);
/* The same, not counted: the reason why the run failed. */
void run_explain(struct run *run, const struct err *why);
/* The same, not counted: what the user should know of a run with which nothing is wrong. */
void run_note(struct run *run, const char *text);
/* S, which a KMS gave, sealed to the operator who signed the order: the operators have their copies again. */
void run_give_key_back(struct run *run, const struct read_half *half);
/* With the findings, where a check was made. */
void run_warnings_encode(struct run *run, struct buf *out);
void run_warnings_free(struct run *run);
/* for the engines' options; arg is the run */
void run_engine_warning(void *arg, struct span path, const struct err *what);

/* --- progress (run_progress.c) --- */

/* A thread that reports through the hooks, and cancels the run when either side leaves the roster. */
void run_ticker_start(struct run *run);
/* Nothing is reported any more when it returns. */
void run_ticker_stop(struct run *run);
/* As far as the run is now. */
void run_fill_counters(struct run *run, Sealift__Counters *out);
/* As the newest statement of the job says it, also while the run goes on. Of the side that sends alone. */
void run_take_bandwidth(struct run *run);

/* --- connections (run.c) --- */

/* Admits the peer, tells the director where we listen. */
bool run_listen(struct run *run, enum conversation_kind conversation, struct listener_session **out,
                struct err *err) MUST_CHECK;
bool run_dial(struct run *run, enum conversation_kind conversation, const struct id *seal,
              struct span point_file, enum job_question question, struct dialler **out,
              struct err *err) MUST_CHECK;
/* `stop` for run_enter */
void run_stop_session(void *session, const struct err *why);
void run_stop_dialler(void *dialler, const struct err *why);
/* A repository of ours, of the kind that its statement says; borrowed until the work is done. */
bool run_repository(struct run *run, const struct statement *statement, struct repository **out,
                    struct err *err) MUST_CHECK;
/* Tells the director of a committed point. */
void run_tell_point(struct run *run, const struct id *point, uint64_t number, uint64_t time_ns,
                    const struct hash *log_hash, struct span point_file);
bool run_writer_admitted(void *run, const uint8_t writer[SIGN_PK_LEN]);
/* Opens the run's repository, which is here, for copies of points: they come from any writer that is
 * admitted. */
bool run_open_copies(struct run *run, struct repository **to, struct ingest **ingest,
                     struct err *err) MUST_CHECK;

/* --- the kinds of work --- */

bool run_backup(struct run *run, struct err *err) MUST_CHECK;
bool run_copy(struct run *run, struct err *err) MUST_CHECK;
bool run_restore(struct run *run, struct err *err) MUST_CHECK;
bool run_browse(struct run *run, struct err *err) MUST_CHECK;
/* run_maintenance.c: what a repository's owner does with it alone. */
bool run_maintenance(struct run *run, struct err *err) MUST_CHECK;
/* run_inspect.c: the check. Findings fail the run with the code of the worst. */
bool run_inspect(struct run *run, struct err *err) MUST_CHECK;
/* run_care.c */
bool run_prune(struct run *run, struct err *err) MUST_CHECK;
bool run_sweep(struct run *run, struct err *err) MUST_CHECK;
/* run_reindex.c */
bool run_reindex(struct run *run, struct err *err) MUST_CHECK;
bool run_care_order(struct run *run, struct err *err) MUST_CHECK;
/* run_protect.c: keeps the unlock section of an order in our repository. */
bool run_protect(struct run *run, struct err *err) MUST_CHECK;
/* run_wrap.c: wraps a key by an entry of our configuration. */
bool run_wrap(struct run *run, struct err *err) MUST_CHECK;
/* run_witness.c: tells an operator which grants this host has, and its own key, signed for this order. */
bool run_witness(struct run *run, struct err *err) MUST_CHECK;
/* run_rewrap.c: seals the run keys of old seals to the newest generation of their key; the repository side.
 */
bool run_rewrap(struct run *run, struct err *err) MUST_CHECK;
bool run_serve_rewrap(struct run *run, struct err *err) MUST_CHECK;
/* The repository side of a restore or browse. */
bool run_serve_recovery(struct run *run, struct err *err) MUST_CHECK;

#endif
