/* What the director starts by itself: backups and copies of jobs that have a schedule, and the maintenance of
 * repositories. Operators sign the schedules, with the job or the repository; that the director asks for
 * something authorises nothing (docs/protocol.md, Maintenance).
 *
 * What was missed is done once, however often it was missed, as soon as all that take part are connected. A
 * clock that steps forward makes things due early, once; one that steps back by less than a period makes
 * nothing happen twice, and one that steps back further makes nothing wait for longer than two periods.
 *
 * Maintenance whose hour nobody has chosen does not come within the first hour of a repository.
 *
 * Maintenance begins when its transporter has a slot that no run has or waits for, one run at a time on a
 * transporter, so that backups are not held up. Pure; one thread. */
#ifndef SEALIFT_DIRECTOR_AGENDA_H
#define SEALIFT_DIRECTOR_AGENDA_H

#include "director/core/run_table.h"
#include "director/core/schedule.h"

#define AGENDA_SWEEP_DEFAULT "weekly"
#define AGENDA_CHECK_DEFAULT "daily"
#define AGENDA_SAMPLE_DEFAULT 33334u /* millionths: all packs within 30 checks */
#define AGENDA_RETRY_S 3600 /* for what could not be done to its end, or the period if that is shorter */

/* Of what is due at the same moment the first kind goes first. A sweep goes before the prunes: what these
 * remove can be undeleted until the next sweep. */
enum agenda_kind { AGENDA_JOB = 1, AGENDA_SWEEP = 2, AGENDA_PRUNE = 3, AGENDA_CHECK = 4 };

struct agenda_item {
    enum agenda_kind kind;
    struct id repository; /* zeros: a job */
    struct id job;        /* of a job, or whose points are pruned; else zeros */
    char spec[SCHEDULE_TEXT_MAX + 1];
    uint64_t since_ns; /* when it was planned first */
    uint64_t next_ns;  /* when it is due; UINT64_MAX: never */
    uint64_t good_ns;  /* when such a run came to its end last; 0: none did */

    /* not kept: */
    struct schedule schedule;
    uint32_t sample_ppm;                              /* check */
    uint8_t source[SIGN_PK_LEN], target[SIGN_PK_LEN]; /* who must be connected; maintenance: one host */
    bool changed;                                     /* since it was kept */
    bool unfinished;                                  /* a sweep that waits for backups */
};

struct agenda;
struct agenda *agenda_new(void);
void agenda_free(struct agenda *agenda);
DEFINE_AUTO(agenda, struct agenda *, agenda_free)

/* What was kept before the restart; agenda_plan drops what nobody wants any more. */
void agenda_load(struct agenda *agenda, const struct agenda_item *kept);
/* All that is wanted from now on: kind, repository, job, spec, hosts. What was planned already and has the
 * same spec goes on. A spec that does not parse is left out: whoever accepts a statement has looked at it. */
void agenda_plan(struct agenda *agenda, const struct moment *now, const struct agenda_item *wanted,
                 size_t count);
size_t agenda_count(const struct agenda *agenda);
/* Borrowed until the next agenda_plan. */
const struct agenda_item *agenda_at(const struct agenda *agenda, size_t index);
/* One that is to be kept, and counts as kept from now on; NULL: none is left. */
const struct agenda_item *agenda_take_changed(struct agenda *agenda);

/* What is to be started now; NULL: nothing. Call it again after agenda_started. */
const struct agenda_item *agenda_due(struct agenda *agenda, const struct moment *now,
                                     const struct run_table *runs);
/* It was started, or cannot be: it waits for its next moment. */
void agenda_started(struct agenda *agenda, const struct moment *now, const struct agenda_item *item);
/* A run has ended, whoever asked for it. */
void agenda_ended(struct agenda *agenda, const struct moment *now, const struct run *run);

/* What the run of an item does; of a job: nothing, all zeros. */
struct run_work agenda_work(const struct agenda_item *item);

#endif
