#include "transporter/session/rewrap_remote.h"

#include "transporter/session/asked.h"

enum { GOODBYE_MS = 5000 };

struct question {
    Sealift__WantWhat what;
    uint32_t count;
    struct span payload;
    struct buf *records;
    struct buf *ids;
};

static void send(struct rewrap_remote *remote, Sealift__Head *head, struct span payload)
{
    struct net_message message = {0};
    data_message_make(head, payload, &message);
    listener_session_send(remote->session, remote->connection, &message);
}

static void answer_open(struct rewrap_remote *remote, const struct data_message *open)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Opened opened = SEALIFT__OPENED__INIT;
    struct net_message message = {0};
    opened.epoch = open->connection;
    opened.heartbeat_ms = listener_session_heartbeat_ms(remote->session);
    opened.credit_bytes = REWRAP_REMOTE_CREDIT;
    head.serial = open->head->serial;
    head.kind_case = SEALIFT__HEAD__KIND_OPENED;
    head.opened = &opened;
    data_message_make(&head, span_of(NULL, 0), &message);
    remote->connection = open->connection;
    listener_session_opened(remote->session, remote->connection, &message);
}

static void ask(struct rewrap_remote *remote, const struct question *question)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Want want = SEALIFT__WANT__INIT;
    want.what = question->what;
    want.count = question->count;
    head.serial = ++remote->serial;
    head.kind_case = SEALIFT__HEAD__KIND_WANT;
    head.want = &want;
    send(remote, &head, question->payload);
}

static void pay_back(struct rewrap_remote *remote, const struct data_message *message)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Credit credit = SEALIFT__CREDIT__INIT;
    credit.bytes = data_message_payload(message).len;
    head.kind_case = SEALIFT__HEAD__KIND_CREDIT;
    head.credit = &credit;
    if (credit.bytes && message->connection == remote->connection) send(remote, &head, span_of(NULL, 0));
}

static bool take_records(const struct rewrap_remote *remote, const struct data_message *message,
                         uint64_t want, struct buf *records, struct err *err)
{
    struct span part = data_message_payload(message);
    if (want != remote->serial) return err_set(err, ERR_PROTOCOL, "an answer to what was not asked");
    if (records->len + part.len > REWRAP_REMOTE_CREDIT)
        return err_set(err, ERR_LIMIT, "the other side answers with more than %d bytes",
                       REWRAP_REMOTE_CREDIT);
    buf_put_span(records, part);
    return true;
}

/* Everything but the answer's end. */
static bool take_other(struct rewrap_remote *remote, const struct question *question,
                       const struct data_message *message, struct err *err)
{
    switch (message->head->kind_case) {
    case SEALIFT__HEAD__KIND_OPEN: /* what was under way on the connection before is void */
        answer_open(remote, message);
        buf_clear(question->records);
        ask(remote, question);
        return true;
    case SEALIFT__HEAD__KIND_FRAMES:
        if (!take_records(remote, message, message->head->frames->want, question->records, err)) return false;
        pay_back(remote, message);
        return true;
    case SEALIFT__HEAD__KIND_FAIL:
        data_message_failure(message, err);
        return false;
    default:
        return err_set(err, ERR_PROTOCOL, "the repository side left before the end");
    }
}

static bool ask_and_wait(struct rewrap_remote *remote, const struct question *question, struct err *err)
{
    if (remote->connection) ask(remote, question);
    for (;;) {
        AUTO(data_message) struct data_message message = {0};
        if (!listener_session_receive(remote->session, &message, err)) return false;
        if (message.head->kind_case != SEALIFT__HEAD__KIND_FETCH_END) {
            if (!take_other(remote, question, &message, err)) return false;
            continue;
        }
        size_t before = question->ids->len;
        if (message.head->fetch_end->want != remote->serial)
            return err_set(err, ERR_PROTOCOL, "an answer to what was not asked");
        if (!asked_ids_decode(data_message_payload(&message), 0, question->ids, err)) return false;
        pay_back(remote, &message);
        return (question->ids->len - before) / HASH_LEN == message.head->fetch_end->missing ||
               err_set(err, ERR_PROTOCOL, "an end of an answer with another count of ids");
    }
}

bool rewrap_remote_seals(struct rewrap_remote *remote, const struct id *after, struct buf *records,
                         struct buf *unreadable, struct err *err)
{
    const struct question question = {.what = SEALIFT__WANT_WHAT__WANT_SEALS,
                                      .count = REWRAP_REMOTE_SEALS,
                                      .payload = span_of(after->bytes, ID_LEN),
                                      .records = records,
                                      .ids = unreadable};
    return ask_and_wait(remote, &question, err);
}

bool rewrap_remote_keep(struct rewrap_remote *remote, struct span records, size_t count, struct buf *refused,
                        struct err *err)
{
    AUTO(buf) struct buf none = {0};
    const struct question question = {.what = SEALIFT__WANT_WHAT__WANT_KEEP,
                                      .count = (uint32_t)count,
                                      .payload = records,
                                      .records = &none,
                                      .ids = refused};
    return ask_and_wait(remote, &question, err);
}

void rewrap_remote_finish(struct rewrap_remote *remote)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Done done = SEALIFT__DONE__INIT;
    AUTO(data_message) struct data_message message = {0};
    struct err ignored;
    head.kind_case = SEALIFT__HEAD__KIND_DONE;
    head.done = &done;
    listener_session_expire(remote->session, GOODBYE_MS);
    send(remote, &head, span_of(NULL, 0));
    (void)!listener_session_receive(remote->session, &message, &ignored);
}
