#include "transporter/session/run_verify.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/wire/stored.h"
#include "transporter/pipeline/check_decrypt.h"
#include "transporter/pipeline/check_restore.h"
#include "transporter/session/check_journal.h"
#include "transporter/session/run_answers.h"
#include "transporter/session/run_findings.h"

#include <inttypes.h>
#include <stdio.h>

enum { OBJECT_LEN = sizeof("points/") + 2 * ID_LEN };

struct verifying {
    struct run *run;
    struct recovery *recovery;
    const Sealift__BrowsePlan *plan;
    struct run_findings *sealed; /* for the operator */
    struct check_decrypt_result opened;
    struct check_restore_result restored;
    struct pace pace;
    uint64_t shown_bytes;          /* of what was opened, in the progress so far */
    struct check_journal *journal; /* NULL: nothing is kept for a next check */
    bool full;                     /* nothing more can be kept */
    uint64_t resumed_points;

    struct id point;      /* that is being checked */
    uint64_t point_count; /* its findings */
    enum err_code worst;  /* of these */
};

static void verifying_deinit(struct verifying *verifying)
{
    check_journal_free(verifying->journal);
    run_findings_free(verifying->sealed);
}
DEFINE_AUTO_IN_PLACE(verifying, struct verifying, verifying_deinit)

/* --- what is found --- */

static void note(struct verifying *verifying, const char *object, struct span path, const struct err *what)
{
    const struct check_finding finding = {.code = what->code,
                                          .object = object,
                                          .text = what->text,
                                          .points = &verifying->point,
                                          .point_count = 1};
    verifying->point_count++;
    if (check_gravity(what->code) > check_gravity(verifying->worst)) verifying->worst = what->code;
    run_findings_add_to(verifying->sealed, &finding, path);
}

static void on_chunk(void *arg, const struct err *what)
{
    note(arg, "chunk", span_of(NULL, 0), what);
}

static void on_file(void *arg, struct span path, const struct err *what)
{
    note(arg, "file", path, what);
}

/* Without names: that the point is not whole. */
static void tell_point(struct verifying *verifying)
{
    char object[OBJECT_LEN] = "points/", text[96];
    if (verifying->point_count == 0) return;
    hex_encode(verifying->point.bytes, ID_LEN, object + sizeof("points/") - 1);
    (void)snprintf(text, sizeof(text), "chunks or files of it that are not as they were backed up: %" PRIu64,
                   verifying->point_count);
    const struct check_finding finding = {.code = verifying->worst,
                                          .object = object,
                                          .text = text,
                                          .points = &verifying->point,
                                          .point_count = 1};
    run_findings_add(verifying->run->findings, &finding);
}

/* --- what an interrupted check leaves to the next one --- */

/* The check goes on without: it costs the next one some reading. */
static void do_without(struct verifying *verifying, struct err *why)
{
    (void)err_wrap(why, "should this check be interrupted, the next one repeats more of it");
    run_note(verifying->run, why->text);
}

static bool open_journal(struct verifying *verifying, struct err *err)
{
    const struct run *run = verifying->run;
    const struct point *point = verifying->recovery->point;
    const struct check_subject subject = {.repository = run->repository->id,
                                          .key = point->key_id,
                                          .domain = point->domain_id,
                                          .level = (uint32_t)verifying->plan->level};
    AUTO(free) char *directory = xasprintf("%s/verified", run->environment.state_dir);
    AUTO(secret) struct secret *seed = sign_pair_seed(run->environment.self->sign);
    return check_journal_open(directory, seed->data, &subject,
                              verifying->plan->afresh ? CHECK_EARLIER_DROP : CHECK_EARLIER_TAKE,
                              clock_real_ns(), &verifying->journal, err);
}

static void begin_journal(struct verifying *verifying)
{
    struct err err = {0};
    if (!open_journal(verifying, &err))
        do_without(verifying, &err);
    else if (check_journal_was_damaged(verifying->journal))
        run_note(verifying->run, "what an interrupted check left was cut or changed: from there on all is "
                                 "looked at again");
}

static void keep(struct verifying *verifying, const struct hash *ids, size_t count)
{
    struct err err = {0};
    if (!verifying->journal || verifying->full) return;
    if (check_journal_add(verifying->journal, ids, count, clock_real_ns(), &err)) return;
    verifying->full = true;
    do_without(verifying, &err);
}

static bool on_known(void *arg, const struct hash *id)
{
    const struct verifying *verifying = arg;
    return verifying->journal && check_journal_has(verifying->journal, id);
}

static void on_sound(void *arg, const struct hash *ids, size_t count)
{
    keep(arg, ids, count);
}

/* --- progress --- */

static void show(struct verifying *verifying, uint64_t bytes)
{
    atomic_fetch_add(&verifying->run->restore.content_bytes, bytes - verifying->shown_bytes);
    verifying->shown_bytes = bytes;
}

static void on_frames(void *arg, uint64_t frames, uint64_t bytes)
{
    show(arg, bytes);
}

static void on_files(void *arg, uint64_t files, uint64_t bytes)
{
    struct verifying *verifying = arg;
    atomic_store(&verifying->run->restore.files, files);
    show(arg, bytes);
}

/* --- one point --- */

static bool put_together(struct verifying *verifying, const struct hash *root, struct err *err)
{
    const struct check_restore_sink sink = {.finding = on_file,
                                            .progress = on_files,
                                            .arg = verifying,
                                            .pace = &verifying->pace,
                                            .cancelled = &verifying->run->cancelled};
    struct recovery *recovery = verifying->recovery;
    verifying->shown_bytes = verifying->restored.bytes;
    return check_restore_point(recovery->opener, &recovery->inlet, root, &sink, &verifying->restored, err);
}

static bool check_point(struct verifying *verifying, const Sealift__VerifyPoint *point,
                        struct checked_set *checked, struct err *err)
{
    const struct check_decrypt_sink sink = {.finding = on_chunk,
                                            .progress = on_frames,
                                            .known = on_known,
                                            .sound = on_sound,
                                            .arg = verifying,
                                            .pace = &verifying->pace};
    struct recovery *recovery = verifying->recovery;
    struct hash root = stored_hash(&point->root);
    bool whole = verifying->plan->level == SEALIFT__VERIFY_LEVEL__VERIFY_RESTORE;
    verifying->point = stored_id(&point->point);
    verifying->point_count = 0;
    verifying->worst = ERR_NONE;
    verifying->shown_bytes = verifying->opened.bytes;
    if (whole && on_known(verifying, &root)) {
        verifying->resumed_points++;
        return true;
    }
    if (!check_decrypt_point(recovery->opener, &recovery->inlet, &root,
                             whole ? CHECK_DECRYPT_NODES : CHECK_DECRYPT_ALL, 0, checked, &sink,
                             &verifying->opened, err))
        return false;
    bool names = verifying->plan->names && verifying->point_count > 0;
    if ((whole || names) && !put_together(verifying, &root, err)) return false;
    tell_point(verifying);
    if (whole && verifying->point_count == 0) keep(verifying, &root, 1);
    return true;
}

static bool check_points(struct verifying *verifying, struct err *err)
{
    AUTO(checked_set) struct checked_set *checked = checked_set_new();
    for (size_t i = 0; i < verifying->plan->n_verify; i++)
        if (!run_going_on(verifying->run, err) ||
            !check_point(verifying, verifying->plan->verify[i], checked, err))
            return false;
    return true;
}

/* --- the answer --- */

static void report(const struct verifying *verifying, struct run_findings *findings)
{
    Sealift__CheckReport *report = run_findings_report(findings);
    bool whole = verifying->plan->level == SEALIFT__VERIFY_LEVEL__VERIFY_RESTORE;
    report->level =
        whole ? SEALIFT__CHECK_LEVEL__CHECK_LEVEL_RESTORE : SEALIFT__CHECK_LEVEL__CHECK_LEVEL_DECRYPT;
    report->points = verifying->plan->n_verify;
    report->nodes = verifying->opened.nodes;
    report->chunks = verifying->opened.chunks;
    report->files = verifying->restored.files;
    report->content_bytes = verifying->restored.bytes;
    report->resumed_chunks = verifying->opened.known;
    report->resumed_points = verifying->resumed_points;
    report->links_unchecked = verifying->restored.links_unchecked;
    report->bytes_read = verifying->opened.bytes + verifying->restored.bytes;
}

static bool answer(struct verifying *verifying, const Sealift__Member *operator, struct err * err)
{
    struct run_answers answers = {.run = verifying->run, .operator= operator};
    Sealift__Warnings found = SEALIFT__WARNINGS__INIT;
    AUTO(buf) struct buf verdict = {0};
    report(verifying, verifying->sealed);
    report(verifying, verifying->run->findings);
    run_findings_fill(verifying->sealed, &found);
    /* a box says nothing of who made it, and an answer that all is well is worth forging */
    buf_put(&verdict, verifying->run->subject.bytes, ID_LEN);
    payload_warnings_encode(&found, &verdict);
    stored_sign(verifying->run->environment.self->sign, "verdict", buf_span(&verdict), &answers.pending);
    bool sent = run_answers_send(&answers, RUN_ANSWER_LAST, err);
    buf_deinit(&answers.pending);
    return sent;
}

static bool plan_check(const Sealift__BrowsePlan *plan, struct err *err)
{
    if (plan->level != SEALIFT__VERIFY_LEVEL__VERIFY_DECRYPT &&
        plan->level != SEALIFT__VERIFY_LEVEL__VERIFY_RESTORE)
        return err_set(err, ERR_PROTOCOL, "the order's plan asks for a check of an unknown level");
    if (plan->n_verify == 0 || plan->n_verify > RUN_VERIFY_POINTS_MAX)
        return err_set(err, ERR_LIMIT, "a check is of 1 to %d points, not of %zu", RUN_VERIFY_POINTS_MAX,
                       plan->n_verify);
    for (size_t i = 0; i < plan->n_verify; i++)
        if (plan->verify[i]->point.len != ID_LEN || plan->verify[i]->root.len != HASH_LEN)
            return err_set(err, ERR_PROTOCOL, "the order's plan names a point without its id and root");
    return true;
}

bool run_verify(struct run *run, struct recovery *recovery, const Sealift__BrowsePlan *plan,
                const Sealift__Member *operator, struct err * err)
{
    AUTO(verifying)
    struct verifying verifying = {
        .run = run, .recovery = recovery, .plan = plan, .sealed = run_findings_new()};
    if (!plan_check(plan, err)) return false;
    run->findings = run_findings_new();
    pace_init(&verifying.pace, run->environment.check_bytes_per_s, &run->cancelled);
    begin_journal(&verifying);
    if (check_points(&verifying, err)) {
        if (!answer(&verifying, operator, err)) return false;
        if (verifying.journal) check_journal_end(verifying.journal);
        return true;
    }
    struct err cancelled;
    if (!run_going_on(run, &cancelled)) *err = cancelled;
    return false;
}
