/* How many connections each client address has: counted by IPv4 address, and by the /64 of an IPv6 address,
 * all of which one host can have. A pure table. */
#ifndef SEALIFT_PROXY_ADDRESS_COUNT_H
#define SEALIFT_PROXY_ADDRESS_COUNT_H

#include "common/base/auto.h"
#include "transporter/proxy/core/siphash.h"

#define ADDRESS_LEN 16 /* in network order; IPv4 as ::ffff:a.b.c.d */

struct address_count;

struct address_count *address_count_new(const uint8_t key[static SIPHASH_KEY_LEN]);
void address_count_free(struct address_count *table);
DEFINE_AUTO(address_count, struct address_count *, address_count_free)

/* One more, unless there are `most` already. */
bool address_count_enter(struct address_count *table, const uint8_t address[static ADDRESS_LEN], size_t most)
    __attribute__((warn_unused_result));
/* One less, of those that entered. */
void address_count_leave(struct address_count *table, const uint8_t address[static ADDRESS_LEN]);

bool address_is_ipv4(const uint8_t address[static ADDRESS_LEN]);

#endif
