#include "director/core/run.h"

#include "common/wire/lent.h"

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

void run_row(const struct run *run, Sealift__Counters *counters, Sealift__RunRow *out)
{
    merge_counters(&run->source.counters, &run->target.counters, counters);
    sealift__run_row__init(out);
    out->run = lent_id(&run->id);
    out->job = lent_id(&run->subject_id);
    out->attempt = run->attempt;
    out->state = run->state;
    out->started_ns = run->started_ns;
    out->ended_ns = run->ended_ns;
    out->code = run->code;
    out->text = lent_text(run->text);
    out->counters = counters;
    if (!id_is_zero(&run->point)) out->point = lent_id(&run->point);
    out->subject = run->subject;
}
