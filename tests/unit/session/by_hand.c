#include "by_hand.h"

#include "transporter/session/listener.h"

#include <criterion/criterion.h>

void answer_by_hand(struct ends *ends, uint64_t connection, Sealift__Head *head, struct span payload)
{
    struct net_message message = {0};
    data_message_make(head, payload, &message);
    listener_session_send(ends->session, connection, &message);
}

uint64_t open_by_hand(struct ends *ends, struct dialler *dialler)
{
    AUTO(data_message) struct data_message open = {0};
    struct err err = {0};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Opened opened = SEALIFT__OPENED__INIT;
    struct net_message message = {0};
    struct dialler_opened out;
    cr_assert(listener_session_receive(ends->session, &open, &err), "%s", err.text);
    opened.credit_bytes = 1 << 20;
    head.kind_case = SEALIFT__HEAD__KIND_OPENED;
    head.opened = &opened;
    data_message_make(&head, span_of(NULL, 0), &message);
    listener_session_opened(ends->session, open.connection, &message);
    cr_assert(dialler_await(dialler, &out, &err), "%s", err.text);
    return open.connection;
}
