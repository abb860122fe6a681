/* What the two ports have in common: messages are taken a few at a time, and who sends a broken one is
 * dropped. */
#include "director/loop/inside.h"

enum { MESSAGES_A_TURN = 64 };

static void receive(struct director *director, const struct port *port, const struct net_peer *peer,
                    const struct net_message *message)
{
    struct err err;
    AUTO(head) Sealift__Head *head = NULL;
    struct span payload = net_message_payload(message);
    if (head_decode(port->channel, net_message_header(message), payload.len, &head, &err))
        port->take(director, peer, head, payload);
    else
        port->drop(director, peer, err.text);
}

void port_receive(struct director *director, const struct port *port)
{
    for (int i = 0; i < MESSAGES_A_TURN && !director->failed; i++) {
        struct net_peer peer;
        enum net_fault fault;
        AUTO(net_message) struct net_message message = {0};
        enum net_status status = net_socket_recv(port->socket, &peer, &message, &fault, 0);
        if (status == NET_REFUSED)
            port->drop(director, &peer, net_fault_text(fault));
        else if (status == NET_OK)
            receive(director, port, &peer, &message);
        else
            return;
    }
}
