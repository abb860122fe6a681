#include "cargo.h"
#include "common/base/clock.h"
#include "ends.h"
#include "transporter/session/listener_inside.h"
#include "transporter/session/outlet_remote.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>

enum { STRIPES = 4, PATIENCE_MS = 10000 };

/* The first connections of the session that stand at the listening side. */
static unsigned stripes_of(struct ends *ends)
{
    unsigned count = 1;
    (void)pthread_mutex_lock(&ends->listener->lock);
    for (unsigned i = 1; i < STRIPES_MAX; i++)
        count += ends->session->stripes[i].bound;
    (void)pthread_mutex_unlock(&ends->listener->lock);
    return count;
}

static void await_stripes(struct ends *ends, unsigned count)
{
    uint64_t until_ms = clock_steady_ms() + PATIENCE_MS;
    while (stripes_of(ends) < count && clock_steady_ms() < until_ms)
        (void)sched_yield();
    cr_assert_eq(stripes_of(ends), count);
}

static struct dialler *dial(const struct ends *ends, unsigned stripes)
{
    const struct id seal = ends->keys.run->seal;
    struct dialler_options options = ends_dialler(ends, CONVERSATION_SEALED, &seal);
    struct dialler *dialler = NULL;
    struct err err = {0};
    options.stripes = stripes;
    cr_assert(dialler_new(&options, &dialler, &err), "%s", err.text);
    return dialler;
}

/* One backup over so many connections; `cut`: they are cut in its middle, this often. */
static void back_up(unsigned stripes, uint64_t cut_after, unsigned cuts)
{
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    struct err err = {0};
    struct dialler_opened opened;
    struct commit_receipt receipt = {0};
    struct hash root;
    AUTO(buf) struct buf missing = {0};
    ends_serve(ends, CONVERSATION_SEALED, false);
    struct dialler *dialler = dial(ends, stripes);
    cr_assert(dialler_await(dialler, &opened, &err), "%s", err.text);
    if (cuts == 0) await_stripes(ends, stripes);
    atomic_store(&ends->relay->cut_after, cut_after);
    atomic_store(&ends->relay->cuts_left, cuts);
    struct sealing_options options = keys_sealing(&ends->keys, outlet_remote(dialler));
    AUTO(cargo) struct cargo cargo;
    cargo_open(&cargo, &options);
    cr_assert(cargo_pack(&cargo, &root), "%s", cargo.err.text);
    cr_assert(cargo_commit(&cargo, &ends->keys, &ends->keys.run->seal, &root, &receipt, &missing), "%s",
              cargo.err.text);
    dialler_free(dialler, NULL);
    cr_assert(ends_join(ends), "%s", ends->serve_err.text);
    cr_assert_eq(ends->committed, 1);
    cargo_assert_stored(&cargo, &ends->keys, ends->repository, &root);
}

Test(stripes_session, a_backup_over_several_connections_is_that_over_one)
{
    back_up(1, 0, 0);
    back_up(STRIPES, 0, 0);
    back_up(STRIPES_MAX, 0, 0);
}

/* The first to carry so many bytes is cut, whichever it is. */
Test(stripes_session, a_stripe_cut_anywhere_changes_nothing, .timeout = 120)
{
    static const struct {
        uint64_t after;
        unsigned cuts;
    } cases[] = {{1000, 6}, {2500, 6}, {60000, 6}, {700000, 6}, {1100000, 4}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        back_up(STRIPES, cases[i].after, cases[i].cuts);
}

/* --- stripes that nobody asked for --- */

/* A connection by hand, in the source's name or another's. */
struct caller {
    struct net_key *key;
    struct net_socket *socket;
};

static void caller_deinit(struct caller *caller)
{
    net_socket_free(caller->socket);
    net_key_free(caller->key);
}
DEFINE_AUTO_IN_PLACE(caller, struct caller, caller_deinit)

static void call(const struct ends *ends, struct caller *caller)
{
    struct err err = {0};
    struct net_options options = net_options_of(NET_CLIENT);
    struct net_endpoint endpoint = {.side = NET_CONNECT, .address = listener_endpoint(ends->listener)};
    cr_assert(net_key_from_secret(ends->source->transport->sk->data, &caller->key, &err), "%s", err.text);
    options.key = caller->key;
    options.server_key = ends->target->known.transport_pk;
    options.max_payload = PAYLOAD_MAX;
    cr_assert(net_socket_new(ends->net, &options, &caller->socket, &err) &&
                  net_socket_attach(caller->socket, &endpoint, &err),
              "%s", err.text);
}

static void say(struct caller *caller, Sealift__Head *head)
{
    AUTO(net_message) struct net_message message = {0};
    data_message_make(head, span_of(NULL, 0), &message);
    cr_assert_eq(net_socket_send(caller->socket, NULL, &message, PATIENCE_MS), NET_OK);
}

/* The next message that is no probe. */
static void hear(struct caller *caller, struct data_message *out)
{
    for (;;) {
        AUTO(net_message) struct net_message net = {0};
        AUTO(data_message) struct data_message message = {0};
        struct net_peer from;
        enum net_fault fault;
        struct err err = {0};
        cr_assert_eq(net_socket_recv(caller->socket, &from, &net, &fault, PATIENCE_MS), NET_OK);
        cr_assert(data_message_decode(CHANNEL_LISTENER_TO_DIALLER, &net, &message, &err), "%s", err.text);
        if (message.head->kind_case == SEALIFT__HEAD__KIND_ACK) continue;
        data_message_move(&message, out);
        return;
    }
}

static ProtobufCBinaryData field(const void *bytes, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)bytes, .len = len};
}

static uint64_t open_by_hand(struct ends *ends, struct caller *caller)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Open open = SEALIFT__OPEN__INIT;
    AUTO(data_message) struct data_message opened = {0};
    open.run = field(ends->run.bytes, ID_LEN);
    open.ticket = field(ends->ticket, sizeof(ends->ticket));
    open.attempt = 1;
    open.seal = field(ends->keys.run->seal.bytes, ID_LEN);
    head.kind_case = SEALIFT__HEAD__KIND_OPEN;
    head.open = &open;
    call(ends, caller);
    say(caller, &head);
    hear(caller, &opened);
    cr_assert_eq(opened.head->kind_case, SEALIFT__HEAD__KIND_OPENED);
    return opened.head->opened->epoch;
}

static void say_stripe(const struct ends *ends, struct caller *caller, uint64_t epoch, uint32_t index,
                       uint8_t ticket_flip)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Stripe stripe = SEALIFT__STRIPE__INIT;
    uint8_t ticket[LISTENER_TICKET_LEN];
    memcpy(ticket, ends->ticket, sizeof(ticket));
    ticket[0] ^= ticket_flip;
    stripe.run = field(ends->run.bytes, ID_LEN);
    stripe.ticket = field(ticket, sizeof(ticket));
    stripe.attempt = 1;
    stripe.epoch = epoch;
    stripe.index = index;
    head.kind_case = SEALIFT__HEAD__KIND_STRIPE;
    head.stripe = &stripe;
    call(ends, caller);
    say(caller, &head);
}

static void assert_refused(const struct ends *ends, uint64_t epoch, uint32_t index, uint8_t ticket_flip,
                           enum err_code code)
{
    AUTO(caller) struct caller caller = {0};
    AUTO(data_message) struct data_message answer = {0};
    say_stripe(ends, &caller, epoch, index, ticket_flip);
    hear(&caller, &answer);
    cr_assert_eq(answer.head->kind_case, SEALIFT__HEAD__KIND_FAIL);
    cr_assert_eq(answer.head->fail->code, (uint32_t)code, "%s", answer.head->fail->text);
}

Test(stripes_session, only_a_stripe_of_the_connection_that_stands_joins)
{
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    AUTO(caller) struct caller old = {0}, first = {0}, stripe = {0};
    ends_serve(ends, CONVERSATION_SEALED, false);
    uint64_t before = open_by_hand(ends, &old), epoch = open_by_hand(ends, &first);
    cr_assert(epoch != 0 && epoch != before);
    assert_refused(ends, before, 1, 0, ERR_PROTOCOL);
    assert_refused(ends, epoch + 1, 1, 0, ERR_PROTOCOL);
    assert_refused(ends, epoch, 0, 0, ERR_PROTOCOL);
    assert_refused(ends, epoch, STRIPES_MAX, 0, ERR_PROTOCOL);
    assert_refused(ends, epoch, 1, 1, ERR_NOT_AUTHENTIC);
    say_stripe(ends, &stripe, epoch, 1, 0);
    await_stripes(ends, 2);
    assert_refused(ends, epoch, 1, 0, ERR_PROTOCOL);
    cr_assert_eq(stripes_of(ends), 2); /* those that were refused took nothing from it */
}

static void say_batch(struct caller *caller, uint64_t sequence, uint64_t number)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Batch batch = SEALIFT__BATCH__INIT;
    batch.number = number;
    head.sequence = sequence;
    head.kind_case = SEALIFT__HEAD__KIND_BATCH;
    head.batch = &batch;
    say(caller, &head);
}

/* What a peer gets for it, by its first connection. */
static void assert_fails(const char *text, uint64_t first_number, uint64_t stripe_number)
{
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    AUTO(caller) struct caller first = {0}, stripe = {0};
    AUTO(data_message) struct data_message answer = {0};
    ends_serve(ends, CONVERSATION_SEALED, false);
    say_stripe(ends, &stripe, open_by_hand(ends, &first), 1, 0);
    await_stripes(ends, 2);
    say_batch(&first, first_number, 1);
    say_batch(&stripe, stripe_number, 2);
    hear(&first, &answer);
    cr_assert_eq(answer.head->kind_case, SEALIFT__HEAD__KIND_FAIL);
    cr_assert_str_eq(answer.head->fail->text, text);
    cr_assert_not(ends_join(ends));
}

Test(stripes_session, a_stripe_that_breaks_the_order_ends_the_conversation)
{
    assert_fails("message 5 came twice", 5, 5);
    assert_fails("message 5000 came before message 1", 5, 5000);
    assert_fails("a 'batch' message without a number", 5, 0);
}

Test(stripes_session, the_count_that_was_told_is_repeated_at_once)
{
    AUTO(ends) struct ends *ends = ends_new(REPOSITORY_ENCRYPTED);
    AUTO(caller) struct caller first = {0};
    AUTO(data_message) struct data_message answer = {0};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Stripes stripes = SEALIFT__STRIPES__INIT;
    ends_serve(ends, CONVERSATION_SEALED, false);
    (void)open_by_hand(ends, &first);
    stripes.count = 3;
    head.kind_case = SEALIFT__HEAD__KIND_STRIPES;
    head.stripes = &stripes;
    say(&first, &head);
    hear(&first, &answer);
    cr_assert_eq(answer.head->kind_case, SEALIFT__HEAD__KIND_STRIPES);
    cr_assert_eq(answer.head->stripes->count, 3);
    AUTO(data_message) struct data_message refusal = {0};
    stripes.count = STRIPES_MAX + 1;
    say(&first, &head);
    hear(&first, &refusal);
    cr_assert_eq(refusal.head->kind_case, SEALIFT__HEAD__KIND_FAIL);
}
