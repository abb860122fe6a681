/* The director's memory: one SQLite file in its state directory, mode 0600, written ahead (WAL) with
 * synchronous=FULL, so that a committed change survives a power cut. It holds what was signed as exact
 * bytes, runs, points and the heads of repositories' logs; no secret but the hash of the claim code.
 *
 * Each change stands for itself, or belongs to the transaction that is open. One process at a time has a
 * catalog, and one thread. Texts and blobs handed to callbacks are borrowed for the call; a callback must
 * not change the catalog, and stops the reading by returning false with `err` set. */
#ifndef SEALIFT_DIRECTOR_CATALOG_H
#define SEALIFT_DIRECTOR_CATALOG_H

#include "common/base/auto.h"
#include "common/crypto/bundle.h"
#include "common/wire/statement.h"
#include "director/core/agenda.h"

#define CATALOG_FILE "catalog.sqlite"
#define CATALOG_PENDING_MAX 100
#define CATALOG_PENDING_S 86400 /* a join that nobody approved is forgotten */
#define CATALOG_CLAIM_TRIES 5

struct catalog;

/* Makes an empty catalog. ERR_EXISTS, and the errors of files. */
bool catalog_create(const char *state_dir, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND: none there. ERR_BUSY: another process has it. ERR_VERSION, ERR_DAMAGED. */
bool catalog_open(const char *state_dir, struct catalog **out, struct err *err) MUST_CHECK;
void catalog_close(struct catalog *catalog);
DEFINE_AUTO(catalog, struct catalog *, catalog_close)

/* All changes until the commit are durable together, or never happened. A change that fails inside a
 * transaction leaves it to be rolled back. ERR_NO_SPACE, ERR_SYSTEM, ERR_DAMAGED. */
bool catalog_begin(struct catalog *catalog, struct err *err) MUST_CHECK;
bool catalog_commit(struct catalog *catalog, struct err *err) MUST_CHECK;
void catalog_rollback(struct catalog *catalog);

/* ---- claiming */

struct claim {
    struct hash code; /* HASH of the claim code */
    uint32_t tries;   /* wrong ones */
};
bool catalog_claim_put(struct catalog *catalog, const struct claim *claim, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND: there is no code (any more) */
bool catalog_claim_get(struct catalog *catalog, struct claim *out, struct err *err) MUST_CHECK;
bool catalog_claim_end(struct catalog *catalog, struct err *err) MUST_CHECK;

/* ---- what operators signed */

bool catalog_roster_put(struct catalog *catalog, uint64_t version, struct span bytes,
                        struct err *err) MUST_CHECK;
typedef bool catalog_bytes_fn(void *arg, struct span bytes, struct err *err);
/* From version `from` on, in order. */
bool catalog_rosters(struct catalog *catalog, uint64_t from, catalog_bytes_fn *each, void *arg,
                     struct err *err) MUST_CHECK;

/* Replaces the older version, and remembers that this one was seen. */
bool catalog_statement_put(struct catalog *catalog, const struct statement *statement,
                           struct err *err) MUST_CHECK;
/* Of one type, in the order in which they were first put. */
bool catalog_statements(struct catalog *catalog, Sealift__StatementType type, catalog_bytes_fn *each,
                        void *arg, struct err *err) MUST_CHECK;
/* Replaces `out`. ERR_NOT_FOUND */
bool catalog_statement_get(struct catalog *catalog, Sealift__StatementType type, const struct id *id,
                           struct buf *out, struct err *err) MUST_CHECK;
/* Forgets the bytes, not that the version was seen: orders that were carried out. */
bool catalog_statement_drop(struct catalog *catalog, Sealift__StatementType type, const struct id *id,
                            struct err *err) MUST_CHECK;
typedef bool catalog_seen_fn(void *arg, Sealift__StatementType type, const struct id *id, uint64_t version,
                             const struct hash *hash, struct err *err);
bool catalog_seen(struct catalog *catalog, catalog_seen_fn *each, void *arg, struct err *err) MUST_CHECK;

/* Orders are executed once. */
bool catalog_executed_put(struct catalog *catalog, const struct id *order, const struct id *run,
                          const struct hash *order_hash, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND */
bool catalog_executed_get(struct catalog *catalog, const struct id *order, struct id *run,
                          struct hash *order_hash, struct err *err) MUST_CHECK;

bool catalog_unlock_put(struct catalog *catalog, const struct hash *hash, const struct hash *key_id,
                        struct span bytes, struct err *err) MUST_CHECK;
/* Replaces `out`. ERR_NOT_FOUND */
bool catalog_unlock_get(struct catalog *catalog, const struct hash *hash, struct buf *out,
                        struct err *err) MUST_CHECK;
typedef bool catalog_unlock_fn(void *arg, const struct hash *hash, const struct hash *key_id,
                               struct err *err);
bool catalog_unlocks(struct catalog *catalog, catalog_unlock_fn *each, void *arg, struct err *err) MUST_CHECK;

/* ---- runs */

bool catalog_run_put(struct catalog *catalog, const struct run *run, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND */
bool catalog_run_get(struct catalog *catalog, const struct id *run, struct run *out,
                     struct err *err) MUST_CHECK;
typedef bool catalog_run_fn(void *arg, const struct run *run, struct err *err);
/* Active and unknown ones, oldest first. */
bool catalog_runs_open(struct catalog *catalog, catalog_run_fn *each, void *arg, struct err *err) MUST_CHECK;
/* Newest first; of one job or order, or of all (NULL). */
bool catalog_runs(struct catalog *catalog, const struct id *subject, uint32_t limit, catalog_run_fn *each,
                  void *arg, struct err *err) MUST_CHECK;

/* Forgets all but the newest `keep` of those that have ended. */
bool catalog_runs_forget(struct catalog *catalog, uint32_t keep, struct err *err) MUST_CHECK;

/* Encoded Warnings of one side; a later one of the same side replaces it. */
bool catalog_warnings_put(struct catalog *catalog, const struct id *run, Sealift__RunSide side,
                          struct span bytes, struct err *err) MUST_CHECK;
bool catalog_warnings(struct catalog *catalog, const struct id *run, catalog_bytes_fn *each, void *arg,
                      struct err *err) MUST_CHECK;

/* ---- points and logs */

struct catalog_point {
    struct id repository;
    uint64_t number; /* at most INT64_MAX */
    struct id point, run;
    const char *job;
    uint64_t time_ns;
    struct hash log_hash;
    struct span file; /* PointFile */
    bool held;        /* of a listed one; catalog_point_mark sets it */
};
/* Those that are there, or those that were removed and can be undeleted. */
enum catalog_points_which { CATALOG_POINTS_THERE, CATALOG_POINTS_REMOVED };
/* A point of the same number and bytes is fine; another one under the number: ERR_EXISTS. */
bool catalog_point_put(struct catalog *catalog, const struct catalog_point *point,
                       struct err *err) MUST_CHECK;
typedef bool catalog_point_fn(void *arg, const struct catalog_point *point, struct err *err);
/* By number; of one repository (or all: NULL), of one job (or all: ""). */
bool catalog_points(struct catalog *catalog, const struct id *repository, const char *job,
                    enum catalog_points_which which, catalog_point_fn *each, void *arg,
                    struct err *err) MUST_CHECK;
enum catalog_hold { CATALOG_NOT_HELD, CATALOG_HELD };
/* How a point stands by now: removed by this log entry (0: it is there), or held. Of an unknown one nothing
 * is kept. */
bool catalog_point_mark(struct catalog *catalog, const struct id *repository, const struct id *point,
                        enum catalog_hold hold, uint64_t removed, struct err *err) MUST_CHECK;
/* Forgets what was removed by log entries up to this one. */
bool catalog_points_void(struct catalog *catalog, const struct id *repository, uint64_t number,
                         struct err *err) MUST_CHECK;
/* Forgets the points of a repository, which reports them again. */
bool catalog_points_drop(struct catalog *catalog, const struct id *repository, struct err *err) MUST_CHECK;
/* The PointFile of one that is there. Replaces `out`. ERR_NOT_FOUND */
bool catalog_point_get(struct catalog *catalog, const struct id *point, struct buf *out,
                       struct err *err) MUST_CHECK;

/* What is remembered of a repository's log. */
struct catalog_head {
    struct id repository;
    uint64_t number; /* highest head ever reported, at most INT64_MAX */
    struct hash hash;
    uint64_t read; /* up to this number every point was reported */
    uint64_t points, pack_bytes, free_bytes;
    uint32_t code; /* as last reported */
    char text[RUN_TEXT_MAX + 1];
    /* the log stepped back or forked; stays until the repository is signed anew */
    char alarm[RUN_TEXT_MAX + 1];
};
bool catalog_head_put(struct catalog *catalog, const struct catalog_head *head, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND */
bool catalog_head_get(struct catalog *catalog, const struct id *repository, struct catalog_head *out,
                      struct err *err) MUST_CHECK;

/* ---- what the director starts by itself */

bool catalog_agenda_put(struct catalog *catalog, const struct agenda_item *item, struct err *err) MUST_CHECK;
/* Forgets all of it. */
bool catalog_agenda_drop(struct catalog *catalog, struct err *err) MUST_CHECK;
typedef bool catalog_agenda_fn(void *arg, const struct agenda_item *item, struct err *err);
bool catalog_agenda(struct catalog *catalog, catalog_agenda_fn *each, void *arg, struct err *err) MUST_CHECK;

/* ---- links */

/* Replaces that of the same ordered pair. */
bool catalog_link_put(struct catalog *catalog, const struct link *link, struct err *err) MUST_CHECK;
/* None is fine. */
bool catalog_link_drop(struct catalog *catalog, const uint8_t source[SIGN_PK_LEN],
                       const uint8_t target[SIGN_PK_LEN], struct err *err) MUST_CHECK;
typedef bool catalog_link_fn(void *arg, const struct link *link, struct err *err);
/* In the order in which the pairs were first put. */
bool catalog_links(struct catalog *catalog, catalog_link_fn *each, void *arg, struct err *err) MUST_CHECK;

/* ---- copies of the director's state */

/* What self-backups are sealed to. */
bool catalog_lock_put(struct catalog *catalog, const struct bundle_lock *lock, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND: none was set */
bool catalog_lock_get(struct catalog *catalog, struct bundle_lock *out, struct err *err) MUST_CHECK;

/* ---- transporters */

/* Identities (public parts) that wait for approval, by CURVE key. ERR_LIMIT: CATALOG_PENDING_MAX wait. */
bool catalog_join_put(struct catalog *catalog, const uint8_t curve_pk[32], struct span identity,
                      uint64_t now_s, struct err *err) MUST_CHECK;
/* Oldest first. */
bool catalog_joins(struct catalog *catalog, catalog_bytes_fn *each, void *arg, struct err *err) MUST_CHECK;
bool catalog_join_drop(struct catalog *catalog, const uint8_t curve_pk[32], struct err *err) MUST_CHECK;
/* those that have not joined again since */
bool catalog_joins_forget(struct catalog *catalog, uint64_t before_s, struct err *err) MUST_CHECK;

struct catalog_host {
    uint8_t sign_pk[SIGN_PK_LEN];
    uint64_t last_seen_ns;
    char version[64];
    bool has_own_key;
    uint8_t own_key_id[32], own_domain_id[32];
};
bool catalog_host_put(struct catalog *catalog, const struct catalog_host *host, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND */
bool catalog_host_get(struct catalog *catalog, const uint8_t sign_pk[SIGN_PK_LEN], struct catalog_host *out,
                      struct err *err) MUST_CHECK;

#endif
