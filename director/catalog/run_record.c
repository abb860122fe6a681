#include "director/catalog/run_record.h"

#include <string.h>

enum { RECORD_VERSION = 3, RECORD_WITHOUT_WAY = 2, RECORD_WITHOUT_WORK = 1, COUNTERS = 11 };

static void put_text(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    buf_put_u16(out, (uint16_t)len);
    buf_put(out, text, len);
}

static void take_text(struct reader *reader, char *out, size_t size)
{
    size_t len = reader_u16(reader);
    if (len >= size) reader->failed = true;
    struct span text = reader_bytes(reader, reader_ok(reader) ? len : 0);
    memcpy(out, text.len > 0 ? text.data : (const uint8_t *)"", text.len);
    out[text.len] = '\0';
}

/* The fields of Counters in their order. */
static void list_counters(Sealift__Counters *counters, uint64_t *out[COUNTERS])
{
    uint64_t *const all[COUNTERS] = {
        &counters->entries,
        &counters->files,
        &counters->content_bytes,
        &counters->read_bytes,
        &counters->deduplicated_bytes,
        &counters->sent_bytes,
        &counters->stored_bytes,
        &counters->warnings,
        &counters->total_bytes,
        &counters->skipped,
        &counters->failed,
    };
    memcpy(out, all, sizeof(all));
}

static void put_side(struct buf *out, const struct run_side *side)
{
    buf_put(out, side->host, SIGN_PK_LEN);
    put_text(out, side->name);
    buf_put_u8(out, (uint8_t)side->state);
    buf_put(out, side->incarnation.bytes, ID_LEN);
    buf_put_u32(out, side->code);
    put_text(out, side->text);
    Sealift__Counters copy = side->counters;
    uint64_t *counters[COUNTERS];
    list_counters(&copy, counters);
    for (size_t i = 0; i < COUNTERS; i++)
        buf_put_u64(out, *counters[i]);
}

static void take_side(struct reader *reader, struct run_side *out)
{
    reader_copy(reader, out->host, SIGN_PK_LEN);
    take_text(reader, out->name, sizeof(out->name));
    uint8_t state = reader_u8(reader);
    if (state > SIDE_LOST) reader->failed = true;
    out->state = (enum side_state)state;
    reader_copy(reader, out->incarnation.bytes, ID_LEN);
    out->code = reader_u32(reader);
    take_text(reader, out->text, sizeof(out->text));
    uint64_t *counters[COUNTERS];
    list_counters(&out->counters, counters);
    for (size_t i = 0; i < COUNTERS; i++)
        *counters[i] = reader_u64(reader);
}

static void put_work(struct buf *out, const struct run_work *work)
{
    buf_put_u8(out, (uint8_t)work->kind);
    buf_put_u8(out, (uint8_t)work->level);
    buf_put_u32(out, work->sample_ppm);
    buf_put(out, work->about.bytes, ID_LEN);
    buf_put_u8(out, work->dry_run);
}

static void take_work(struct reader *reader, struct run_work *out)
{
    uint8_t kind = reader_u8(reader), level = reader_u8(reader);
    if (kind > SEALIFT__MAINTENANCE_KIND__MAINTENANCE_REINDEX ||
        level > SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH)
        reader->failed = true;
    out->kind = (Sealift__MaintenanceKind)kind;
    out->level = (Sealift__CheckLevel)level;
    out->sample_ppm = reader_u32(reader);
    reader_copy(reader, out->about.bytes, ID_LEN);
    out->dry_run = reader_u8(reader) != 0;
}

static void put_wish(struct buf *out, const struct way_wish *wish)
{
    buf_put_u8(out, (uint8_t)wish->connection);
    put_text(out, wish->proxy);
}

static void take_wish(struct reader *reader, struct way_wish *out)
{
    uint8_t connection = reader_u8(reader);
    if (connection > SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS) reader->failed = true;
    out->connection = (Sealift__Connection)connection;
    take_text(reader, out->proxy, sizeof(out->proxy));
}

static void put_way(struct buf *out, const struct run *run)
{
    put_wish(out, &run->own_way);
    put_wish(out, &run->way);
    buf_put(out, run->rendezvous, WAY_NAME_LEN);
    buf_put_u8(out, (uint8_t)run->priority);
}

static void take_way(struct reader *reader, struct run *out)
{
    take_wish(reader, &out->own_way);
    take_wish(reader, &out->way);
    reader_copy(reader, out->rendezvous, WAY_NAME_LEN);
    out->priority = reader_u8(reader);
    if (out->priority > RUN_PRIORITY_LAST) reader->failed = true;
}

/* Of a record from before there were ways and priorities: every source dialled its target. */
static void old_way(struct run *run)
{
    run->priority = RUN_PRIORITY_USUAL;
    if (!run_is_local(run)) run->way.connection = SEALIFT__CONNECTION__CONNECTION_DIRECT;
}

enum { FLAG_STOPPING = 1, FLAG_IN_LOG = 2 };

void run_record_encode(const struct run *run, struct buf *out)
{
    buf_put_u8(out, RECORD_VERSION);
    buf_put(out, run->id.bytes, ID_LEN);
    buf_put_u8(out, (uint8_t)run->subject);
    buf_put(out, run->subject_id.bytes, ID_LEN);
    buf_put_u64(out, run->subject_version);
    buf_put_u8(out, (uint8_t)run->kind);
    buf_put(out, run->repository.bytes, ID_LEN);
    put_side(out, &run->source);
    put_side(out, &run->target);
    buf_put_u8(out, (uint8_t)run->state);
    buf_put_u32(out, run->attempt);
    buf_put(out, run->ticket, RUN_TICKET_LEN);
    put_text(out, run->endpoint);
    buf_put_u8(out, (uint8_t)((run->stopping ? FLAG_STOPPING : 0) | (run->in_log ? FLAG_IN_LOG : 0)));
    buf_put_u64(out, run->started_ns);
    buf_put_u64(out, run->ended_ns);
    buf_put_u32(out, run->code);
    put_text(out, run->text);
    buf_put(out, run->point.bytes, ID_LEN);
    put_work(out, &run->work);
    put_way(out, run);
}

static void take_subject(struct reader *reader, struct run *out)
{
    reader_copy(reader, out->id.bytes, ID_LEN);
    uint8_t subject = reader_u8(reader);
    reader_copy(reader, out->subject_id.bytes, ID_LEN);
    out->subject_version = reader_u64(reader);
    uint8_t kind = reader_u8(reader);
    reader_copy(reader, out->repository.bytes, ID_LEN);
    if (subject > SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER || kind < RUN_BACKUP || kind > RUN_WRAP)
        reader->failed = true;
    out->subject = (Sealift__StatementType)subject;
    out->kind = (enum run_kind)kind;
}

static void take_course(struct reader *reader, struct run *out)
{
    uint8_t state = reader_u8(reader);
    if (state > SEALIFT__RUN_STATE__RUN_UNKNOWN) reader->failed = true;
    out->state = (Sealift__RunState)state;
    out->attempt = reader_u32(reader);
    reader_copy(reader, out->ticket, RUN_TICKET_LEN);
    take_text(reader, out->endpoint, sizeof(out->endpoint));
    uint8_t flags = reader_u8(reader);
    out->stopping = flags & FLAG_STOPPING;
    out->in_log = flags & FLAG_IN_LOG;
    out->started_ns = reader_u64(reader);
    out->ended_ns = reader_u64(reader);
    out->code = reader_u32(reader);
    take_text(reader, out->text, sizeof(out->text));
    reader_copy(reader, out->point.bytes, ID_LEN);
}

bool run_record_decode(struct span bytes, struct run *out, struct err *err)
{
    struct reader reader = reader_of(bytes);
    uint8_t version = reader_u8(&reader);
    if (reader_ok(&reader) && (version < RECORD_WITHOUT_WORK || version > RECORD_VERSION))
        return err_set(err, ERR_VERSION, "a run's record has version %u, this program reads version %u",
                       version, RECORD_VERSION);
    struct run run = {0};
    take_subject(&reader, &run);
    take_side(&reader, &run.source);
    take_side(&reader, &run.target);
    take_course(&reader, &run);
    if (version != RECORD_WITHOUT_WORK) take_work(&reader, &run.work);
    if (version > RECORD_WITHOUT_WAY)
        take_way(&reader, &run);
    else
        old_way(&run);
    if (!reader_done(&reader)) return err_set(err, ERR_DAMAGED, "a run's record is damaged");
    *out = run;
    return true;
}
