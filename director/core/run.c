#include "director/core/run.h"

#include "common/wire/lent.h"

#include <stdio.h>
#include <string.h>

bool run_is_local(const struct run *run)
{
    return memcmp(run->source.host, run->target.host, SIGN_PK_LEN) == 0;
}

struct run_side *run_side_of(struct run *run, const uint8_t host[SIGN_PK_LEN], Sealift__RunSide side)
{
    struct run_side *found = NULL;
    if (run_is_local(run))
        found = side == SEALIFT__RUN_SIDE__SIDE_BOTH ? &run->target : NULL;
    else if (side == SEALIFT__RUN_SIDE__SIDE_SOURCE)
        found = &run->source;
    else if (side == SEALIFT__RUN_SIDE__SIDE_TARGET)
        found = &run->target;
    return found && memcmp(found->host, host, SIGN_PK_LEN) == 0 ? found : NULL;
}

bool run_side_at_work(const struct run_side *side)
{
    return side->state == SIDE_ASSIGNED || side->state == SIDE_LIVE;
}

bool run_side_done(const struct run_side *side)
{
    return side->state == SIDE_ENDED || side->state == SIDE_LOST;
}

bool run_side_ok(const struct run_side *side)
{
    return side->state == SIDE_ENDED && side->code <= 1;
}

void run_text_set(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);
    if (len >= size) {
        len = size - 1;
        while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(out, text, len);
    out[len] = '\0';
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void merge_counters(const Sealift__Counters *a, const Sealift__Counters *b, Sealift__Counters *out)
{
    sealift__counters__init(out);
    out->entries = greater(a->entries, b->entries);
    out->files = greater(a->files, b->files);
    out->content_bytes = greater(a->content_bytes, b->content_bytes);
    out->read_bytes = greater(a->read_bytes, b->read_bytes);
    out->deduplicated_bytes = greater(a->deduplicated_bytes, b->deduplicated_bytes);
    out->sent_bytes = greater(a->sent_bytes, b->sent_bytes);
    out->stored_bytes = greater(a->stored_bytes, b->stored_bytes);
    out->warnings = greater(a->warnings, b->warnings);
    out->total_bytes = greater(a->total_bytes, b->total_bytes);
    out->skipped = greater(a->skipped, b->skipped);
    out->failed = greater(a->failed, b->failed);
}

bool run_work_same(const struct run_work *a, const struct run_work *b)
{
    return a->kind == b->kind && id_eq(&a->about, &b->about);
}

bool run_work_take(const Sealift__Maintenance *message, struct run_work *out, struct err *err)
{
    struct run_work work = {0};
    if (!message) return err_set(err, ERR_USAGE, "a maintenance run without its work");
    work.kind = message->kind;
    work.level = message->level;
    work.sample_ppm = message->sample_ppm;
    work.dry_run = message->dry_run != 0;
    if (message->about.len == ID_LEN) memcpy(work.about.bytes, message->about.data, ID_LEN);
    bool check = work.kind == SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK;
    bool prune = work.kind == SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE;
    if (!check && !prune && work.kind != SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP &&
        work.kind != SEALIFT__MAINTENANCE_KIND__MAINTENANCE_REINDEX)
        return err_set(err, ERR_USAGE, "a maintenance run of an unknown kind");
    if (check && work.level != SEALIFT__CHECK_LEVEL__CHECK_LEVEL_PRESENCE &&
        work.level != SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH)
        return err_set(err, ERR_USAGE, "a check of an unknown level");
    if (work.sample_ppm > RUN_SAMPLE_ALL) return err_set(err, ERR_USAGE, "a sample of more than everything");
    if (prune && id_is_zero(&work.about)) return err_set(err, ERR_USAGE, "a prune without its job");
    *out = work;
    return true;
}

void run_work_message(const struct run_work *work, Sealift__Maintenance *out)
{
    sealift__maintenance__init(out);
    out->kind = work->kind;
    out->level = work->level;
    out->sample_ppm = work->sample_ppm;
    out->dry_run = work->dry_run;
    if (!id_is_zero(&work->about)) out->about = lent_id(&work->about);
}

/* Who dials knows more than who waits. */
static void tell_waits(const struct run *run, char out[static RUN_TEXT_MAX + 1])
{
    bool reverse = run->way.connection == SEALIFT__CONNECTION__CONNECTION_REVERSE;
    const struct run_side *side = reverse ? &run->target : &run->source;
    if (!side->waits[0]) side = reverse ? &run->source : &run->target;
    out[0] = '\0';
    if (side->waits[0] && run_side_at_work(side))
        (void)snprintf(out, RUN_TEXT_MAX + 1, "%s: %s", side->name, side->waits);
}

void run_view_fill(const struct run *run, struct run_view *out)
{
    Sealift__RunRow *row = &out->row;
    merge_counters(&run->source.counters, &run->target.counters, &out->counters);
    sealift__run_row__init(row);
    row->run = lent_id(&run->id);
    row->job = lent_id(&run->subject_id);
    row->attempt = run->attempt;
    row->state = run->state;
    row->started_ns = run->started_ns;
    row->ended_ns = run->ended_ns;
    row->code = run->code;
    tell_waits(run, out->waits);
    bool waits = run->state == SEALIFT__RUN_STATE__RUN_RUNNING && !run->text[0];
    row->text = lent_text(waits ? out->waits : run->text);
    row->counters = &out->counters;
    if (!id_is_zero(&run->point)) row->point = lent_id(&run->point);
    row->subject = run->subject;
    if (!id_is_zero(&run->repository)) row->repository = lent_id(&run->repository);
    if (run->kind != RUN_MAINTENANCE) return;
    run_work_message(&run->work, &out->work);
    row->work = &out->work;
}
