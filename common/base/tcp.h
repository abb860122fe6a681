/* What Sealift asks of its TCP connections, whoever made them. A descriptor that is no TCP carries on
 * as before. */
#ifndef SEALIFT_BASE_TCP_H
#define SEALIFT_BASE_TCP_H

#include <stdint.h>

/* A round trip from which on a way is long: what the kernel of either end holds of one connection may then be
 * megabytes, seconds' worth for one that has fallen behind, and could go by no other. */
#define TCP_LONG_US 5000

/* Nothing waits for company, and TCP ends the connection when its other side acknowledges nothing, or takes
 * nothing, for so long (to the second while nothing is under way). */
void tcp_watch(int fd, int silence_ms);
/* The least round trip that was measured, in microseconds; 0: it is no TCP, or none was yet. */
uint64_t tcp_trip_us(int fd);
/* The kernel takes no more than it can send soon. */
void tcp_keep_short(int fd);
/* The kernel takes no more from the other side than what one read after the next needs: for a short way that
 * leads to a long one. There is no way back. */
void tcp_take_little(int fd);

#endif
