/* Private to common/net: what its parts share of libzmq. */
#ifndef SEALIFT_NET_ZMQ_H
#define SEALIFT_NET_ZMQ_H

#include "common/net/net_context.h"
#include "common/net/net_message.h"
#include "common/net/net_monitor.h"
#include "common/net/net_socket.h"

#include <pthread.h>
#include <zmq.h>

struct net_guard;

/* the draft options that libzmq takes without its draft headers */
#define NET_ZMQ_ZAP_ENFORCE_DOMAIN 93

void *net_context_handle(const struct net_context *context);
/* A thread that uses the context without a socket of its own: net_context_free waits until each
 * that entered has left. */
void net_context_enter(struct net_context *context);
void net_context_leave(struct net_context *context);
/* A thread that takes no signals: those are for the loops. Detached where `out` is NULL. */
bool net_thread_start(void *(*run)(void *), void *argument, pthread_t *out, struct err *err) MUST_CHECK;
void *net_socket_handle(const struct net_socket *socket);
struct net_context *net_socket_context(const struct net_socket *socket);
enum net_role net_socket_role(const struct net_socket *socket);
/* The most that one connection can have waiting in whole messages, in bytes. */
uint64_t net_socket_window(const struct net_socket *socket);
/* Server: whether its ZAP has lately refused somebody of this address. */
bool net_socket_has_denied(const struct net_socket *socket, const char *address);
const char *net_socket_domain(const struct net_socket *socket);
/* Borrowed; NULL takes it away. */
void net_socket_set_guard(struct net_socket *socket, struct net_guard *guard);
/* Client that listens: whether a connection that ended is another than that through which the server spoke.
 */
bool net_socket_is_of_stranger(const struct net_socket *socket, int fd);
/* The address that was attached, for the one that libzmq dials in its place; else the same. */
const char *net_socket_dialled(const struct net_socket *socket, const char *endpoint);
void *net_monitor_handle(const struct net_monitor *monitor);

void net_zmq_close(void *handle);
DEFINE_AUTO(net_zmq, void *, net_zmq_close)
void net_zmq_msg_close(zmq_msg_t *frame);
DEFINE_AUTO_IN_PLACE(net_zmq_msg, zmq_msg_t, net_zmq_msg_close)

/* Sets ": reason" from libzmq's errno behind the text; ERR_CANCELLED for ETERM. Returns false. */
bool net_zmq_fail(struct err *err, int number, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool net_zmq_set(void *handle, int option, const void *value, size_t len, struct err *err) MUST_CHECK;
bool net_zmq_set_int(void *handle, int option, int value, struct err *err) MUST_CHECK;
bool net_zmq_set_text(void *handle, int option, const char *value, struct err *err) MUST_CHECK;

/* libzmq's functions lack the const where they change nothing that can be seen. */
static inline zmq_msg_t *net_zmq_unconst(const zmq_msg_t *frame)
{
    const union {
        const zmq_msg_t *in;
        zmq_msg_t *out;
    } same = {.in = frame};
    return same.out;
}

static inline struct span net_zmq_span(const zmq_msg_t *frame)
{
    return span_of(zmq_msg_data(net_zmq_unconst(frame)), zmq_msg_size(frame));
}

static inline zmq_msg_t *net_zmq_frame(struct net_frame *frame)
{
    return (zmq_msg_t *)(void *)frame->opaque;
}

/* `out`, empty before, takes both frames, which are empty but initialised afterwards. */
void net_message_adopt(struct net_message *out, zmq_msg_t *header, zmq_msg_t *payload);

/* Copies an address as libzmq writes it, without the prefix that it gives IPv4 in IPv6; cut to fit. */
void net_zmq_address(const char *text, char *out, size_t size);

/* A point in time `timeout_ms` from now (-1: never comes), and how far off it is: -1, or from 0 up. */
int64_t net_deadline(int timeout_ms);
int net_deadline_left(int64_t deadline);

#endif
