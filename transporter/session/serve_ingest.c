#include "transporter/session/serve_ingest.h"

#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "transporter/repository/care.h"
#include "transporter/session/asked.h"
#include "transporter/session/outlet_ingest.h"

#include <pthread.h>
#include <string.h>

enum { RESEAL_QUEUE = 8 << 20, GOODBYE_MS = 30000 };

struct serve {
    const struct serve_ingest_options *options;
    struct id seal; /* of the conversation; zeros before the first Open */
    struct ingest *ingest;
    struct outlet_ingest behind;
    struct outlet front;

    struct run_key *run; /* of a side that seals */
    pthread_mutex_t reseal_lock;
    struct outlet_reseal *reseal;

    pthread_mutex_t lock; /* what is told about acknowledged batches goes in order */
    uint64_t acknowledged;

    enum { COMMIT_NONE, COMMIT_MISSING, COMMIT_DONE } commit; /* what the last one came to */
    struct id committed;
    struct commit_receipt receipt;
};

/* --- acknowledging: called by threads of the ingest session and of sealing --- */

static void tell_acknowledged(void *arg, uint64_t number)
{
    struct serve *serve = arg;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Ack ack = SEALIFT__ACK__INIT;
    ack.number = number;
    head.kind_case = SEALIFT__HEAD__KIND_ACK;
    head.ack = &ack;
    struct net_message message = {0};
    data_message_make(&head, span_of(NULL, 0), &message);
    (void)pthread_mutex_lock(&serve->lock);
    if (number > serve->acknowledged) serve->acknowledged = number;
    listener_session_tell(serve->options->session, &message);
    (void)pthread_mutex_unlock(&serve->lock);
}

static void ingest_acknowledges(void *arg, uint64_t number)
{
    struct serve *serve = arg;
    if (!serve->options->reseal) {
        tell_acknowledged(serve, number);
        return;
    }
    (void)pthread_mutex_lock(&serve->reseal_lock);
    if (serve->reseal) outlet_reseal_acknowledged(serve->reseal, number);
    (void)pthread_mutex_unlock(&serve->reseal_lock);
}

static void fail_session(void *arg, const struct err *why)
{
    struct serve *serve = arg;
    listener_session_fail(serve->options->session, why);
}

static bool is_admitted(void *arg, const uint8_t writer[SIGN_PK_LEN])
{
    struct serve *serve = arg;
    return serve->options->admitted(serve->options->arg, writer);
}

/* --- the ingest session of one conversation --- */

static void end_conversation(struct serve *serve)
{
    (void)pthread_mutex_lock(&serve->reseal_lock);
    struct outlet_reseal *reseal = serve->reseal;
    serve->reseal = NULL;
    (void)pthread_mutex_unlock(&serve->reseal_lock);
    outlet_reseal_free(reseal);
    ingest_close(serve->ingest);
    serve->ingest = NULL;
    run_key_free(serve->run);
    serve->run = NULL;
}

static bool open_ingest(struct serve *serve, const struct id *seal, struct err *err)
{
    const struct serve_ingest_options *options = serve->options;
    struct ingest_options ingest = {
        .session = options->run,
        .kind = options->conversation == CONVERSATION_COPY ? INGEST_COPY : INGEST_WRITER,
        .seal = *seal,
        .domain = options->domain,
        .job = options->job,
        .admitted = options->admitted ? is_admitted : NULL,
        .acknowledged = ingest_acknowledges,
        .failed = fail_session,
        .arg = serve,
        .durable_bytes = options->stored_bytes,
        .cancelled = options->cancelled,
    };
    memcpy(ingest.writer, options->writer, SIGN_PK_LEN);
    if (!ingest_open(options->repository, &ingest, &serve->ingest, err)) return false;
    serve->behind = (struct outlet_ingest){.repository = options->repository,
                                           .ingest = serve->ingest,
                                           .is_operator = options->is_operator,
                                           .is_rewrapper = options->is_rewrapper,
                                           .arg = options->arg,
                                           .cancelled = options->cancelled};
    serve->front = outlet_ingest(&serve->behind);
    return true;
}

static bool start_reseal(struct serve *serve, struct err *err)
{
    const struct serve_reseal *reseal = serve->options->reseal;
    struct repository_info info;
    repository_info(serve->options->repository, &info);
    struct outlet_reseal_options options = {
        .sealing = reseal->sealing,
        .identity = reseal->identity,
        .threads = reseal->threads,
        .queue_bytes = RESEAL_QUEUE,
        .acknowledged = tell_acknowledged,
        .failed = fail_session,
        .arg = serve,
    };
    options.sealing.run = serve->run;
    options.sealing.outlet = serve->front;
    options.identity.point = serve->seal;
    options.identity.head_number = info.head_number;
    options.identity.head_hash = info.head_hash;
    if (!outlet_reseal_new(&options, &serve->reseal, err)) return false;
    serve->front = outlet_reseal_outlet(serve->reseal);
    return true;
}

static bool begin_conversation(struct serve *serve, const struct id *seal, struct err *err)
{
    end_conversation(serve);
    serve->seal = *seal;
    serve->commit = COMMIT_NONE;
    if (!serve->options->reseal) {
        if (!open_ingest(serve, seal, err)) return false;
        serve->acknowledged = ingest_acknowledged(serve->ingest);
        return true;
    }
    serve->run = run_key_new();
    serve->acknowledged = 0;
    return open_ingest(serve, &serve->run->seal, err) && start_reseal(serve, err);
}

/* --- messages --- */

/* 0 also if it cannot be told: nothing depends on it but a note. */
static uint64_t point_of_job(const struct serve *serve, const Sealift__Open *open)
{
    uint64_t number = 0;
    struct err ignored;
    if (open->asks_job && serve->options->job)
        (void)!repository_job_point(serve->options->repository, serve->options->job, &number, &ignored);
    return number;
}

static void send_opened(struct serve *serve, const struct data_message *message)
{
    struct repository_info info;
    repository_info(serve->options->repository, &info);
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Opened opened = SEALIFT__OPENED__INIT;
    opened.epoch = message->connection;
    opened.heartbeat_ms = listener_session_heartbeat_ms(serve->options->session);
    opened.credit_bytes = listener_session_window(serve->options->session, SERVE_INGEST_CREDIT);
    opened.repository = stored_bytes(span_of(info.repository.bytes, ID_LEN));
    opened.head_number = info.head_number;
    opened.head_hash = stored_bytes(span_of(info.head_hash.bytes, HASH_LEN));
    opened.job_point = point_of_job(serve, message->head->open);
    head.serial = message->head->serial;
    head.kind_case = SEALIFT__HEAD__KIND_OPENED;
    head.opened = &opened;
    struct net_message answer = {0};
    (void)pthread_mutex_lock(&serve->lock);
    opened.acknowledged = serve->acknowledged;
    data_message_make(&head, span_of(NULL, 0), &answer);
    listener_session_opened(serve->options->session, message->connection, &answer);
    (void)pthread_mutex_unlock(&serve->lock);
}

/* Another seal begins anew: legal at first, and when the last commit lacked something. */
static bool take_open(struct serve *serve, const struct data_message *message, struct err *err)
{
    struct id seal;
    memcpy(seal.bytes, message->head->open->seal.data, ID_LEN);
    if (id_is_zero(&seal)) return err_set(err, ERR_PROTOCOL, "an open message with the seal id zero");
    if (!id_eq(&seal, &serve->seal)) {
        if (!id_is_zero(&serve->seal) && serve->commit != COMMIT_MISSING)
            return err_set(err, ERR_PROTOCOL, "another seal in the middle of an attempt");
        if (!begin_conversation(serve, &seal, err)) return false;
    }
    send_opened(serve, message);
    return true;
}

static void answer(struct serve *serve, const struct data_message *message, Sealift__Head *head,
                   struct span payload)
{
    struct net_message out = {0};
    head->serial = message->head->serial;
    data_message_make(head, payload, &out);
    listener_session_send(serve->options->session, message->connection, &out);
}

struct question {
    enum frame_type types[ASKED_MAX];
    struct hash ids[ASKED_MAX];
    uint8_t have[ASKED_MAX];
};

static bool take_ask(struct serve *serve, const struct data_message *message, struct err *err)
{
    bool copy = serve->options->conversation == CONVERSATION_COPY;
    AUTO(free) struct question *question = xcalloc(1, sizeof(*question));
    uint32_t count = message->head->ask->count;
    if (!asked_decode(data_message_payload(message), count, copy ? ASKED_POINT : FRAME_NODE, question->types,
                      question->ids, err) ||
        !serve->front.ops->ask(serve->front.self, question->types, question->ids, count, question->have, err))
        return false;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Have have = SEALIFT__HAVE__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_HAVE;
    head.have = &have;
    answer(serve, message, &head, span_of(question->have, count));
    return true;
}

/* Only in copies, which the table sees to: what they come from is what the outlet behind takes. */
static bool take_unlock(struct serve *serve, const struct data_message *message, struct err *err)
{
    bool kept = false;
    struct outlet behind = outlet_ingest(&serve->behind);
    struct span payload = data_message_payload(message);
    uint32_t rewraps = message->head->keep_unlock->rewraps;
    if (!(rewraps ? behind.ops->keep_rewraps(behind.self, payload, rewraps, &kept, err)
                  : behind.ops->keep_unlock(behind.self, payload, &kept, err)))
        return false;
    const uint8_t flag = kept ? ASKED_HAS : ASKED_LACKS;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Have have = SEALIFT__HAVE__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_HAVE;
    head.have = &have;
    answer(serve, message, &head, span_of(&flag, 1));
    return true;
}

static bool take_batch(struct serve *serve, const struct data_message *message, struct err *err)
{
    struct span batch = data_message_payload(message);
    uint64_t number = message->head->batch->number;
    atomic_fetch_add(serve->options->received_bytes, batch.len);
    if (!serve->reseal) return ingest_batch(serve->ingest, number, batch, err);
    AUTO(buf) struct buf raw = {0};
    buf_put_span(&raw, batch);
    return serve->front.ops->send(serve->front.self, number, &raw, err);
}

static void send_receipt(struct serve *serve, const struct data_message *message)
{
    const struct commit_receipt *receipt = &serve->receipt;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Receipt body = SEALIFT__RECEIPT__INIT;
    body.number = receipt->number;
    body.log_hash = stored_bytes(span_of(receipt->log_hash.bytes, HASH_LEN));
    body.time_ns = receipt->time_ns;
    body.stored_bytes = receipt->stored_bytes;
    head.kind_case = SEALIFT__HEAD__KIND_RECEIPT;
    head.receipt = &body;
    listener_session_answered(serve->options->session);
    answer(serve, message, &head, span_of(NULL, 0));
}

static void send_missing(struct serve *serve, const struct data_message *message, const struct buf *missing)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Missing body = SEALIFT__MISSING__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_MISSING;
    head.missing = &body;
    listener_session_answered(serve->options->session);
    answer(serve, message, &head, buf_span(missing));
}

static bool request_of(const struct serve *serve, const struct data_message *message,
                       struct commit_request *out, struct err *err)
{
    const Sealift__Commit *commit = message->head->commit;
    *out = (struct commit_request){
        .point = stored_id(&commit->point),
        .root = stored_hash(&commit->root),
        .point_file = data_message_payload(message),
        .started_ns = commit->started_ns,
        .object = OBJECT_TREE,
    };
    if (commit->object[0] && !object_kind_parse(commit->object, &out->object, err)) return false;
    if (commit->crash_consistent > (out->object == OBJECT_IMAGE))
        return err_set(err, ERR_PROTOCOL, "a commit of what is no image as crash-consistent");
    out->crash_consistent = commit->crash_consistent;
    if (commit->counts)
        out->counts = (struct point_counts){
            .entries = commit->counts->entries,
            .files = commit->counts->files,
            .directories = commit->counts->directories,
            .content_bytes = commit->counts->content_bytes,
            .warnings = commit->counts->warnings,
        };
    if (id_is_zero(&out->point)) return err_set(err, ERR_PROTOCOL, "a commit of no point");
    if (serve->options->reseal && !id_eq(&out->point, &serve->seal))
        return err_set(err, ERR_PROTOCOL, "a commit of another point than the conversation's");
    return true;
}

static bool tell_committed(struct serve *serve, const struct commit_request *request, struct err *err)
{
    const struct serve_ingest_options *options = serve->options;
    AUTO(buf) struct buf file = {0};
    if (!repository_point_read(options->repository, &request->point, &file, err)) return false;
    options->committed(options->arg, &request->point, &serve->receipt, buf_span(&file));
    return true;
}

static bool take_commit(struct serve *serve, const struct data_message *message, struct err *err)
{
    struct commit_request request;
    AUTO(buf) struct buf missing = {0};
    if (!request_of(serve, message, &request, err)) return false;
    if (serve->commit == COMMIT_DONE && id_eq(&serve->committed, &request.point)) {
        send_receipt(serve, message);
        return true;
    }
    if (serve->front.ops->commit(serve->front.self, &request, &serve->receipt, &missing, err)) {
        serve->commit = COMMIT_DONE;
        serve->committed = request.point;
        bool told = tell_committed(serve, &request, err);
        send_receipt(serve, message);
        if (serve->options->conversation != CONVERSATION_COPY)
            listener_session_expire(serve->options->session, GOODBYE_MS);
        return told;
    }
    if (err->code != ERR_NOT_FOUND || missing.len == 0) return false;
    serve->commit = COMMIT_MISSING;
    send_missing(serve, message, &missing);
    return true;
}

/* *over: the source said good-bye */
static bool take_message(struct serve *serve, const struct data_message *message, bool *over, struct err *err)
{
    switch (message->head->kind_case) {
    case SEALIFT__HEAD__KIND_OPEN:
        return take_open(serve, message, err);
    case SEALIFT__HEAD__KIND_ENVELOPE:
        return ingest_envelope(serve->ingest, data_message_payload(message), err);
    case SEALIFT__HEAD__KIND_ASK:
        return take_ask(serve, message, err);
    case SEALIFT__HEAD__KIND_KEEP_UNLOCK:
        return take_unlock(serve, message, err);
    case SEALIFT__HEAD__KIND_BATCH:
        return take_batch(serve, message, err);
    case SEALIFT__HEAD__KIND_COMMIT:
        return take_commit(serve, message, err);
    case SEALIFT__HEAD__KIND_DONE:
        *over = true;
        return true;
    default: /* Fail: the table lets nothing else through */
        data_message_failure(message, err);
        return false;
    }
}

static bool serve_all(struct serve *serve, struct err *err)
{
    bool over = false;
    while (!over) {
        AUTO(data_message) struct data_message message = {0};
        if (!listener_session_receive(serve->options->session, &message, err) ||
            !take_message(serve, &message, &over, err))
            return false;
    }
    if (serve->commit == COMMIT_MISSING)
        return err_set(err, ERR_NOT_FOUND, "the source gave up a point that lacked chunks");
    return true;
}

bool serve_ingest(const struct serve_ingest_options *options, struct err *err)
{
    struct serve serve = {.options = options};
    (void)pthread_mutex_init(&serve.lock, NULL);
    (void)pthread_mutex_init(&serve.reseal_lock, NULL);
    bool done = serve_all(&serve, err);
    if (!done) listener_session_refuse(options->session, err);
    bool committed = serve.commit == COMMIT_DONE && options->conversation != CONVERSATION_COPY;
    end_conversation(&serve);
    (void)pthread_mutex_destroy(&serve.reseal_lock);
    (void)pthread_mutex_destroy(&serve.lock);
    return done || committed;
}
