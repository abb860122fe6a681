/* The connection to the director: dialled, dialled again when it is lost or broken, with a pause when the
 * handshake goes on failing, the director cuts each connection, or it breaks the protocol. Or the director
 * dials, and this host listens for it: as CURVE's client it still proves who it is to nobody but the holder
 * of the director's key. The control loop's thread owns it. */
#ifndef SEALIFT_TLOOP_DIRECTOR_LINK_H
#define SEALIFT_TLOOP_DIRECTOR_LINK_H

#include "common/net/net_poll.h"
#include "common/wire/head.h"
#include "transporter/loop/outbox.h"

struct director_link;

/* Borrowed. */
struct director_way {
    const char *address; /* tcp://HOST:PORT that is dialled ... */
    const char *proxy;   /* ... through a SOCKS5 proxy, HOST:PORT, or NULL; */
    const char *listen;  /* or, unless NULL, tcp://ADDRESS:PORT where the director dials us */
};

struct director_link_options {
    struct net_context *net;
    struct director_way way;
    const uint8_t *server_key; /* 32 bytes */
    const uint8_t *secret_key; /* ours, 32 bytes */
    void (*up)(void *arg);     /* the connection stands */
    void (*lost)(void *arg);   /* it stood, or what came on it was malformed */
    void (*take)(void *arg, const Sealift__Head *head, struct span payload); /* a message of the director */
    void *arg;
};

/* What `options` points to must stay. Dials with the first director_link_keep. */
bool director_link_new(const struct director_link_options *options, struct director_link **out,
                       struct err *err) MUST_CHECK;
void director_link_free(struct director_link *link);
DEFINE_AUTO(director_link, struct director_link *, director_link_free)

/* What to wait for, at most DIRECTOR_LINK_ITEMS; returns how many it filled in. */
#define DIRECTOR_LINK_ITEMS 2
size_t director_link_wait_for(struct director_link *link, struct net_poll_item items[DIRECTOR_LINK_ITEMS]);
/* Takes what has come, by the callbacks. */
void director_link_receive(struct director_link *link);
/* Dials if there is no connection and no pause. */
void director_link_keep(struct director_link *link, uint64_t now_ms);
/* As much as can go now. */
void director_link_send(struct director_link *link, struct outbox *outbox);
/* Ends the connection, which is `lost` also where there was none, and dials again after a pause. */
void director_link_give_up(struct director_link *link, const char *why);
bool director_link_is_up(const struct director_link *link);

#endif
