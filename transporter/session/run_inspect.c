/* The check of a repository by its owner: beside backups and restores, behind them in line for disk and
 * processor, in parts where a sample is asked for, from where the last check stopped. No key is needed. */
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "transporter/session/check_position.h"
#include "transporter/session/run_findings.h"
#include "transporter/session/run_inside.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SAVE_EVERY_MS = 2000,
    NICENESS = 10,
    FOREIGN_NOTES_MAX = 4,
    READERS_MAX = 4 /* what a fast disk gives */
};

struct inspection {
    struct run *run;
    struct repository *repository;
    struct run_findings *findings;
    struct check_position position;
    char *path; /* of the position */
    uint64_t saved_ms;
    struct buf foreign; /* names that a note is being made of */
    unsigned foreign_notes;
};

static void inspection_deinit(struct inspection *inspection)
{
    buf_deinit(&inspection->foreign);
}
DEFINE_AUTO_IN_PLACE(inspection, struct inspection, inspection_deinit)

/* Whatever else wants the disk goes first. Where this is not granted, the check runs all the same. */
static void step_back(void)
{
    enum { WHO_PROCESS = 1, CLASS_SHIFT = 13, BEST_EFFORT = 2, LOWEST = 7 };
    (void)syscall(SYS_ioprio_set, WHO_PROCESS, 0, BEST_EFFORT << CLASS_SHIFT | LOWEST);
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
}

/* --- the position --- */

static char *position_path(const struct run *run)
{
    char id[2 * ID_LEN + 1];
    hex_encode(run->repository->id.bytes, ID_LEN, id);
    return xasprintf("%s/repositories/%s/checked", run->environment.state_dir, id);
}

/* One that cannot be kept costs the next check some reading. */
static void save(struct inspection *inspection)
{
    struct err err = {0};
    inspection->saved_ms = clock_steady_ms();
    if (!check_position_save(inspection->path, &inspection->position, &err))
        run_warn(inspection->run, span_of(NULL, 0), &err);
}

/* One can read as fast as is allowed where that is limited. Those that the check starts step back as this
 * thread does. */
static unsigned readers(const struct run *run)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores < 1 || run->environment.check_bytes_per_s > 0) return 1;
    return cores > READERS_MAX ? READERS_MAX : (unsigned)cores;
}

static void on_passed(void *arg, const struct hash *name)
{
    struct inspection *inspection = arg;
    check_position_pass(&inspection->position, name);
    if (clock_steady_ms() - inspection->saved_ms >= SAVE_EVERY_MS) save(inspection);
}

/* --- the check --- */

static void tell_foreign(struct inspection *inspection)
{
    if (inspection->foreign.len == 0) return;
    run_note(inspection->run, buf_cstr(&inspection->foreign));
    buf_clear(&inspection->foreign);
    inspection->foreign_notes++;
}

/* Whose name it may be is for the operators alone, in a few notes. */
static void note_foreign(struct inspection *inspection, const struct check_finding *finding)
{
    size_t len = strlen(finding->object) + strlen(finding->text) + 4;
    if (inspection->foreign.len + len > RUN_WARNING_TEXT_MAX) tell_foreign(inspection);
    if (inspection->foreign_notes >= FOREIGN_NOTES_MAX) return;
    buf_printf(&inspection->foreign, "%s%s: %s", inspection->foreign.len ? "; " : "", finding->object,
               finding->text);
}

static void on_finding(void *arg, const struct check_finding *finding)
{
    struct inspection *inspection = arg;
    if (finding->about == CHECK_FOREIGN) note_foreign(inspection, finding);
    run_findings_add(inspection->findings, finding);
}

static void on_progress(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
    struct inspection *inspection = arg;
    struct restore_progress *progress = &inspection->run->restore;
    atomic_store(&progress->content_bytes, done_bytes);
    atomic_store(&progress->fetched_bytes, done_bytes);
    atomic_store(&progress->total_bytes, total_bytes);
}

static bool is_member(void *arg, const uint8_t host[SIGN_PK_LEN])
{
    const struct inspection *inspection = arg;
    return roster_transporter(inspection->run->roster, host) != NULL;
}

static bool is_admitted(void *arg, const uint8_t writer[SIGN_PK_LEN])
{
    const struct inspection *inspection = arg;
    return run_writer_admitted(inspection->run, writer);
}

static bool is_operator(void *arg, const uint8_t signer[SIGN_PK_LEN])
{
    const struct inspection *inspection = arg;
    return roster_ever_operator(inspection->run->roster, signer);
}

static void report(struct inspection *inspection, const struct check_result *result, uint64_t resumed)
{
    const struct run *run = inspection->run;
    Sealift__CheckReport *report = run_findings_report(inspection->findings);
    report->level = run->work.level;
    report->sample_ppm = run->work.sample_ppm;
    report->points = result->points;
    report->packs = run->work.level == SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH ? result->packs_read + resumed
                                                                              : result->packs;
    report->packs_total = result->packs_total;
    report->bytes_read = result->bytes_read;
    report->bytes_total = result->bytes_total;
    report->frames = result->frames;
    report->resumed_packs = resumed;
    report->whole_since_ns = inspection->position.whole_ns;
}

static bool inspect(struct inspection *inspection, struct err *err)
{
    struct run *run = inspection->run;
    struct check_position *position = &inspection->position;
    bool hash = run->work.level == SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH;
    struct check_sink sink = {.finding = on_finding,
                              .progress = on_progress,
                              .admitted = is_admitted,
                              .is_member = is_member,
                              .is_operator = is_operator,
                              .arg = inspection};
    struct check_options options = {.level = hash ? CHECK_HASH : CHECK_PRESENCE,
                                    .bytes_per_s = run->environment.check_bytes_per_s,
                                    .readers = readers(run),
                                    .cancelled = &run->cancelled};
    struct check_result result = {0};
    bool one = !id_is_zero(&run->work.about);
    if (one) options.point = &run->work.about;
    bool round = hash && !one;
    if (round) {
        check_position_begin(position, run->work.sample_ppm, repository_pack_count(inspection->repository),
                             clock_real_ns());
        sink.passed = on_passed;
        options.from = position->next;
        options.packs = position->left;
    }
    uint64_t resumed = round ? position->done : 0;
    bool done = repository_check(inspection->repository, &options, &sink, &result, err);
    tell_foreign(inspection);
    if (done && round)
        check_position_end(position, repository_has_pack_from(inspection->repository, &position->next)
                                         ? CHECK_REST_MORE
                                         : CHECK_REST_NONE);
    if (round) save(inspection);
    report(inspection, &result, resumed);
    return done;
}

bool run_inspect(struct run *run, struct err *err)
{
    AUTO(inspection) struct inspection inspection = {.run = run};
    if (run->work.level != SEALIFT__CHECK_LEVEL__CHECK_LEVEL_PRESENCE &&
        run->work.level != SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH)
        return err_set(err, ERR_PROTOCOL, "a check of an unknown level");
    if (!run_repository(run, run->repository, &inspection.repository, err)) return false;
    AUTO(free) char *path = position_path(run);
    run->findings = run_findings_new();
    inspection.findings = run->findings;
    inspection.path = path;
    check_position_load(path, &inspection.position);
    step_back();
    if (!inspect(&inspection, err)) return false;
    return !run_findings_worst(run->findings, err);
}
