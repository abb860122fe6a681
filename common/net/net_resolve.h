/* Private to common/net: the addresses of a host, and an end to waiting for them: the system's resolver takes
 * as long as it likes and hears nobody, so a thread of its own waits for it, and is left to itself when who
 * asked gives up. */
#ifndef SEALIFT_NET_RESOLVE_H
#define SEALIFT_NET_RESOLVE_H

#include <netdb.h>
#include <poll.h>
#include <stddef.h>

#define NET_RESOLVE_GIVEN_UP 1 /* getaddrinfo's own codes are negative, or 0 */

/* Of a name or an address, for TCP: 0 and `out`, to be freed with freeaddrinfo; getaddrinfo's code, with
 * errno for EAI_SYSTEM; or NET_RESOLVE_GIVEN_UP when poll(2) says so of one of `endings`. Any thread. */
int net_resolve(const char *host, const char *port, const struct pollfd *endings, size_t count,
                struct addrinfo **out);

#endif
