#include "transporter/session/inlet_question.h"

#include "common/base/alloc.h"
#include "common/crypto/frame.h"
#include "common/crypto/record.h"
#include "common/wire/stored.h"
#include "transporter/pipeline/opener.h"
#include "transporter/repository/rewraps.h"
#include "transporter/session/asked.h"

#include <string.h>

static int by_hash(const void *a, const void *b)
{
    return hash_cmp(*(const struct hash *const *)a, *(const struct hash *const *)b);
}

void inlet_question_init(struct inlet_question *question, const struct hash *ids, size_t count,
                         struct buf *file)
{
    *question = (struct inlet_question){.file = file, .count = count};
    question->sorted = xcalloc(count + 1, sizeof(*question->sorted));
    question->told = xcalloc(count + 1, 1);
    for (size_t i = 0; i < count; i++)
        question->sorted[i] = &ids[i];
    qsort(question->sorted, count, sizeof(*question->sorted), by_hash);
}

void inlet_question_deinit(struct inlet_question *question)
{
    buf_deinit(&question->rewraps);
    free(question->sorted);
    free(question->told);
}

uint32_t inlet_question_encode(struct inlet_question *question, struct buf *out)
{
    /* ids name their frames without a type */
    const enum frame_type type = question->file ? (enum frame_type)ASKED_POINT : FRAME_DATA;
    uint32_t count = 0;
    for (size_t i = 0; i < question->count; i++) {
        if (question->told[i]) continue;
        asked_encode(&type, question->sorted[i], 1, out);
        count++;
    }
    buf_clear(&question->rewraps);
    return count;
}

bool inlet_question_is_answered(const struct inlet_question *question)
{
    return question->told_count == question->count;
}

/* The place of an id that was asked for and not told yet; marks it as told. */
static const struct hash *claim(struct inlet_question *question, const struct hash *id, struct err *err)
{
    const struct hash **found =
        bsearch(&id, question->sorted, question->count, sizeof(*question->sorted), by_hash);
    if (!found || question->told[found - question->sorted]) {
        (void)err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
        return NULL;
    }
    question->told[found - question->sorted] = 1;
    question->told_count++;
    return *found;
}

static bool take_frame(struct inlet_question *question, const struct inlet_sink *sink, struct span bytes,
                       struct err *err)
{
    struct frame_view view;
    struct err why = {0};
    if (!frame_parse(bytes, &view, &why)) return err_set(err, ERR_PROTOCOL, "not a frame: %s", why.text);
    const struct hash *id = claim(question, &view.chunk, err);
    return id && sink->frame(sink->arg, id, bytes, err);
}

/* What was told before an envelope is offered with it. */
static bool offer_rewraps(struct inlet_question *question, const struct inlet_sink *sink,
                          struct span envelope, struct err *err)
{
    for (size_t at = 0; sink->opener && at < question->rewraps.len;) {
        struct record_view record;
        struct span rest = span_of(question->rewraps.data + at, question->rewraps.len - at);
        if (!record_parse(rest, &record, err) || !opener_rewrap(sink->opener, envelope, record.payload, err))
            return false;
        at += record.total_len;
    }
    buf_clear(&question->rewraps);
    return true;
}

static bool keep_rewrap(struct inlet_question *question, struct span record, struct err *err)
{
    if (record.len > RECORD_HEADER_LEN + REWRAP_OBJECT_MAX ||
        question->rewraps.len > (size_t)REWRAPS_MOST * (RECORD_HEADER_LEN + REWRAP_OBJECT_MAX))
        return err_set(err, ERR_PROTOCOL, "more rewraps of a seal than it can have");
    buf_put_span(&question->rewraps, record);
    return true;
}

static bool take_records(struct inlet_question *question, const struct inlet_sink *sink, struct span bytes,
                         struct err *err)
{
    for (size_t at = 0; at < bytes.len;) {
        struct record_view record;
        struct err why = {0};
        if (!record_split(span_of(bytes.data + at, bytes.len - at), &record, &why))
            return err_set(err, ERR_PROTOCOL, "not a record: %s", why.text);
        at += record.total_len;
        if (record.kind == RECORD_REWRAP) {
            if (!keep_rewrap(question, span_of(bytes.data + at - record.total_len, record.total_len), err))
                return false;
        } else if (record.kind == RECORD_ENVELOPE) {
            if (!offer_rewraps(question, sink, record.payload, err) ||
                !sink->envelope(sink->arg, record.payload, err))
                return false;
        } else if (record.kind != RECORD_FRAME) {
            return err_set(err, ERR_PROTOCOL, "a record that does not belong into an answer");
        } else if (!take_frame(question, sink, record.payload, err)) {
            return false;
        }
    }
    return true;
}

/* It comes in one piece. */
static bool take_file(struct inlet_question *question, struct span bytes, struct err *err)
{
    if (bytes.len > STORED_MAX_POINT) return err_set(err, ERR_LIMIT, "a point file of %zu bytes", bytes.len);
    if (!claim(question, question->sorted[0], err)) return false;
    buf_put_span(question->file, bytes);
    return true;
}

bool inlet_question_part(struct inlet_question *question, const struct inlet_sink *sink, struct span bytes,
                         struct err *err)
{
    return question->file ? take_file(question, bytes, err) : take_records(question, sink, bytes, err);
}

static bool tell_missing(struct inlet_question *question, const struct inlet_sink *sink,
                         const struct hash *id, const char *text, struct err *err)
{
    struct err why = {0};
    const struct hash *known = claim(question, id, err);
    (void)err_set(&why, ERR_DAMAGED, "%s", text);
    return known && sink->missing(sink->arg, known, &why, err);
}

bool inlet_question_end(struct inlet_question *question, const struct inlet_sink *sink,
                        const struct data_message *message, struct err *err)
{
    AUTO(buf) struct buf ids = {0};
    if (!asked_ids_decode(data_message_payload(message), 0, &ids, err)) return false;
    if (ids.len / HASH_LEN != message->head->fetch_end->missing)
        return err_set(err, ERR_PROTOCOL, "an end of an answer with another count of missing ids");
    for (size_t at = 0; at < ids.len; at += HASH_LEN) {
        struct hash id;
        memcpy(id.bytes, ids.data + at, HASH_LEN);
        if (!tell_missing(question, sink, &id, "the repository has no readable copy of the chunk", err))
            return false;
    }
    for (size_t i = 0; i < question->count; i++)
        if (!question->told[i] && !tell_missing(question, sink, question->sorted[i],
                                                "the repository side told nothing about the chunk", err))
            return false;
    return true;
}
