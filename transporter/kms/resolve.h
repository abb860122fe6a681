/* The addresses of a host, in bounded time: the system's resolver takes as long as it likes, so a thread of
 * its own waits for it, and is left to itself when the time is over. Any thread. */
#ifndef SEALIFT_KMS_RESOLVE_H
#define SEALIFT_KMS_RESOLVE_H

#include "common/base/auto.h"
#include "common/base/err.h"

#include <netdb.h>
#include <stdint.h>

static inline void addresses_free(struct addrinfo *addresses)
{
    if (addresses) freeaddrinfo(addresses);
}
DEFINE_AUTO(addresses, struct addrinfo *, addresses_free)

/* Of a name or an address, for TCP. ERR_UNREACHABLE: there are none, or none by `end_ms` on the steady clock.
 */
bool resolve_host(const char *host, uint16_t port, uint64_t end_ms, struct addrinfo **out,
                  struct err *err) MUST_CHECK;

#endif
