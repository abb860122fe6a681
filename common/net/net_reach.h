/* Whether a TCP connection to an address comes up, straight or through a SOCKS5 proxy, and exactly why not:
 * for the person who has to open a firewall. Nothing is sent to the address. */
#ifndef SEALIFT_NET_REACH_H
#define SEALIFT_NET_REACH_H

#include "common/base/err.h"
#include "common/net/net_logins.h"
#include "common/net/net_wake.h"

enum net_reach_reason {
    NET_REACHED,
    NET_REACH_REFUSED,      /* the host says no: nobody listens there, or a firewall rejects */
    NET_REACH_NO_ANSWER,    /* nothing came back: a firewall drops, or the host is off */
    NET_REACH_NO_ROUTE,     /* no route to the network or the host */
    NET_REACH_NAME_UNKNOWN, /* the name has no address, or cannot be looked up */
    NET_REACH_LOGIN_WANTED, /* the proxy wants a user and a password */
    NET_REACH_LOGIN_REFUSED,
    NET_REACH_NOT_ALLOWED, /* the proxy's rules forbid the address */
    NET_REACH_NOT_SOCKS5,  /* what answers is no SOCKS5 proxy */
    NET_REACH_SILENT,      /* what answers as a proxy says nothing */
    NET_REACH_CLOSED,      /* the proxy closed the connection before it answered */
    NET_REACH_CANNOT,      /* the proxy says so, and no more; or it speaks less than it must */
    NET_REACH_GIVEN_UP,
    NET_REACH_BAD_ADDRESS, /* not a HOST:PORT */
    NET_REACH_SYSTEM,      /* another system call failed */
};

/* Where it ended. */
enum net_reach_end {
    NET_REACH_TARGET,       /* on the way to the address, without a proxy */
    NET_REACH_PROXY,        /* on the way to the proxy, or with what it says of itself */
    NET_REACH_BEHIND_PROXY, /* on the proxy's way to the address, as it tells it */
};

struct net_reach_result {
    enum net_reach_reason reason;
    enum net_reach_end end;
    int detail;    /* errno; getaddrinfo's number (NET_REACH_NAME_UNKNOWN); behind a proxy its reply code */
    int waited_ms; /* for the answer that did not come (NET_REACH_NO_ANSWER, NET_REACH_SILENT) */
    size_t proxy;  /* of several on the way, the one that `end` is about: 0 is the first */
};

/* All borrowed until net_reach returns. */
struct net_reach_try {
    const char *address;       /* HOST:PORT */
    const char *socks5;        /* HOST:PORT of a proxy, which resolves the address; or NULL */
    struct net_logins *logins; /* who logs in at the proxy; or NULL: nobody */
    int timeout_ms; /* for TCP to connect, and as long again for a proxy to say that it did. Looking a name up
                       has limits of its own, the system's */
    const struct net_wake *give_up; /* NET_REACH_GIVEN_UP when it is signalled; or NULL */
};

/* One try, on the calling thread (any). */
struct net_reach_result net_reach(const struct net_reach_try *try);

/* "refused: nobody listens there, or a firewall rejects it", "the proxy wants a user and a password". Names
 * no address. */
#define NET_REACH_TEXT_MAX 200
void net_reach_text(const struct net_reach_result *result, char out[static NET_REACH_TEXT_MAX]);
/* ERR_UNREACHABLE, or what is nearer. */
enum err_code net_reach_code(enum net_reach_reason reason);

#endif
