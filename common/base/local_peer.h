/* Who is at the other end of a UNIX socket. Abstract names are visible on the whole machine: what listens at
 * one for its own process asks this of each connection. */
#ifndef SEALIFT_BASE_LOCAL_PEER_H
#define SEALIFT_BASE_LOCAL_PEER_H

#include <stdbool.h>

/* Whether it is this process, by what the kernel noted as it connected. false also for any other socket. */
bool local_peer_is_self(int fd);

#endif
