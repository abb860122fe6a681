/* Peers that break the rules, by a bare client that can send anything. */
#include "by_hand.h"
#include "cargo.h"
#include "common/base/clock.h"
#include "common/net/net_poll.h"
#include "common/net/net_socket.h"
#include "ends.h"
#include "transporter/session/asked.h"
#include "transporter/session/listener_inside.h"
#include "transporter/session/outlet_remote.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { DEADLINE_MS = 8000 };

struct bare {
    struct net_key *key;
    struct net_socket *socket;
};

static void bare_open(struct bare *bare, const struct ends *ends, const struct identity *self)
{
    struct err err = {0};
    struct net_options options = net_options_of(NET_CLIENT);
    cr_assert(net_key_from_secret(self->transport->sk->data, &bare->key, &err));
    options.key = bare->key;
    options.server_key = ends->target->known.transport_pk;
    options.max_payload = 64 << 20;
    options.linger_ms = 0;
    cr_assert(net_socket_new(ends->net, &options, &bare->socket, &err), "%s", err.text);
    struct net_endpoint endpoint = {.side = NET_CONNECT, .address = listener_endpoint(ends->listener)};
    cr_assert(net_socket_attach(bare->socket, &endpoint, &err), "%s", err.text);
}

static void bare_close(struct bare *bare)
{
    net_socket_free(bare->socket);
    net_key_free(bare->key);
}
DEFINE_AUTO_IN_PLACE(bare, struct bare, bare_close)

static void bare_send(struct bare *bare, Sealift__Head *head, struct span payload)
{
    AUTO(net_message) struct net_message message = {0};
    data_message_make(head, payload, &message);
    cr_assert_eq(net_socket_send(bare->socket, NULL, &message, DEADLINE_MS), NET_OK);
}

/* The next answer of this kind; others are skipped. false when none came in time. */
static bool bare_receive(struct bare *bare, Sealift__Head__KindCase kind, struct data_message *out,
                         int timeout_ms)
{
    uint64_t until = clock_steady_ms() + (uint64_t)timeout_ms;
    while (clock_steady_ms() < until) {
        AUTO(net_message) struct net_message net = {0};
        AUTO(data_message) struct data_message message = {0};
        struct net_peer from;
        enum net_fault fault;
        struct err err = {0};
        if (net_socket_recv(bare->socket, &from, &net, &fault, (int)(until - clock_steady_ms())) != NET_OK)
            return false;
        cr_assert(data_message_decode(CHANNEL_LISTENER_TO_DIALLER, &net, &message, &err), "%s", err.text);
        if (message.head->kind_case != kind) continue;
        data_message_move(&message, out);
        return true;
    }
    return false;
}

static ProtobufCBinaryData bytes_of(const void *data, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = len};
}

static void send_open(struct bare *bare, const struct ends *ends, const uint8_t *ticket, uint32_t attempt,
                      const struct id *run)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Open open = SEALIFT__OPEN__INIT;
    open.run = bytes_of(run->bytes, ID_LEN);
    open.attempt = attempt;
    open.ticket = bytes_of(ticket, 32);
    open.seal = bytes_of(ends->keys.run->seal.bytes, ID_LEN);
    head.kind_case = SEALIFT__HEAD__KIND_OPEN;
    head.open = &open;
    bare_send(bare, &head, span_of(NULL, 0));
}

static void expect_fail(struct bare *bare, enum err_code code)
{
    AUTO(data_message) struct data_message message = {0};
    cr_assert(bare_receive(bare, SEALIFT__HEAD__KIND_FAIL, &message, DEADLINE_MS), "no Fail came");
    cr_assert_eq(message.head->fail->code, (uint32_t)code, "%u: %s", message.head->fail->code,
                 message.head->fail->text);
}

static void expect_opened(struct bare *bare)
{
    AUTO(data_message) struct data_message message = {0};
    cr_assert(bare_receive(bare, SEALIFT__HEAD__KIND_OPENED, &message, DEADLINE_MS), "no Opened came");
}

static struct ends *served_ends(void)
{
    struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    ends_serve(ends, CONVERSATION_SEALED, false);
    return ends;
}

Test(hostile_session, an_open_with_a_wrong_ticket_run_or_attempt_is_refused_and_disturbs_nobody)
{
    AUTO(ends) struct ends *ends = served_ends();
    uint8_t wrong[32] = {1};
    const struct id other = {{77}};
    for (int i = 0; i < 4; i++) {
        AUTO(bare) struct bare bare = {0};
        bare_open(&bare, ends, ends->source);
        send_open(&bare, ends, i == 0 ? wrong : ends->ticket,
                  i == 1   ? 0
                  : i == 2 ? 2
                           : 1,
                  i == 3 ? &other : &ends->run);
        expect_fail(&bare, i == 0 || i == 3 ? ERR_NOT_AUTHENTIC : ERR_PROTOCOL);
    }
    AUTO(bare) struct bare good = {0};
    bare_open(&good, ends, ends->source);
    send_open(&good, ends, ends->ticket, 1, &ends->run);
    expect_opened(&good);
}

Test(hostile_session, a_foreign_key_does_not_even_get_in)
{
    AUTO(ends) struct ends *ends = served_ends();
    AUTO(identity) struct identity *stranger = NULL;
    struct err err = {0};
    cr_assert(identity_new("mallory", &stranger, &err));
    AUTO(bare) struct bare bare = {0};
    bare_open(&bare, ends, stranger);
    AUTO(net_message) struct net_message message = {0};
    cr_assert(net_message_make(&message, span_str("x"), &err));
    cr_assert_eq(net_socket_send(bare.socket, NULL, &message, 500), NET_AGAIN);
}

Test(hostile_session, the_key_of_one_run_opens_no_other_run)
{
    AUTO(ends) struct ends *ends = served_ends();
    AUTO(identity) struct identity *other = NULL;
    AUTO(listener_session) struct listener_session *session = NULL;
    struct err err = {0};
    cr_assert(identity_new("other", &other, &err));
    struct listener_session_options options = {
        .run = {{99}}, .attempt = 1, .credit_bytes = 1 << 20, .lease_ms = 10000};
    memcpy(options.peer_key, other->known.transport_pk, 32);
    cr_assert(listener_admit(ends->listener, &options, &session, &err));
    AUTO(bare) struct bare bare = {0};
    bare_open(&bare, ends, other);
    send_open(&bare, ends, ends->ticket, 1, &ends->run);
    expect_fail(&bare, ERR_NOT_AUTHENTIC);
}

Test(hostile_session, what_comes_before_open_is_refused)
{
    AUTO(ends) struct ends *ends = served_ends();
    AUTO(bare) struct bare bare = {0};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Batch batch = SEALIFT__BATCH__INIT;
    batch.number = 1;
    head.kind_case = SEALIFT__HEAD__KIND_BATCH;
    head.batch = &batch;
    bare_open(&bare, ends, ends->source);
    bare_send(&bare, &head, span_str("bytes"));
    expect_fail(&bare, ERR_PROTOCOL);
    cr_assert(ends->serving);
}

Test(hostile_session, a_newer_open_replaces_the_older_connection)
{
    AUTO(ends) struct ends *ends = served_ends();
    AUTO(bare) struct bare first = {0};
    AUTO(bare) struct bare second = {0};
    bare_open(&first, ends, ends->source);
    send_open(&first, ends, ends->ticket, 1, &ends->run);
    expect_opened(&first);
    bare_open(&second, ends, ends->source);
    send_open(&second, ends, ends->ticket, 1, &ends->run);
    expect_opened(&second);
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Ask ask = SEALIFT__ASK__INIT;
    AUTO(buf) struct buf payload = {0};
    const enum frame_type type = FRAME_DATA;
    const struct hash id = {{1}};
    asked_encode(&type, &id, 1, &payload);
    ask.count = 1;
    head.serial = 5;
    head.kind_case = SEALIFT__HEAD__KIND_ASK;
    head.ask = &ask;
    bare_send(&second, &head, buf_span(&payload));
    AUTO(data_message) struct data_message have = {0};
    cr_assert(bare_receive(&second, SEALIFT__HEAD__KIND_HAVE, &have, DEADLINE_MS));
    cr_assert_eq(have.head->serial, 5);
}

/* Each ends the run with this code, and the source is told. */
static void send_one(struct bare *bare, Sealift__Head__KindCase kind, struct span payload, uint64_t number)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Batch batch = SEALIFT__BATCH__INIT;
    Sealift__Ask ask = SEALIFT__ASK__INIT;
    Sealift__Envelope envelope = SEALIFT__ENVELOPE__INIT;
    Sealift__Frames frames = SEALIFT__FRAMES__INIT;
    Sealift__Done done = SEALIFT__DONE__INIT;
    batch.number = number;
    ask.count = (uint32_t)number;
    head.kind_case = kind;
    if (kind == SEALIFT__HEAD__KIND_BATCH) head.batch = &batch;
    if (kind == SEALIFT__HEAD__KIND_ASK) head.ask = &ask;
    if (kind == SEALIFT__HEAD__KIND_ENVELOPE) head.envelope = &envelope;
    if (kind == SEALIFT__HEAD__KIND_FRAMES) head.frames = &frames;
    if (kind == SEALIFT__HEAD__KIND_DONE) head.done = &done;
    bare_send(bare, &head, payload);
}

Test(hostile_session, whatever_is_out_of_place_or_malformed_ends_the_run, .timeout = 60)
{
    static const struct {
        Sealift__Head__KindCase kind;
        const char *payload;
        uint64_t number;
        bool unsealed;
        enum err_code code;
    } cases[] = {
        {SEALIFT__HEAD__KIND_BATCH, "x", 1, false, ERR_PROTOCOL},  /* before the envelope */
        {SEALIFT__HEAD__KIND_FRAMES, "x", 1, false, ERR_PROTOCOL}, /* of another conversation */
        {SEALIFT__HEAD__KIND_DONE, "", 1, false, ERR_PROTOCOL},    /* before any commit */
        {SEALIFT__HEAD__KIND_ASK, "x", 1, false, ERR_PROTOCOL},    /* cut short */
        {SEALIFT__HEAD__KIND_ENVELOPE, "xyz", 1, false, ERR_TRUNCATED},
        {SEALIFT__HEAD__KIND_BATCH, "not records", 1, true, ERR_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
        ends_serve(ends, cases[i].unsealed ? CONVERSATION_UNSEALED : CONVERSATION_SEALED, cases[i].unsealed);
        AUTO(bare) struct bare bare = {0};
        bare_open(&bare, ends, ends->source);
        send_open(&bare, ends, ends->ticket, 1, &ends->run);
        expect_opened(&bare);
        send_one(&bare, cases[i].kind, span_str(cases[i].payload), cases[i].number);
        expect_fail(&bare, cases[i].code);
        cr_assert_not(ends_join(ends), "case %zu", i);
        cr_assert_eq(ends->serve_err.code, cases[i].code, "case %zu: %s", i, ends->serve_err.text);
        cr_assert_eq(ends_points(ends), 0);
    }
}

Test(hostile_session, a_raw_chunk_that_does_not_hash_to_its_name_ends_the_run)
{
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    ends_serve(ends, CONVERSATION_UNSEALED, true);
    AUTO(bare) struct bare bare = {0};
    AUTO(buf) struct buf batch = {0};
    struct raw_chunk chunk = {
        .type = FRAME_DATA, .raw_len = 5, .content = {{1, 2, 3}}, .stored = span_str("hello")};
    raw_chunk_header(&chunk, buf_grow(&batch, RAW_CHUNK_HEADER_LEN));
    buf_put_str(&batch, "hello");
    bare_open(&bare, ends, ends->source);
    send_open(&bare, ends, ends->ticket, 1, &ends->run);
    expect_opened(&bare);
    send_one(&bare, SEALIFT__HEAD__KIND_BATCH, buf_span(&batch), 1);
    expect_fail(&bare, ERR_PROTOCOL); /* though nothing more is sent */
    cr_assert_not(ends_join(ends));
}

Test(hostile_session, more_than_the_credit_ends_the_run_and_not_the_memory)
{
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    ends_admit(ends, CONVERSATION_RECOVERY); /* nobody takes what arrives */
    AUTO(bare) struct bare bare = {0};
    AUTO(buf) struct buf payload = {0};
    struct err err = {0};
    (void)buf_grow(&payload, 4 << 20);
    memset(payload.data, 0, payload.len);
    bare_open(&bare, ends, ends->source);
    send_open(&bare, ends, ends->ticket, 1, &ends->run);
    {
        AUTO(data_message) struct data_message open = {0};
        cr_assert(listener_session_receive(ends->session, &open, &err), "%s", err.text);
    }
    for (int i = 0; i < 12; i++)
        send_one(&bare, SEALIFT__HEAD__KIND_FRAMES, buf_span(&payload), 1);
    bool alive = true;
    for (uint64_t until = clock_steady_ms() + DEADLINE_MS; alive && clock_steady_ms() < until;) {
        AUTO(data_message) struct data_message message = {0};
        alive = listener_session_receive(ends->session, &message, &err);
        if (alive) alive = data_message_payload(&message).len == 0; /* the queue is dropped by the failure */
    }
    cr_assert_not(alive);
}

static bool has_failed(struct ends *ends)
{
    (void)pthread_mutex_lock(&ends->listener->lock);
    bool failed = ends->session->failed;
    (void)pthread_mutex_unlock(&ends->listener->lock);
    return failed;
}

Test(hostile_session, questions_without_end_end_the_run_and_not_the_memory)
{
    enum { QUESTIONS = 200, ITEM = 33 };
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    ends_admit(ends, CONVERSATION_SEALED); /* nobody takes what arrives */
    AUTO(bare) struct bare bare = {0};
    AUTO(buf) struct buf payload = {0};
    (void)buf_grow(&payload, (size_t)4096 * ITEM);
    memset(payload.data, 0, payload.len);
    bare_open(&bare, ends, ends->source);
    send_open(&bare, ends, ends->ticket, 1, &ends->run);
    for (int i = 0; i < QUESTIONS; i++)
        send_one(&bare, SEALIFT__HEAD__KIND_ASK, buf_span(&payload), 1);
    bool failed = has_failed(ends);
    for (uint64_t until = clock_steady_ms() + DEADLINE_MS; !failed && clock_steady_ms() < until;)
        failed = has_failed(ends);
    cr_assert(failed);
}

Test(hostile_session, an_oversized_message_is_never_taken_in)
{
    AUTO(ends) struct ends *ends = served_ends();
    AUTO(bare) struct bare bare = {0};
    AUTO(buf) struct buf payload = {0};
    (void)buf_grow(&payload, 12 << 20);
    memset(payload.data, 0, payload.len);
    bare_open(&bare, ends, ends->source);
    send_open(&bare, ends, ends->ticket, 1, &ends->run);
    expect_opened(&bare);
    send_one(&bare, SEALIFT__HEAD__KIND_BATCH, buf_span(&payload), 1);
    AUTO(data_message) struct data_message message = {0};
    cr_assert_not(bare_receive(&bare, SEALIFT__HEAD__KIND_ACK, &message, 500));
    cr_assert_eq(atomic_load(&ends->received), 0);
}

/* --- the dialling side --- */

Test(hostile_session, a_dialler_gives_up_after_its_lease)
{
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    ends->lease_ms = 300;
    atomic_store(&ends->relay->refuse, true);
    const struct id seal = {{1}};
    struct dialler *dialler = ends_dial(ends, CONVERSATION_SEALED, &seal);
    struct dialler_opened opened;
    struct err err = {0};
    cr_assert_not(dialler_await(dialler, &opened, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE, "%s", err.text);
    dialler_free(dialler, &err);
}

/* It would be taken there for a stranger who says nothing; a handshake over a long way takes its time. */
Test(hostile_session, a_dialler_does_not_ask_an_address_that_took_its_call_why_it_is_silent)
{
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    const struct id seal = {{1}};
    struct dialler_opened opened;
    struct err err = {0};
    struct sockaddr_in silent = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(silent);
    AUTO(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fd, (struct sockaddr *)&silent, len) == 0 && listen(fd, 8) == 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&silent, &len), 0);
    atomic_store(&ends->relay->target, ntohs(silent.sin_port));
    ends->lease_ms = 1300; /* it would ask after a second */
    struct dialler *dialler = ends_dial(ends, CONVERSATION_SEALED, &seal);
    cr_assert_not(dialler_await(dialler, &opened, &err));
    cr_assert_leq(atomic_load(&ends->relay->accepted), 2, "the call, and one to know why it gives up");
    dialler_free(dialler, &err);
}

Test(hostile_session, cancelling_ends_a_batch_that_waits_for_credit)
{
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    const struct id seal = {{1}};
    struct dialler *dialler = ends_dial(ends, CONVERSATION_SEALED, &seal); /* nobody admits it */
    struct err why = {0}, err = {0};
    AUTO(buf) struct buf batch = {0};
    buf_put_str(&batch, "x");
    (void)err_set(&why, ERR_CANCELLED, "enough");
    dialler_cancel(dialler, &why);
    cr_assert_not(dialler_batch(dialler, 1, &batch, &err));
    cr_assert_str_eq(err.text, "enough");
    dialler_free(dialler, &why);
}

Test(hostile_session, a_target_that_lies_about_what_was_sent_is_dropped)
{
    for (int lie = 0; lie < 4; lie++) {
        AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
        ends_admit(ends, CONVERSATION_SEALED);
        const struct id seal = {{1}};
        struct dialler *dialler = ends_dial(ends, CONVERSATION_SEALED, &seal);
        uint64_t connection = open_by_hand(ends, dialler);
        Sealift__Head head = SEALIFT__HEAD__INIT;
        Sealift__Ack ack = SEALIFT__ACK__INIT;
        Sealift__Have have = SEALIFT__HAVE__INIT;
        Sealift__Want want = SEALIFT__WANT__INIT;
        Sealift__Opened opened = SEALIFT__OPENED__INIT;
        ack.number = 7;
        head.kind_case = SEALIFT__HEAD__KIND_ACK; /* of a batch that was never sent */
        head.ack = &ack;
        if (lie == 1) {
            head.kind_case = SEALIFT__HEAD__KIND_HAVE; /* to no question */
            head.have = &have;
        } else if (lie == 2) {
            head.kind_case = SEALIFT__HEAD__KIND_WANT; /* of a recovery */
            head.want = &want;
        } else if (lie == 3) {
            head.kind_case = SEALIFT__HEAD__KIND_OPENED; /* twice */
            head.opened = &opened;
        }
        answer_by_hand(ends, connection, &head, span_of(NULL, 0));
        Sealift__Head ask = SEALIFT__HEAD__INIT;
        Sealift__Ask body = SEALIFT__ASK__INIT;
        ask.kind_case = SEALIFT__HEAD__KIND_ASK;
        ask.ask = &body;
        AUTO(data_message) struct data_message got = {0};
        struct err err = {0};
        cr_assert_not(dialler_request(dialler, &ask, span_of(NULL, 0), &got, &err));
        cr_assert_eq(err.code, ERR_PROTOCOL, "lie %d: %s", lie, err.text);
        dialler_free(dialler, &err);
    }
}

Test(hostile_session, what_is_under_way_is_bounded_by_the_credit_when_nobody_acknowledges)
{
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    ends_admit(ends, CONVERSATION_SEALED);
    const struct id seal = {{1}};
    struct dialler *dialler = ends_dial(ends, CONVERSATION_SEALED, &seal);
    uint64_t connection = open_by_hand(ends, dialler);
    struct err err = {0};
    for (uint64_t number = 1; number <= 4; number++) {
        AUTO(buf) struct buf batch = {0};
        (void)buf_grow(&batch, 256 << 10);
        memset(batch.data, 1, batch.len);
        if (number <= 4) cr_assert(dialler_batch(dialler, number, &batch, &err), "%s", err.text);
    }
    /* the fifth waits for the acknowledgement of the first */
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Ack ack = SEALIFT__ACK__INIT;
    ack.number = 1;
    head.kind_case = SEALIFT__HEAD__KIND_ACK;
    head.ack = &ack;
    answer_by_hand(ends, connection, &head, span_of(NULL, 0));
    AUTO(buf) struct buf batch = {0};
    (void)buf_grow(&batch, 256 << 10);
    memset(batch.data, 1, batch.len);
    cr_assert(dialler_batch(dialler, 5, &batch, &err), "%s", err.text);
    dialler_free(dialler, NULL);
}
