#include "transporter/session/data_message.h"

#include "common/base/alloc.h"
#include "transporter/session/conversation.h"

#include <stdlib.h>

void data_message_deinit(struct data_message *message)
{
    head_free(message->head);
    message->head = NULL;
    net_message_deinit(&message->net);
}

void data_message_move(struct data_message *from, struct data_message *to)
{
    to->head = from->head;
    to->connection = from->connection;
    from->head = NULL;
    if (from->net.live) net_message_move(&from->net, &to->net);
}

bool data_message_decode(enum channel channel, struct net_message *net, struct data_message *out,
                         struct err *err)
{
    Sealift__Head *head = NULL;
    if (!head_decode(channel, net_message_header(net), net_message_payload(net).len, &head, err))
        return false;
    out->head = head;
    net_message_move(net, &out->net);
    return true;
}

struct span data_message_payload(const struct data_message *message)
{
    return net_message_payload(&message->net);
}

/* A head of ours that does not fit is our own bug. */
static void make_header(Sealift__Head *head, struct net_message *out)
{
    AUTO(buf) struct buf bytes = {0};
    struct err err;
    head_encode(head, &bytes);
    if (!net_message_make(out, buf_span(&bytes), &err)) abort();
}

void data_message_make(Sealift__Head *head, struct span payload, struct net_message *out)
{
    make_header(head, out);
    if (payload.len) net_message_copy_payload(out, payload);
}

void data_message_make_fail(const struct err *why, struct net_message *out)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Fail fail = SEALIFT__FAIL__INIT;
    AUTO(free) char *text = xstrdup(conversation_public_text(why));
    fail.code = (uint32_t)why->code;
    fail.text = text;
    head.kind_case = SEALIFT__HEAD__KIND_FAIL;
    head.fail = &fail;
    make_header(&head, out);
}

void data_message_failure(const struct data_message *message, struct err *out)
{
    const Sealift__Fail *fail = message->head->fail;
    (void)err_set(out, conversation_fail_code(fail->code), HEAD_BY_PEER "%s",
                  fail->text[0] ? fail->text : "failed without a reason");
}
