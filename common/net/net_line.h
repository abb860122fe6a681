/* Private to common/net: one of libzmq's connections, known by its descriptor and by who is at the
 * other end. libzmq closes descriptors on threads of its own, and the number may then come to mean
 * another file: nothing is done to one that has changed hands. */
#ifndef SEALIFT_NET_LINE_H
#define SEALIFT_NET_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_line {
    int fd;        /* -1: none */
    uint64_t peer; /* a hash of its address and port */
};

/* The line through `fd`; if `address` is not NULL, only if it leads there (as libzmq writes it).
 * TCP, or a Unix socket whose other end has a name of its own: a relay's. */
struct net_line net_line_of(int fd, const char *address);
/* How many bytes have been received, never less than before: by TCP, or by all that the relay has carried;
 * false if it is neither, or no more. */
bool net_line_received(const struct net_line *line, uint64_t *out);
/* Whether bytes have come that were not read yet. */
bool net_line_unread(const struct net_line *line);
/* The least round trip that TCP has measured on it, in microseconds; 0: it is no TCP, or none yet. */
uint64_t net_line_trip_us(const struct net_line *line);
/* How many bytes the other end's TCP has acknowledged; 0: it is no TCP, or none. */
uint64_t net_line_acked(const struct net_line *line);
/* Of TCP: the kernel takes no more than it can send soon. */
void net_line_keep_short(const struct net_line *line);
/* Ends it for both sides. */
void net_line_cut(struct net_line *line);

/* The other end's address without a port; "" if there is none any more. */
void net_line_address(const struct net_line *line, char *out, size_t size);

#endif
