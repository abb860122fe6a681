#include "transporter/session/listener_inside.h"

#include <inttypes.h>
#include <string.h>

static bool is_peer(const struct net_peer *known, const struct net_peer *peer)
{
    return known->route == peer->route && memcmp(known->key, peer->key, NET_KEY_LEN) == 0;
}

struct listener_session *listener_session_of_peer(const struct listener *listener,
                                                  const struct net_peer *peer, unsigned *index)
{
    *index = 0;
    for (struct listener_session *session = listener->sessions; session; session = session->next) {
        if (session->bound && is_peer(&session->peer, peer)) return session;
        for (unsigned i = 1; i < STRIPES_MAX; i++) {
            if (!session->stripes[i].bound || !is_peer(&session->stripes[i].peer, peer)) continue;
            *index = i;
            return session;
        }
    }
    return NULL;
}

/* --- joining --- */

/* Their hashes are compared: how long that takes says nothing about the ticket. */
static bool is_ticket(const struct listener_session *session, const ProtobufCBinaryData *ticket)
{
    struct hash given = hash_of(span_of(ticket->data, ticket->len));
    struct hash expected = hash_of(span_of(session->options.ticket, LISTENER_TICKET_LEN));
    return hash_eq(&given, &expected);
}

bool listener_ticket_fits(struct listener *listener, const struct net_peer *peer,
                          const ProtobufCBinaryData *run, const ProtobufCBinaryData *ticket, uint32_t attempt,
                          struct listener_session **out, struct err *err)
{
    struct id id = {{0}};
    if (run->len == ID_LEN) memcpy(id.bytes, run->data, ID_LEN);
    struct listener_session *session = listener_session_of(listener, &id);
    /* one answer for all that is not its to know */
    if (!session || memcmp(session->options.peer_key, peer->key, NET_KEY_LEN) != 0 ||
        !is_ticket(session, ticket))
        return err_set(err, ERR_NOT_AUTHENTIC, "the ticket admits to no run here");
    if (attempt != session->options.attempt)
        return err_set(err, ERR_PROTOCOL, "attempt %u is not the current one, which is %u", attempt,
                       session->options.attempt);
    *out = session;
    return true;
}

bool listener_join_stripe(struct listener *listener, const struct net_peer *peer,
                          const Sealift__Stripe *stripe, struct err *err)
{
    struct listener_session *session = NULL;
    if (!listener_ticket_fits(listener, peer, &stripe->run, &stripe->ticket, stripe->attempt, &session, err))
        return false;
    if (!session->bound || session->opened != session->connection || stripe->epoch != session->connection)
        return err_set(err, ERR_PROTOCOL, "a stripe of connection %" PRIu64 ", which does not stand",
                       stripe->epoch);
    if (stripe->index < 1 || stripe->index >= STRIPES_MAX)
        return err_set(err, ERR_PROTOCOL, "a stripe numbered %u: they go from 1 to %d", stripe->index,
                       STRIPES_MAX - 1);
    struct stripe *place = &session->stripes[stripe->index];
    if (place->bound) return err_set(err, ERR_PROTOCOL, "stripe %u came twice", stripe->index);
    *place = (struct stripe){.bound = true, .peer = *peer};
    return true;
}

void listener_drop_stripes(struct listener_session *session)
{
    struct listener_box none;
    listener_box_init(&none);
    for (unsigned i = 1; i < STRIPES_MAX; i++) {
        if (session->stripes[i].bound) listener_leave(session->listener, &session->stripes[i].peer, &none);
        session->stripes[i].bound = false;
    }
    stripe_order_clear(&session->order);
    session->numbered = false;
}

/* They stay until the session ends, as that of the Open does: what is lost is dialled again, and waits until
 * the peer has need of it. */
void listener_dial_stripes(struct listener_session *session, unsigned count)
{
    if (!session->options.path || !data_path_dials(session->options.path)) return;
    for (; session->outbound < count; session->outbound++)
        outbound_add(session, session->outbound);
}

/* --- messages --- */

/* Questions and a failure are taken as they come. */
static bool needs_no_number(const struct data_message *message)
{
    return message->head->kind_case == SEALIFT__HEAD__KIND_ASK ||
           message->head->kind_case == SEALIFT__HEAD__KIND_FAIL;
}

static void queue(struct listener_session *session, struct data_message *message)
{
    bool ask = message->head->kind_case == SEALIFT__HEAD__KIND_ASK;
    message->connection = session->connection;
    listener_queue_push(ask ? &session->asks : &session->rest, message);
    (void)pthread_cond_broadcast(&session->arrived);
}

bool listener_take_in_order(struct listener_session *session, unsigned index, struct data_message *message,
                            struct err *err)
{
    if (message->head->sequence == 0) {
        if ((session->numbered || index > 0) && !needs_no_number(message))
            return err_set(err, ERR_PROTOCOL, "a '%s' message without a number",
                           head_name(message->head->kind_case));
        queue(session, message);
        return true;
    }
    session->numbered = true;
    if (!stripe_order_put(&session->order, message, err)) return false;
    struct data_message next = {0};
    while (stripe_order_take(&session->order, &next))
        queue(session, &next);
    return true;
}
