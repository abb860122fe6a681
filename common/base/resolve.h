/* The addresses of a host, and an end to waiting for them: the system's resolver takes as long as it likes
 * and hears nobody, so a thread of its own waits for it, and is left to itself when who asked gives up. */
#ifndef SEALIFT_BASE_RESOLVE_H
#define SEALIFT_BASE_RESOLVE_H

#include "common/base/auto.h"

#include <netdb.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>

static inline void addresses_free(struct addrinfo *addresses)
{
    if (addresses) freeaddrinfo(addresses);
}
DEFINE_AUTO(addresses, struct addrinfo *, addresses_free)

/* What ends the waiting. {.until_ms = RESOLVE_FOR_EVER}: nothing. */
struct resolve_end {
    const struct pollfd *fds; /* poll(2) says so of one of them; at most RESOLVE_FDS_MAX */
    size_t fd_count;
    uint64_t until_ms; /* on the steady clock */
};
#define RESOLVE_FDS_MAX 4
#define RESOLVE_FOR_EVER UINT64_MAX

#define RESOLVE_GIVEN_UP 1 /* getaddrinfo's own codes are negative, or 0 */

/* Of a name or an address, for TCP: 0 and `out`; getaddrinfo's code, with errno for EAI_SYSTEM; or
 * RESOLVE_GIVEN_UP. An address asks nobody, and is found also where the waiting has ended. Any thread. */
int resolve_host(const char *host, uint16_t port, const struct resolve_end *end, struct addrinfo **out);

#endif
