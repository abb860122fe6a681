/* Taking a batch: verified whole, then appended to the journal of its class. */
#include "common/base/alloc.h"
#include "transporter/repository/frame_reader.h"
#include "transporter/repository/ingest_state.h"

#include <inttypes.h>
#include <string.h>

void pending_free(struct pending *pending)
{
    if (!pending) return;
    free(pending->entries);
    free(pending->domains);
    free(pending);
}

void ingest_close_pack(struct ingest *ingest, enum pack_class class_)
{
    struct open_pack *pack = ingest->packs[class_];
    if (!pack) return;
    ingest->packs[class_] = NULL;
    if (!pack->journal) { /* nothing was written */
        open_pack_free(pack);
        return;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    *ingest->closed_end = pack;
    ingest->closed_end = &pack->next;
    ingest->closed_count++;
    (void)pthread_cond_signal(&ingest->work);
    (void)pthread_mutex_unlock(&ingest->lock);
}

/* --- envelopes that this session may use --- */

enum { ENVELOPES_COMPARED = 16 };

static bool nth_stored(struct repository *repository, const struct id *seal, size_t nth,
                       struct index_location *at, struct index_pack *pack, bool *found, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(repository->index, &view, err)) return false;
    *found = index_nth_envelope(view, seal, nth, at) && index_view_pack(view, at->pack, pack);
    return true;
}

/* A seal's id is no secret, and whoever reads takes one envelope of it: a writer who brought another one
 * would hide all frames under it. */
static bool is_as_stored(const struct ingest *ingest, const struct envelope_view *view, struct err *err)
{
    for (size_t nth = 0; nth < ENVELOPES_COMPARED; nth++) {
        AUTO(buf) struct buf stored = {0};
        struct index_location at;
        struct index_pack pack;
        bool found;
        struct err unreadable;
        if (!nth_stored(ingest->repository, &view->seal, nth, &at, &pack, &found, err)) return false;
        if (!found) return true;
        if (!frame_reader_record(ingest->repository, &pack, RECORD_ENVELOPE, at.offset, ENVELOPE_LEN, &stored,
                                 &unreadable))
            continue;
        return memcmp(stored.data, view->bytes, ENVELOPE_LEN) == 0 ||
               err_set(err, ERR_POLICY, "another envelope of the seal is in the repository");
    }
    return true;
}

static bool learn_seal(struct ingest *ingest, const struct envelope_view *view, struct err *err)
{
    const struct known_seal *known = seal_table_find(&ingest->seals, &view->seal);
    if (known && memcmp(known->bytes, view->bytes, ENVELOPE_LEN) == 0) return true;
    if (known) return err_set(err, ERR_PROTOCOL, "a second, other envelope of the same seal");
    if (ingest->options.kind == INGEST_WRITER && !is_as_stored(ingest, view, err)) return false;
    struct known_seal seal = {.seal = view->seal};
    if (!seal_table_admit(&ingest->seals, &view->domain, err) ||
        !index_domain(ingest->repository->index, &view->domain, &seal.domain, err))
        return false;
    memcpy(seal.bytes, view->bytes, ENVELOPE_LEN);
    seal_table_add(&ingest->seals, &seal);
    return true;
}

static bool belongs_to_writer(const struct ingest *ingest, const struct envelope_view *view, struct err *err)
{
    const struct ingest_options *options = &ingest->options;
    if (memcmp(view->writer, options->writer, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "the envelope is not signed by the run's writer");
    if (!id_eq(&view->seal, &options->seal))
        return err_set(err, ERR_POLICY, "the envelope is of another seal than the run's");
    if (!hash_eq(&view->domain, &options->domain))
        return err_set(err, ERR_POLICY, "the envelope is of another dedup domain than the job's");
    return true;
}

static bool may_use(const struct ingest *ingest, const struct envelope_view *view, struct err *err)
{
    const struct ingest_options *options = &ingest->options;
    if (ingest->repository->kind == REPOSITORY_PLAINTEXT)
        return err_set(err, ERR_POLICY, "an envelope for a plaintext repository");
    if (options->kind == INGEST_WRITER) return belongs_to_writer(ingest, view, err);
    if (!options->admitted || options->admitted(options->arg, view->writer)) return true;
    return err_set(err, ERR_NOT_AUTHENTIC, "an envelope whose writer was never admitted");
}

bool ingest_envelope(struct ingest *ingest, struct span envelope, struct err *err)
{
    struct envelope_view view;
    if (!envelope_parse(envelope, &view, err) || !may_use(ingest, &view, err)) return false;
    (void)pthread_mutex_lock(&ingest->batch_lock);
    bool learned = learn_seal(ingest, &view, err);
    (void)pthread_mutex_unlock(&ingest->batch_lock);
    return learned;
}

/* --- one batch --- */

/* A batch being checked, before anything of it is written. */
struct batch {
    struct ingest *ingest;
    struct span bytes;
    struct open_pack *pack;
    size_t before;      /* records of the pack before the batch */
    uint32_t envelopes; /* of the pack before the batch */
    struct buf lead;    /* envelope records that go before it */
    struct buf rebuilt; /* a copy's records, with the envelopes that the pack needs */
    size_t frames, records;
    enum record_kind last;
};

static void batch_deinit(struct batch *batch)
{
    buf_deinit(&batch->lead);
    buf_deinit(&batch->rebuilt);
}
DEFINE_AUTO_IN_PLACE(batch, struct batch, batch_deinit)

/* Puts a seal's envelope into the pack's records, if it is not there yet. */
static bool lead_with_envelope(struct batch *batch, const struct id *seal, struct buf *out, struct err *err)
{
    struct pack_rules *rules = &batch->pack->rules;
    if (id_is_zero(seal) || pack_rules_envelope(rules, seal)) return true;
    const struct known_seal *known = seal_table_find(&batch->ingest->seals, seal);
    if (!known) return err_set(err, ERR_PROTOCOL, "a frame came before its seal's envelope");
    size_t from = out->len;
    struct record_view record;
    record_append(out, RECORD_ENVELOPE, span_of(known->bytes, ENVELOPE_LEN));
    if (!record_parse(span_of(out->data + from, out->len - from), &record, err) ||
        !pack_rules_add(rules, &record, err))
        return false;
    open_pack_domain(batch->pack, known->domain);
    return true;
}

/* The seal id in a frame's clear header; pack_rules_add validates the frame. */
static struct id seal_of_frame(struct span payload)
{
    struct id seal = {{0}};
    if (payload.len >= FRAME_HEADER_LEN) memcpy(seal.bytes, payload.data + FRAME_AT_SEAL, ID_LEN);
    return seal;
}

static bool take_frame(struct batch *batch, const struct record_view *record, struct err *err)
{
    struct id seal = seal_of_frame(record->payload);
    bool copy = batch->ingest->options.kind == INGEST_COPY;
    if (!copy && !id_is_zero(&seal) && !id_eq(&seal, &batch->ingest->options.seal))
        return err_set(err, ERR_PROTOCOL, "a frame of another seal than the run's");
    batch->frames++;
    return lead_with_envelope(batch, &seal, copy ? &batch->rebuilt : &batch->lead, err) &&
           pack_rules_add(&batch->pack->rules, record, err);
}

static bool take_envelope(struct batch *batch, const struct record_view *record, struct err *err)
{
    struct envelope_view view;
    if (batch->ingest->options.kind == INGEST_WRITER)
        return err_set(err, ERR_PROTOCOL, "an envelope inside a batch");
    return envelope_parse(record->payload, &view, err) && may_use(batch->ingest, &view, err) &&
           learn_seal(batch->ingest, &view, err);
}

static bool take_record(struct batch *batch, const struct record_view *record, struct err *err)
{
    if (++batch->records > INGEST_MAX_RECORDS)
        return err_set(err, ERR_LIMIT, "more than %u records in one batch", INGEST_MAX_RECORDS);
    batch->last = record->kind;
    switch (record->kind) {
    case RECORD_ENVELOPE:
        return take_envelope(batch, record, err);
    case RECORD_FRAME:
        return take_frame(batch, record, err);
    default:
        return pack_rules_add(&batch->pack->rules, record, err);
    }
}

/* A writer's batch ends in its one list, which names exactly the frames of the batch. */
static bool is_whole(struct batch *batch, uint64_t number, struct err *err)
{
    const struct ingest_options *options = &batch->ingest->options;
    const struct pack_rules *rules = &batch->pack->rules;
    const struct seal_list_view *list = &rules->last_list;
    if (batch->last != RECORD_LIST || !pack_rules_complete(rules))
        return err_set(err, ERR_PROTOCOL, "the batch does not end in a list");
    if (options->kind == INGEST_COPY) return true;
    if (batch->records != batch->frames + 1 || list->count != batch->frames)
        return err_set(err, ERR_NOT_AUTHENTIC, "the list does not name exactly the frames of its batch");
    if (memcmp(list->writer, options->writer, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "the list is not signed by the run's writer");
    if (!id_eq(&list->seal, &options->seal))
        return err_set(err, ERR_NOT_AUTHENTIC, "the list is of another seal than the run's");
    if (list->number != number)
        return err_set(err, ERR_PROTOCOL, "batch %" PRIu64 " carries the list number %" PRIu64, number,
                       list->number);
    return true;
}

static bool verify(struct batch *batch, uint64_t number, struct err *err)
{
    bool copy = batch->ingest->options.kind == INGEST_COPY;
    for (size_t at = 0; at < batch->bytes.len;) {
        struct record_view record;
        if (!record_parse(span_of(batch->bytes.data + at, batch->bytes.len - at), &record, err) ||
            !take_record(batch, &record, err))
            return false;
        if (copy && record.kind != RECORD_ENVELOPE)
            buf_put(&batch->rebuilt, batch->bytes.data + at, record.total_len);
        at += record.total_len;
    }
    return is_whole(batch, number, err);
}

/* The class of a batch is that of its first frame. */
static bool class_of(struct span bytes, enum pack_class *out, struct err *err)
{
    for (size_t at = 0; at + RECORD_HEADER_LEN + 2 <= bytes.len;) {
        if (bytes.data[at] == RECORD_FRAME) {
            *out = bytes.data[at + RECORD_HEADER_LEN + FRAME_AT_TYPE] == FRAME_NODE ? PACK_META : PACK_DATA;
            return true;
        }
        at += RECORD_HEADER_LEN + (size_t)le32_get(bytes.data + at + 4);
    }
    return err_set(err, ERR_PROTOCOL, "a batch without frames");
}

/* --- writing it --- */

static bool enough_space(struct ingest *ingest, struct err *err)
{
    const struct storage *storage = &ingest->repository->storage;
    uint64_t free_bytes;
    uint64_t total_bytes;
    if (!storage->ops->free_space(storage->self, &free_bytes, &total_bytes, err)) return false;
    uint64_t least = ingest->min_free_bytes;
    if (least == 0) {
        least = total_bytes / 50;
        if (least < INGEST_MIN_FREE) least = INGEST_MIN_FREE;
    }
    if (free_bytes >= least) return true;
    return err_set(err, ERR_NO_SPACE,
                   "only %" PRIu64 " MiB are free where the repository lies: backups stop below %" PRIu64
                   " MiB; 'job prune' and then 'repository sweep' make room",
                   free_bytes >> 20, least >> 20);
}

static struct pending *make_pending(struct batch *batch, uint64_t number, uint64_t bytes)
{
    const struct open_pack *pack = batch->pack;
    struct pending *pending = xcalloc(1, sizeof(*pending));
    pending->number = number;
    pending->bytes = bytes;
    pending->pack = batch->pack;
    pending->end = pack->written;
    pending->envelopes = batch->envelopes;
    pending->count = pack->rules.toc.count - batch->before;
    pending->entries = xreallocarray(NULL, pending->count, sizeof(*pending->entries));
    memcpy(pending->entries, pack->rules.toc.entries + batch->before,
           pending->count * sizeof(*pending->entries));
    size_t domains = (size_t)pack->rules.toc.envelopes + 1;
    pending->domains = xreallocarray(NULL, domains, sizeof(*pending->domains));
    memcpy(pending->domains, pack->domains, domains * sizeof(*pending->domains));
    return pending;
}

/* From here on a failure ends the session: nobody knows what of it is in the journal. */
static bool write_batch(struct batch *batch, uint64_t number, struct err *err)
{
    struct ingest *ingest = batch->ingest;
    struct open_pack *pack = batch->pack;
    struct span body = batch->rebuilt.len ? buf_span(&batch->rebuilt) : batch->bytes;
    if (!pack->journal && (!enough_space(ingest, err) ||
                           !open_pack_start(pack, &ingest->options.session, &ingest->next_journal, err)))
        return false;
    if (batch->lead.len && !open_pack_append(pack, buf_span(&batch->lead), err)) return false;
    if (!open_pack_append(pack, body, err)) return false;
    return ingest_enqueue(ingest, make_pending(batch, number, batch->lead.len + body.len), err);
}

static bool take_batch(struct ingest *ingest, uint64_t number, struct span bytes, struct err *err)
{
    enum pack_class class_ = PACK_DATA;
    if (bytes.len > INGEST_MAX_BATCH)
        return err_set(err, ERR_LIMIT, "a batch of %zu bytes, at most %u are taken", bytes.len,
                       INGEST_MAX_BATCH);
    if (!class_of(bytes, &class_, err)) return false;
    if (!ingest->packs[class_]) ingest->packs[class_] = open_pack_new(ingest->repository, class_);
    AUTO(batch) struct batch batch = {.ingest = ingest, .bytes = bytes, .pack = ingest->packs[class_]};
    struct pack_rules *rules = &batch.pack->rules;
    batch.before = rules->toc.count;
    batch.envelopes = rules->toc.envelopes;
    rules->admitted = ingest->options.kind == INGEST_COPY ? ingest->options.admitted : NULL;
    rules->arg = ingest->options.arg;
    if (!verify(&batch, number, err)) {
        pack_rules_cut(rules, batch.before);
        return err_wrap(err, "batch %" PRIu64, number);
    }
    if (!write_batch(&batch, number, err)) {
        ingest_fail(ingest, err);
        return false;
    }
    if (open_pack_is_full(batch.pack)) ingest_close_pack(ingest, class_);
    return true;
}

/* Whether the batch is the next one; a number already taken is acknowledged again. */
static bool is_next(struct ingest *ingest, uint64_t number, bool *next, struct err *err)
{
    (void)pthread_mutex_lock(&ingest->lock);
    bool alive = ingest_alive(ingest, err);
    uint64_t accepted = ingest->accepted;
    if (alive && number > 0 && number <= accepted) {
        ingest->repeat = true;
        (void)pthread_cond_signal(&ingest->work);
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    if (!alive) return false;
    if (number == 0 || number > accepted + 1)
        return err_set(err, ERR_PROTOCOL, "batch %" PRIu64 " came where %" PRIu64 " was due", number,
                       accepted + 1);
    *next = number == accepted + 1;
    return true;
}

bool ingest_batch(struct ingest *ingest, uint64_t number, struct span batch, struct err *err)
{
    bool next = false;
    (void)pthread_mutex_lock(&ingest->batch_lock);
    bool done = is_next(ingest, number, &next, err) && (!next || take_batch(ingest, number, batch, err));
    (void)pthread_mutex_unlock(&ingest->batch_lock);
    return done;
}
