/* The director's core: which runs there are, who carries them out, what happens next. Every function is
 * one event: `(state, now, event) -> effects`. No clock, no socket, no file, no chance: time comes as an
 * argument, ids from the caller, tickets from the seed.
 *
 * A run is assigned to its target first, and to its source when the target is ready; when both are one
 * host, once to both. How the two meet (way.h) is decided when an attempt begins, and stays so for that
 * attempt. A run occupies a slot of each host from its assignment to the end of that side; what finds no slot
 * waits in order. A run ends when both sides have reported or will not report any more, and never ends `ok`
 * unless its target said so or its point stands in the repository's log.
 *
 * Whatever a transporter says of a run that is not its own, of another attempt, twice, late or out of
 * order changes nothing. */
#ifndef SEALIFT_DIRECTOR_RUN_TABLE_H
#define SEALIFT_DIRECTOR_RUN_TABLE_H

#include "director/core/effect.h"
#include "director/core/host_table.h"

#define RUN_TABLE_MAX 4096         /* runs that are active or unknown */
#define RUN_ATTEMPTS_MAX 5         /* assignments of one run */
#define RUN_MISSING_GRACE_MS 10000 /* how long after its Hello a host may still report a run's end */
#define RUN_MOVES_UP_MS 1800000u   /* of waiting: a run of priority 3 then counts as one of 2 */
#define RUN_AGAIN_PAUSE_MS 5000    /* before a run is assigned again */

struct run_settings {
    uint64_t lease_ms;              /* how long a lost side, or its last word, is waited for */
    uint8_t seed[HASH_LEN];         /* random; tickets and rendezvous names come from it */
    const struct link_table *links; /* borrowed, as they are at the moment; NULL: none */
};

struct run_table;
struct run_table *run_table_new(const struct run_settings *settings);
void run_table_free(struct run_table *table);
DEFINE_AUTO(run_table, struct run_table *, run_table_free)

/* A run as it was kept before the restart: active or unknown. Its hosts count as gone since now. */
void run_table_load(struct run_table *table, const struct moment *now, const struct run *run);
/* Active and unknown runs, oldest first. Borrowed until the next event. */
size_t run_table_count(const struct run_table *table);
const struct run *run_table_at(const struct run_table *table, size_t index);
/* NULL: ended, or never there */
const struct run *run_table_find(const struct run_table *table, const struct id *run);
/* runs that occupy a slot of the host */
uint32_t run_table_busy(const struct run_table *table, const uint8_t host[SIGN_PK_LEN]);
bool run_table_connected(const struct run_table *table, const uint8_t host[SIGN_PK_LEN]);
/* Connected, with a slot that no run has or waits for. */
bool run_table_has_room(const struct run_table *table, const uint8_t host[SIGN_PK_LEN]);

/* ---- the operators */

/* What an operator wants carried out. Names are for texts. */
struct run_plan {
    struct id id; /* random */
    Sealift__StatementType subject;
    struct id subject_id;
    uint64_t subject_version;
    enum run_kind kind;
    struct id repository;
    struct run_work work;    /* of RUN_MAINTENANCE */
    uint32_t priority;       /* RUN_PRIORITY_… */
    struct way_wish own_way; /* of a job */
    uint8_t source[SIGN_PK_LEN], target[SIGN_PK_LEN];
    const char *source_name, *target_name;
};
/* ERR_BUSY: the job has a run already, or the repository one that does the same work; one that has a side
 * which is gone for longer than its lease is ended first. ERR_LIMIT. A wrap does not wait, since somebody
 * waits for its answer: ERR_UNREACHABLE when its host is not connected or has no free slot. */
bool run_table_start(struct run_table *table, const struct moment *now, const struct run_plan *plan,
                     struct effects *effects, struct err *err) MUST_CHECK;
/* A job has a new version: runs of it that still wait go by that. `plan->id` does not matter. */
void run_table_replan(struct run_table *table, const struct moment *now, const struct run_plan *plan,
                      struct effects *effects);
/* ERR_NOT_FOUND: it is not active. Stopping a run that is being stopped is fine. */
bool run_table_stop(struct run_table *table, const struct moment *now, const struct id *id,
                    struct effects *effects, struct err *err) MUST_CHECK;

/* ---- the transporters; `key` and `host` are the signing key of who spoke */

struct host_hello {
    struct id incarnation;
    uint32_t slots;
    uint32_t kept_slots;   /* of them: for recoveries */
    const struct id *runs; /* live ones */
    size_t run_count;
    const char *reverse_endpoint; /* NULL or empty: it has no reverse port */
};
void run_table_up(struct run_table *table, const struct moment *now, const uint8_t key[SIGN_PK_LEN],
                  const struct host_hello *hello, struct effects *effects);
void run_table_down(struct run_table *table, const struct moment *now, const uint8_t key[SIGN_PK_LEN],
                    struct effects *effects);
/* It is not in the roster any more. */
void run_table_removed(struct run_table *table, const struct moment *now, const uint8_t key[SIGN_PK_LEN],
                       struct effects *effects);

void run_table_ready(struct run_table *table, const struct moment *now, const uint8_t host[SIGN_PK_LEN],
                     const struct id *id, uint32_t attempt, const char *endpoint, struct effects *effects);
void run_table_progress(struct run_table *table, const struct moment *now, const uint8_t host[SIGN_PK_LEN],
                        const Sealift__RunProgress *progress, struct effects *effects);
void run_table_end(struct run_table *table, const struct moment *now, const uint8_t host[SIGN_PK_LEN],
                   const Sealift__RunEnd *end, struct effects *effects);
/* The repository's log holds a point of this run. */
void run_table_point(struct run_table *table, const struct moment *now, const uint8_t host[SIGN_PK_LEN],
                     const struct id *repository, const struct id *id, const struct id *point,
                     struct effects *effects);
/* The host has reported all that the repository's log holds. */
void run_table_log_read(struct run_table *table, const struct moment *now, const uint8_t host[SIGN_PK_LEN],
                        const struct id *repository, struct effects *effects);

/* ---- time: at least once a second while there are runs */
void run_table_tick(struct run_table *table, const struct moment *now, struct effects *effects);

#endif
