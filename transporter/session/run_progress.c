/* While a run goes on: how far it is, for the director, and whether it may still go on, a few times a second.
 */
#include "common/base/clock.h"
#include "common/wire/lent.h"
#include "transporter/core/content_progress.h"
#include "transporter/session/run_inside.h"

#include <stdlib.h>

enum { TICK_MS = 250 };

/* Of a backup: the walk is ahead of what is read, and what is read of what is stored. */
static uint64_t content_of_backup(struct run *run)
{
    const struct backup_progress *backup = &run->backup;
    struct content_progress content = {
        .found = backup->content_bytes,
        .read = backup->read_bytes,
        .unread = backup->unread_bytes + backup->hole_bytes,
        .deduplicated = backup->deduplicated_bytes + backup->hole_bytes,
        .sent = backup->sent_bytes,
        .waiting = run->counters.waiting_bytes,
    };
    if (atomic_load(&run->state) != SEALIFT__RUN_STATE__RUN_RUNNING) return content.found;
    uint64_t done = content_done(&content), shown = run->counters.shown_bytes;
    if (done < shown) return shown; /* an estimate: it does not go back */
    run->counters.shown_bytes = done;
    return done;
}

void run_fill_counters(struct run *run, Sealift__Counters *out)
{
    const struct backup_progress *backup = &run->backup;
    const struct restore_progress *restore = &run->restore;
    const struct run_counters *counters = &run->counters;
    out->entries = backup->entries + restore->entries;
    out->files = backup->files + restore->files;
    out->content_bytes = content_of_backup(run) + restore->content_bytes;
    out->read_bytes = backup->read_bytes + restore->fetched_bytes;
    out->deduplicated_bytes = backup->deduplicated_bytes;
    /* what crossed the wire: the two sides say the same */
    out->sent_bytes = backup->sent_bytes + counters->sent_bytes + counters->received_bytes;
    out->stored_bytes = counters->stored_bytes;
    out->warnings = run->warnings_seen;
    out->total_bytes = backup->total_bytes + restore->total_bytes;
    out->skipped = counters->skipped;
    out->failed = counters->failed;
}

static void tell_progress(struct run *run)
{
    Sealift__Counters counters = SEALIFT__COUNTERS__INIT;
    Sealift__RunProgress progress = SEALIFT__RUN_PROGRESS__INIT;
    char waits[ABSENCE_TEXT_MAX];
    run_fill_counters(run, &counters);
    absence_read(&run->absence, clock_steady_ms(), waits);
    if (atomic_load(&run->state) != SEALIFT__RUN_STATE__RUN_RUNNING) waits[0] = '\0'; /* it may leave */
    progress.run = lent_bytes(run->id.bytes, ID_LEN);
    progress.attempt = run->attempt;
    progress.state = (Sealift__RunState)atomic_load(&run->state);
    progress.side = run->side;
    progress.counters = &counters;
    progress.waits = waits;
    run->environment.hooks.progress(run->environment.hooks.arg, &progress);
}

/* Being admitted is not for as long as a connection stands: who was revoked meanwhile is served no more. */
static void stop_if_revoked(struct run *run)
{
    struct authority *authority = run->environment.authority;
    const struct roster *roster = authority_roster_take(authority);
    bool peer_in = !run->has_peer || (roster && roster_transporter(roster, run->peer));
    authority_roster_release(authority, roster);
    if (!peer_in) run_cancel(run, "the other side is no transporter of the current roster");
    if (!authority_member(authority)) run_cancel(run, "this transporter is not in the current roster");
}

void run_take_bandwidth(struct run *run)
{
    AUTO(statement) struct statement *job = NULL;
    struct bandwidth_rule rule;
    struct err ignored;
    if (!run->bandwidth || run->side != SEALIFT__RUN_SIDE__SIDE_SOURCE ||
        run->subject_type != SEALIFT__STATEMENT_TYPE__STATEMENT_JOB ||
        !authority_statement(run->environment.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                             &run->subject, &job, &ignored))
        return;
    const char *text = job->body.job->bandwidth;
    bool limited = text[0] && bandwidth_rule_parse(text, &rule, &ignored);
    bandwidth_share_set(run->bandwidth, limited ? &rule : NULL);
}

static void *ticker_main(void *arg)
{
    struct run *run = arg;
    (void)pthread_mutex_lock(&run->lock);
    while (!run->ended) {
        clock_wait(&run->changed, &run->lock, clock_steady_ms() + TICK_MS);
        if (run->ended) break;
        (void)pthread_mutex_unlock(&run->lock);
        stop_if_revoked(run);
        run_take_bandwidth(run);
        tell_progress(run);
        (void)pthread_mutex_lock(&run->lock);
    }
    (void)pthread_mutex_unlock(&run->lock);
    return NULL;
}

void run_ticker_start(struct run *run)
{
    if (pthread_create(&run->ticker, NULL, ticker_main, run) != 0) abort();
    run->ticking = true;
}

void run_ticker_stop(struct run *run)
{
    (void)pthread_mutex_lock(&run->lock);
    run->ended = true;
    (void)pthread_cond_broadcast(&run->changed);
    (void)pthread_mutex_unlock(&run->lock);
    if (run->ticking) (void)pthread_join(run->ticker, NULL);
    run->ticking = false;
}
