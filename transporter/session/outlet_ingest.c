#include "transporter/session/outlet_ingest.h"

#include "common/base/alloc.h"
#include "transporter/pipeline/outlet_repository.h"
#include "transporter/repository/rewraps.h"
#include "transporter/repository/unlocks.h"
#include "transporter/session/asked.h"

#include <string.h>

/* To find out whether a point is whole all of its nodes may have to be read, and a source may ask for
 * thousands, or for one again and again. */
static bool has_point(const struct outlet_ingest *self, const struct hash *asked, uint8_t *have,
                      struct err *err)
{
    struct repository *repository = self->repository;
    struct id point;
    if (self->cancelled && atomic_load(self->cancelled)) return err_set(err, ERR_CANCELLED, "cancelled");
    memcpy(point.bytes, asked->bytes, ID_LEN);
    AUTO(buf) struct buf file = {0};
    struct err why = {0};
    if (repository_point_is_removed(repository, &point)) {
        *have = ASKED_REMOVED;
        return true;
    }
    if (repository_point_read(repository, &point, &file, &why)) {
        /* one that has lost something is wanted again: the commit then names what is missing */
        bool whole = true;
        if (!repository_point_is_whole(repository, buf_span(&file), self->cancelled, &whole, err))
            return false;
        *have = whole ? ASKED_HAS : ASKED_LACKS;
        return true;
    }
    *have = ASKED_LACKS; /* a commit of the very same one brings its file back */
    if (why.code == ERR_NOT_FOUND || why.code == ERR_DAMAGED || why.code == ERR_LIMIT) return true;
    *err = why;
    return false;
}

static bool ingest_ask(void *arg, const enum frame_type *types, const struct hash *ids, size_t count,
                       uint8_t *have, struct err *err)
{
    struct outlet_ingest *self = arg;
    if (!ingest_has(self->ingest, ids, count, have, err)) return false;
    for (size_t i = 0; i < count; i++)
        if ((int)types[i] == ASKED_POINT && !has_point(self, &ids[i], &have[i], err)) return false;
    return true;
}

static bool ingest_take_envelope(void *arg, struct span envelope, struct err *err)
{
    struct outlet_ingest *self = arg;
    return ingest_envelope(self->ingest, envelope, err);
}

static bool ingest_send(void *arg, uint64_t number, struct buf *batch, struct err *err)
{
    struct outlet_ingest *self = arg;
    if (!ingest_batch(self->ingest, number, buf_span(batch), err)) return false;
    buf_clear(batch);
    return true;
}

static bool ingest_take_commit(void *arg, const struct commit_request *request,
                               struct commit_receipt *receipt, struct buf *missing, struct err *err)
{
    const struct outlet_ingest *self = arg;
    return outlet_repository_commit(self->ingest, request, receipt, missing, err);
}

/* Believed: an order of this site that an operator signed. */
static bool is_believed(const struct outlet_ingest *self, const struct statement *order)
{
    struct repository_info info;
    repository_info(self->repository, &info);
    return id_eq(&order->site, &info.site) && self->is_operator &&
           self->is_operator(self->arg, order->signer);
}

static bool ingest_keep_unlock(void *arg, struct span bytes, bool *kept, struct err *err)
{
    const struct outlet_ingest *self = arg;
    struct err why;
    AUTO(statement) struct statement *order = NULL;
    *kept = unlock_object_check(bytes, &order, &why) && is_believed(self, order);
    return !*kept || repository_unlock_add(self->repository, order, err);
}

struct keeping {
    const struct outlet_ingest *outlet;
    bool all; /* each was kept */
};

static bool keep_rewrap(void *arg, struct span object, struct err *err)
{
    struct keeping *keeping = arg;
    const struct outlet_ingest *self = keeping->outlet;
    enum rewrap_outcome outcome;
    struct rewrap_view view;
    struct err why;
    uint8_t signer[SIGN_PK_LEN];
    bool believed = rewrap_object_decode(object, NULL, &view, signer, &why) && self->is_rewrapper &&
                    self->is_rewrapper(self->arg, signer);
    if (believed && repository_rewrap_keep(self->repository, object, &outcome, err)) return true;
    if (believed && !rewrap_is_refused(err->code)) return false;
    err_clear(err);
    keeping->all = false;
    return true;
}

/* What a copy brings needs no belief but that in the signer: what a rewrap opens to must be what the writer
 * of the seal committed to. */
static bool ingest_keep_rewraps(void *arg, struct span records, uint32_t count, bool *kept, struct err *err)
{
    struct keeping keeping = {.outlet = arg, .all = true};
    if (!rewraps_each_record(records, count, keep_rewrap, &keeping, err)) return false;
    *kept = keeping.all;
    return true;
}

static void ingest_cancel(void *arg)
{
}

struct outlet outlet_ingest(struct outlet_ingest *self)
{
    static const struct outlet_ops ops = {
        .ask = ingest_ask,
        .envelope = ingest_take_envelope,
        .send = ingest_send,
        .commit = ingest_take_commit,
        .keep_unlock = ingest_keep_unlock,
        .keep_rewraps = ingest_keep_rewraps,
        .cancel = ingest_cancel,
    };
    return (struct outlet){.ops = &ops, .self = self};
}
