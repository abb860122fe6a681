#include "crash_plan.h"

#include "common/base/alloc.h"
#include "transporter/repository/check.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

/* The marks of a plan. */
static unsigned acknowledged_mark(const struct plan *plan)
{
    return 2 * plan->number;
}

static unsigned committed_mark(const struct plan *plan)
{
    return 2 * plan->number + 1;
}

static bool is_committed(const struct plan *plan)
{
    return plan->committed || fault_disk_marked(committed_mark(plan)) > 0;
}

static uint64_t acknowledged(const struct plan *plan)
{
    uint64_t marked = fault_disk_marked(acknowledged_mark(plan));
    return marked > plan->acknowledged ? marked : plan->acknowledged;
}

void plan_remember(struct plan *plan)
{
    plan->committed = is_committed(plan);
    plan->acknowledged = acknowledged(plan);
}

/* --- making one --- */

static void end_batch(struct plan *plan, size_t at, enum pack_class class_)
{
    if (plan->kind == INGEST_COPY)
        record_append(&plan->batches[at], RECORD_ENVELOPE, span_of(plan->writer->envelope, ENVELOPE_LEN));
    (void)writer_batch(plan->writer, class_, &plan->batches[at]);
}

struct plan *plan_new(unsigned number, enum ingest_kind kind, enum plan_size size, const struct plan *basis)
{
    struct plan *plan = xcalloc(1, sizeof(*plan));
    uint32_t content = 1000 * (number + 1);
    struct hash datas[PLAN_MOST_BATCHES * PLAN_FRAMES];
    size_t count = 0;
    size_t last = size == PLAN_LARGE ? PLAN_MOST_BATCHES - 1 : 2;
    plan->count = last + 1;
    plan->number = number;
    plan->kind = kind;
    plan->writer = writer_new(REPOSITORY_ENCRYPTED, (uint8_t)(10 + number));
    for (size_t batch = 0; batch < last; batch++) {
        for (int i = 0; i < PLAN_FRAMES; i++)
            datas[count++] = plan->ids[batch][i] =
                writer_data(plan->writer, content++, size == PLAN_LARGE ? 900000 : 700);
        end_batch(plan, batch, PACK_DATA);
    }
    if (basis) datas[count++] = basis->ids[0][0];
    plan->ids[last][0] = writer_node(plan->writer, content++, NULL, 0, datas, count);
    plan->root = plan->ids[last][1] = writer_node(plan->writer, content, &plan->ids[last][0], 1, NULL, 0);
    end_batch(plan, last, PACK_META);
    plan->point = id_of((uint8_t)(10 + number));
    writer_point(plan->writer, &plan->point, &plan->root, &plan->file);
    return plan;
}

void plan_free(struct plan *plan)
{
    if (!plan) return;
    for (size_t i = 0; i < plan->count; i++)
        buf_deinit(&plan->batches[i]);
    buf_deinit(&plan->file);
    writer_free(plan->writer);
    free(plan);
}

/* --- running one --- */

static void note_acknowledged(void *arg, uint64_t number)
{
    const struct plan *plan = arg;
    fault_disk_mark(acknowledged_mark(plan), number);
}

static bool open_session(const struct plan *plan, struct repository *repository, struct ingest **out,
                         struct err *err)
{
    struct ingest_options options = {.session = plan->point,
                                     .kind = plan->kind,
                                     .acknowledged = note_acknowledged,
                                     .arg = (void *)(uintptr_t)plan,
                                     .min_free_bytes = 1};
    if (plan->kind == INGEST_WRITER) {
        options.seal = plan->writer->seal;
        options.domain = plan->writer->domain;
        memcpy(options.writer, plan->writer->pair->pk, SIGN_PK_LEN);
    }
    return ingest_open(repository, &options, out, err);
}

static bool commit(const struct plan *plan, struct ingest *ingest, struct err *err)
{
    struct ingest_receipt receipt;
    AUTO(buf) struct buf missing = {0};
    if (!ingest_commit(ingest, &plan->point, &plan->root, buf_span(&plan->file), &receipt, &missing, err))
        return false;
    fault_disk_mark(committed_mark(plan), receipt.number);
    return true;
}

bool plan_run(const struct plan *plan, struct repository *repository, struct err *err)
{
    AUTO(ingest) struct ingest *ingest = NULL;
    if (!open_session(plan, repository, &ingest, err)) return false;
    if (plan->kind == INGEST_WRITER &&
        !ingest_envelope(ingest, span_of(plan->writer->envelope, ENVELOPE_LEN), err))
        return false;
    uint64_t from = ingest_acknowledged(ingest);
    if (from > 0) note_acknowledged((void *)(uintptr_t)plan, from); /* said, so it must hold */
    for (uint64_t number = from + 1; number <= plan->count; number++)
        if (!ingest_batch(ingest, number, buf_span(&plan->batches[number - 1]), err)) return false;
    return commit(plan, ingest, err);
}

/* --- what must hold --- */

static void tell_finding(void *arg, const struct check_finding *finding)
{
    if (finding->code != ERR_NONE)
        cr_log_warn("%s: %s: %s", (const char *)arg, finding->object, finding->text);
}

static void check_is_clean(struct repository *repository, const char *what)
{
    struct err err = {0};
    struct check_result result = {0};
    struct check_sink sink = {.finding = tell_finding, .arg = (void *)(uintptr_t)what};
    cr_assert(
        repository_check(repository, &(struct check_options){.level = CHECK_HASH}, &sink, &result, &err),
        "%s: %s", what, err.text);
    cr_assert_eq(result.findings, 0, "%s: a check found %" PRIu64 " faults", what, result.findings);
}

static bool is_listed(struct repository *repository, const struct plan *plan, const char *what)
{
    struct err err = {0};
    AUTO(buf) struct buf file = {0};
    if (repository_point_read(repository, &plan->point, &file, &err)) {
        cr_assert(span_eq(buf_span(&file), buf_span(&plan->file)), "%s: point %u", what, plan->number);
        return true;
    }
    cr_assert_eq(err.code, ERR_NOT_FOUND, "%s: point %u: %s", what, plan->number, err.text);
    return false;
}

static void acknowledged_is_there(struct repository *repository, const struct plan *plan, const char *what)
{
    struct err err = {0};
    uint64_t said = acknowledged(plan);
    AUTO(ingest) struct ingest *ingest = NULL;
    cr_assert(open_session(plan, repository, &ingest, &err), "%s: %s", what, err.text);
    if (plan->kind == INGEST_WRITER)
        cr_assert_geq(ingest_acknowledged(ingest), said,
                      "%s: %" PRIu64 " batches of run %u were acknowledged", what, said, plan->number);
    for (uint64_t i = 0; i < said; i++) {
        uint8_t have[PLAN_FRAMES] = {0};
        cr_assert(ingest_has(ingest, plan->ids[i], PLAN_FRAMES, have, &err), "%s: %s", what, err.text);
        cr_assert(have[0] && have[1], "%s: chunks of batch %" PRIu64 " of run %u", what, i + 1, plan->number);
    }
}

static void promises_hold(struct repository *repository, const struct plan *plan, const char *what)
{
    bool listed = is_listed(repository, plan, what);
    cr_assert(listed || !is_committed(plan), "%s: point %u was committed, and is gone", what, plan->number);
    if (listed) cr_assert(restores(repository, &plan->root, NULL), "%s: point %u", what, plan->number);
    acknowledged_is_there(repository, plan, what);
}

static void reopen(struct place *place, const char *what)
{
    struct err err = {0};
    place_close(place);
    cr_assert(repository_try_open(place, &place->repository, &err), "%s: %s", what, err.text);
}

void plans_hold(struct place *place, struct plan *const plans[], size_t count, const char *what)
{
    struct err err = {0};
    reopen(place, what);
    for (size_t i = 0; i < count; i++)
        promises_hold(place->repository, plans[i], what);
    check_is_clean(place->repository, what);
    for (size_t i = 0; i < count; i++)
        cr_assert(plan_run(plans[i], place->repository, &err), "%s: run %u again: %s", what, plans[i]->number,
                  err.text);
    reopen(place, what);
    for (size_t i = 0; i < count; i++)
        cr_assert(is_listed(place->repository, plans[i], what) &&
                      restores(place->repository, &plans[i]->root, NULL),
                  "%s: point %u after running it again", what, plans[i]->number);
    place_close(place);
}
