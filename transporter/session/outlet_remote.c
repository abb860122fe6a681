#include "transporter/session/outlet_remote.h"

#include "common/base/text.h"
#include "common/wire/lent.h"
#include "common/wire/stored.h"
#include "transporter/session/asked.h"

#include <string.h>

static bool remote_ask(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                       uint8_t *have, struct err *err)
{
    AUTO(buf) struct buf payload = {0};
    AUTO(data_message) struct data_message answer = {0};
    if (count > ASKED_MAX)
        return err_set(err, ERR_LIMIT, "%zu ids in one question, at most %d are allowed", count, ASKED_MAX);
    asked_encode(types, ids, count, &payload);
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Ask ask = SEALIFT__ASK__INIT;
    ask.count = (uint32_t)count;
    head.kind_case = SEALIFT__HEAD__KIND_ASK;
    head.ask = &ask;
    if (!dialler_request(self, &head, buf_span(&payload), &answer, err)) return false;
    struct span flags = data_message_payload(&answer);
    for (size_t i = 0; i < count; i++)
        if (flags.data[i] > ((int)types[i] == ASKED_POINT ? ASKED_REMOVED : ASKED_HAS))
            return err_set(err, ERR_PROTOCOL, "an answer that is neither yes nor no");
    memcpy(have, flags.data, count);
    return true;
}

static bool remote_envelope(void *self, struct span envelope, struct err *err)
{
    return dialler_envelope(self, envelope, err);
}

static bool remote_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    return dialler_batch(self, number, batch, err);
}

static bool take_missing(const struct data_message *answer, struct buf *missing, struct err *err)
{
    if (!asked_ids_decode(data_message_payload(answer), 1, missing, err)) return false;
    size_t count = data_message_payload(answer).len / HASH_LEN;
    return err_set(err, ERR_NOT_FOUND, "the repository lacks %zu %s that the point refers to", count,
                   plural(count, "chunk", "chunks"));
}

/* Behind all batches: the target takes messages in their order. */
static bool remote_commit(void *self, const struct commit_request *request, struct commit_receipt *receipt,
                          struct buf *missing, struct err *err)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Commit commit = SEALIFT__COMMIT__INIT;
    Sealift__PointCounts counts = SEALIFT__POINT_COUNTS__INIT;
    AUTO(data_message) struct data_message answer = {0};
    counts.entries = request->counts.entries;
    counts.files = request->counts.files;
    counts.directories = request->counts.directories;
    counts.content_bytes = request->counts.content_bytes;
    counts.warnings = request->counts.warnings;
    commit.point = stored_bytes(span_of(request->point.bytes, ID_LEN));
    commit.root = stored_bytes(span_of(request->root.bytes, HASH_LEN));
    commit.counts = &counts;
    commit.started_ns = request->started_ns;
    if (request->object > OBJECT_TREE) commit.object = lent_text(object_kind_name(request->object));
    commit.crash_consistent = request->crash_consistent;
    head.kind_case = SEALIFT__HEAD__KIND_COMMIT;
    head.commit = &commit;
    if (request->point_file.len > head_payload_limit(head.kind_case))
        return err_set(err, ERR_LIMIT, "a point file of %zu bytes", request->point_file.len);
    if (!dialler_request(self, &head, request->point_file, &answer, err)) return false;
    if (answer.head->kind_case == SEALIFT__HEAD__KIND_MISSING) return take_missing(&answer, missing, err);
    const Sealift__Receipt *got = answer.head->receipt;
    *receipt = (struct commit_receipt){
        .number = got->number,
        .log_hash = stored_hash(&got->log_hash),
        .time_ns = got->time_ns,
        .stored_bytes = got->stored_bytes,
    };
    return true;
}

static bool keep(void *self, struct span payload, uint32_t rewraps, bool *kept, struct err *err)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__KeepUnlock body = SEALIFT__KEEP_UNLOCK__INIT;
    AUTO(data_message) struct data_message answer = {0};
    body.rewraps = rewraps;
    head.kind_case = SEALIFT__HEAD__KIND_KEEP_UNLOCK;
    head.keep_unlock = &body;
    if (!dialler_request(self, &head, payload, &answer, err)) return false;
    *kept = data_message_payload(&answer).data[0] == ASKED_HAS;
    return true;
}

static bool remote_keep_unlock(void *self, struct span order, bool *kept, struct err *err)
{
    return keep(self, order, 0, kept, err);
}

static bool remote_keep_rewraps(void *self, struct span records, uint32_t count, bool *kept, struct err *err)
{
    return keep(self, records, count, kept, err);
}

static void remote_cancel(void *self)
{
    struct err err = {0};
    (void)err_set(&err, ERR_CANCELLED, "cancelled");
    dialler_cancel(self, &err);
}

struct outlet outlet_remote(struct dialler *dialler)
{
    static const struct outlet_ops ops = {
        .ask = remote_ask,
        .envelope = remote_envelope,
        .send = remote_send,
        .commit = remote_commit,
        .keep_unlock = remote_keep_unlock,
        .keep_rewraps = remote_keep_rewraps,
        .cancel = remote_cancel,
    };
    return (struct outlet){.ops = &ops, .self = dialler};
}
