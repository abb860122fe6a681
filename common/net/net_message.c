#include "common/net/net_message.h"

#include "common/base/alloc.h"
#include "common/net/net_zmq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(zmq_msg_t) <= sizeof(struct net_frame), "struct net_frame holds a zmq_msg_t");
static_assert(_Alignof(zmq_msg_t) <= _Alignof(struct net_frame),
              "struct net_frame is aligned for a zmq_msg_t");

/* The zmq_msg_ calls below fail for lack of memory only, or for a frame that was never made. */
static void done_or_abort(int rc)
{
    if (rc != 0) abort();
}

static void frame_copy_bytes(struct net_frame *frame, struct span bytes)
{
    zmq_msg_t *msg = net_zmq_frame(frame);
    done_or_abort(zmq_msg_init_size(msg, bytes.len));
    if (bytes.len) memcpy(zmq_msg_data(msg), bytes.data, bytes.len);
}

bool net_message_make(struct net_message *out, struct span header, struct err *err)
{
    assert(!out->live);
    if (header.len > NET_HEADER_MAX)
        return err_set(err, ERR_LIMIT, "a message header of %zu bytes: at most %d are possible", header.len,
                       NET_HEADER_MAX);
    frame_copy_bytes(&out->header, header);
    done_or_abort(zmq_msg_init(net_zmq_frame(&out->payload)));
    out->live = true;
    return true;
}

void net_message_copy_payload(struct net_message *message, struct span bytes)
{
    assert(message->live);
    (void)zmq_msg_close(net_zmq_frame(&message->payload));
    frame_copy_bytes(&message->payload, bytes);
}

void net_message_take_payload(struct net_message *message, void *data, size_t len,
                              void (*release)(void *data, void *context), void *context)
{
    assert(message->live);
    (void)zmq_msg_close(net_zmq_frame(&message->payload));
    done_or_abort(zmq_msg_init_data(net_zmq_frame(&message->payload), data, len, release, context));
}

static const zmq_msg_t *frame_of(const struct net_frame *frame)
{
    return (const zmq_msg_t *)(const void *)frame->opaque;
}

static void frame_share(const struct net_frame *from, struct net_frame *to)
{
    done_or_abort(zmq_msg_init(net_zmq_frame(to)));
    done_or_abort(zmq_msg_copy(net_zmq_frame(to), net_zmq_unconst(frame_of(from))));
}

void net_message_share(const struct net_message *message, struct net_message *out)
{
    assert(message->live && !out->live);
    frame_share(&message->header, &out->header);
    frame_share(&message->payload, &out->payload);
    out->live = true;
}

bool net_message_share_under(const struct net_message *message, struct span header, struct net_message *out,
                             struct err *err)
{
    assert(message->live);
    if (!net_message_make(out, header, err)) return false;
    (void)zmq_msg_close(net_zmq_frame(&out->payload));
    frame_share(&message->payload, &out->payload);
    return true;
}

static void frame_move(zmq_msg_t *from, struct net_frame *to)
{
    done_or_abort(zmq_msg_init(net_zmq_frame(to)));
    done_or_abort(zmq_msg_move(net_zmq_frame(to), from));
}

void net_message_adopt(struct net_message *out, zmq_msg_t *header, zmq_msg_t *payload)
{
    assert(!out->live);
    frame_move(header, &out->header);
    frame_move(payload, &out->payload);
    out->live = true;
}

void net_message_move(struct net_message *from, struct net_message *out)
{
    assert(from->live);
    net_message_adopt(out, net_zmq_frame(&from->header), net_zmq_frame(&from->payload));
    net_message_deinit(from);
}

struct span net_message_header(const struct net_message *message)
{
    assert(message->live);
    return net_zmq_span(frame_of(&message->header));
}

struct span net_message_payload(const struct net_message *message)
{
    assert(message->live);
    return net_zmq_span(frame_of(&message->payload));
}

void net_message_deinit(struct net_message *message)
{
    if (!message->live) return;
    (void)zmq_msg_close(net_zmq_frame(&message->header));
    (void)zmq_msg_close(net_zmq_frame(&message->payload));
    message->live = false;
}
