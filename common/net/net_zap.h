/* Who may connect: the ZAP handler (https://rfc.zeromq.org/spec/27/) of one context, a thread that
 * answers for each CURVE handshake out of tables of allowed public keys.
 *
 * There is one table per domain, and each server socket names its domain. Start it before the
 * first server socket is made, stop it after the last is freed. Nothing but CURVE is admitted, and
 * nothing at all in a domain that was not declared. All unknown keys of a domain together get at most
 * NET_ZAP_BURST admissions within NET_ZAP_WINDOW_S, one known key NET_ZAP_BURST_KNOWN (a command line makes
 * a connection for each command, and scripts make many); they may try again after.
 * All functions but start and stop may be called from any thread. */
#ifndef SEALIFT_NET_ZAP_H
#define SEALIFT_NET_ZAP_H

#include "common/net/net_context.h"
#include "common/net/net_key.h"

#define NET_DOMAIN_MAX 63
#define NET_ADDRESS_MAX 63
#define NET_ZAP_BURST 64
#define NET_ZAP_BURST_KNOWN 1024
#define NET_ZAP_WINDOW_S 10

/* What a domain does with a key that is not in its table. */
enum net_unknown {
    NET_UNKNOWN_REFUSE,  /* ZAP 400: a libzmq client takes it as final and never dials again */
    NET_UNKNOWN_RETRY,   /* ZAP 300: the client tries again after its handshake time is over */
    NET_UNKNOWN_PENDING, /* admitted as pending: what it may send is decided by who receives it */
};

/* How a key stands in a domain at this moment. */
enum net_standing { NET_STANDING_NONE, NET_STANDING_PENDING, NET_STANDING_ALLOWED };

enum net_denial_reason {
    NET_DENIED_KEY,
    NET_DENIED_RATE,
    NET_DENIED_DOMAIN,
    NET_DENIED_MECHANISM,
    NET_DENIED_NO_MESSAGE, /* net_monitor's: the connection ended before it brought a message */
};
/* "unknown key" */
const char *net_denial_text(enum net_denial_reason reason);

/* A handshake that was refused. Text fields came from outside only through libzmq's own hands. */
struct net_denial {
    enum net_denial_reason reason;
    char domain[NET_DOMAIN_MAX + 1];
    char address[NET_ADDRESS_MAX + 1]; /* the peer's, without its port */
    uint8_t key[NET_KEY_LEN];          /* zeros when the mechanism was not CURVE */
    uint64_t count;                    /* how often, until it was taken */
};

/* As logs name who was refused; "unknown" for what is. Borrows from the denial. */
struct net_denial_who {
    const char *address;
    char key[2 * NET_KEY_LEN + 1];
};
void net_denial_who(const struct net_denial *denial, struct net_denial_who *out);

struct net_zap;

/* Returns when the handler answers. ERR_EXISTS if the context has one. */
bool net_zap_start(struct net_context *context, struct net_zap **out, struct err *err) MUST_CHECK;
/* Returns when its thread has ended. NULL is allowed. */
void net_zap_stop(struct net_zap *zap);
DEFINE_AUTO(net_zap, struct net_zap *, net_zap_stop)

/* Declares a domain with an empty table, or gives a known one another policy. The name has 1 to
 * NET_DOMAIN_MAX characters. */
void net_zap_set_domain(struct net_zap *zap, const char *domain, enum net_unknown unknown);

/* The tables of a declared domain. They count for handshakes from now on, and for each message
 * that a net_socket receives from now on: a key that is removed is refused on its standing
 * connections too, and one that was pending needs no new connection. */
void net_zap_allow(struct net_zap *zap, const char *domain, const uint8_t key[static NET_KEY_LEN]);
void net_zap_remove(struct net_zap *zap, const char *domain, const uint8_t key[static NET_KEY_LEN]);
void net_zap_replace_all(struct net_zap *zap, const char *domain, const uint8_t (*keys)[NET_KEY_LEN],
                         size_t count);
enum net_standing net_zap_standing(struct net_zap *zap, const char *domain,
                                   const uint8_t key[static NET_KEY_LEN]);

/* Denials, for logging each once: the same refusal (reason, domain, address, key) is handed out
 * once for as long as it is among the last 64 different ones. false when there is none to take. */
bool net_zap_take_denial(struct net_zap *zap, struct net_denial *out);
/* Whether one of these 64 is of this address. */
bool net_zap_has_denied(struct net_zap *zap, const char *domain, const char *address);
/* An eventfd, readable while there are denials to take: for net_poll_fd. Owned by the handler. */
int net_zap_fd(const struct net_zap *zap);

#endif
