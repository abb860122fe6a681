/* The proxy at work: one thread, one epoll loop. It accepts callers, hears what they ask for (SOCKS5), dials
 * endpoints of the list or waits for the other end of a rendezvous, and then passes bytes on until both ends
 * are done. What it passes on is ciphertext; it has no key and writes nothing to disk.
 *
 * A caller that is silent, slow or one too many costs a descriptor and 1.5 KiB until a limit of the settings
 * ends it. With as many callers as may be, a new one takes the place of the oldest that has not asked yet, or
 * that has waited longest at a rendezvous; who is joined keeps the place. */
#ifndef SEALIFT_PROXY_PROXY_H
#define SEALIFT_PROXY_PROXY_H

#include "transporter/proxy/core/rendezvous_name.h"
#include "transporter/proxy/proxy_settings.h"

struct proxy;

/* PROXY_LOOK: what is expected has changed */
enum proxy_wish { PROXY_GO_ON, PROXY_LOOK, PROXY_RELOAD, PROXY_STOP };

#define PROXY_LOCAL_MAX 64

struct proxy_options {
    /* the file that PROXY_RELOAD reads again, off the loop's thread; NULL: it is not wished */
    const char *config;
    int wake_fd; /* readable: `woken` is called, which empties it */
    enum proxy_wish (*woken)(void *arg);
    /* NULL: a proxy for everybody. Else it is the port of a program that is one end of each rendezvous
     * itself: side `b` of a name that the program expects may come over the network, side `a` is the
     * program's, and comes to the abstract socket `local`, with the digit of the stripe behind it, as soon as
     * the other waits. The loop's thread calls. */
    bool (*expects)(void *arg, const uint8_t id[static RENDEZVOUS_ID_LEN],
                    char local[static PROXY_LOCAL_MAX]);
    void *arg; /* of both */
};

/* Looks the names of the list up, listens, and raises RLIMIT_NOFILE to what the limits need (or lowers the
 * limits to what there is, which is logged). Takes the settings: `*settings` is empty afterwards. */
bool proxy_new(const struct proxy_options *options, struct proxy_settings *settings, struct proxy **out,
               struct err *err) MUST_CHECK;
void proxy_free(struct proxy *proxy);
DEFINE_AUTO(proxy, struct proxy *, proxy_free)

/* Where it listens, with the port that port 0 became: "127.0.0.1:41000 [::1]:41000". */
void proxy_addresses(const struct proxy *proxy, struct buf *out);
/* Until PROXY_STOP; joined connections are then given the drain time to end. */
bool proxy_run(struct proxy *proxy, struct err *err) MUST_CHECK;

#endif
