/* What the tests of common/net share: one context with a running ZAP handler, a server on a free
 * loopback port and clients of it. Every wait has a deadline and fails the test when it passes. */
#ifndef SEALIFT_TEST_NET_LOOPBACK_H
#define SEALIFT_TEST_NET_LOOPBACK_H

#include "common/net/net_monitor.h"
#include "common/net/net_socket.h"
#include "common/net/net_zap.h"

#define DEADLINE_MS 10000
#define DOMAIN "control"

struct loopback {
    struct net_context *context;
    struct net_zap *zap;
    struct net_key *server_key;
    struct net_key *client_key; /* allowed in DOMAIN */
    struct net_socket *server;  /* listens at `address` */
    struct net_monitor *server_monitor;
    char address[128];
};

/* with a server whose options are net_options_of(NET_SERVER), max_payload 100,000 */
void loopback_init(struct loopback *loop, enum net_unknown unknown);
void loopback_deinit(struct loopback *loop);
DEFINE_AUTO_IN_PLACE(loopback, struct loopback, loopback_deinit)

struct net_options loopback_server_options(const struct loopback *loop);
struct net_options loopback_client_options(const struct loopback *loop, const struct net_key *key);
struct net_key *make_key(void);
struct net_socket *make_socket(const struct loopback *loop, const struct net_options *options);
void attach(struct net_socket *socket, enum net_side side, const char *address);

/* a client with its monitor, dialling the server */
struct client {
    struct net_socket *socket;
    struct net_monitor *monitor;
};
void client_init(struct client *client, const struct loopback *loop, const struct net_key *key);
void client_init_with(struct client *client, const struct loopback *loop, const struct net_options *options,
                      const char *address);
void client_deinit(struct client *client);
DEFINE_AUTO_IN_PLACE(client, struct client, client_deinit)

long now_ms(void);
/* waits for this kind of event, skipping others */
struct net_monitor_event await(struct net_monitor *monitor, enum net_monitor_kind kind);

void send_text(struct net_socket *socket, const struct net_peer *to, const char *header, const char *payload);
void send_bytes(struct net_socket *socket, const struct net_peer *to, struct span header,
                struct span payload);
/* the next message must be this one */
struct net_peer receive_text(struct net_socket *socket, const char *header, const char *payload);
/* the next thing the socket has to say must be that it refused a message for this fault */
struct net_peer receive_refusal(struct net_socket *socket, enum net_fault fault);
/* Sends until the socket knows that this peer has left; `message` is the one that did not go. */
void await_unreachable(struct net_socket *server, const struct net_peer *peer, struct net_message *message);

bool same_key(const struct net_peer *peer, const struct net_key *key);

#endif
