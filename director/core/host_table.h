/* Which transporters are there: connected or since when not, which process, how many slots. */
#ifndef SEALIFT_DIRECTOR_HOST_TABLE_H
#define SEALIFT_DIRECTOR_HOST_TABLE_H

#include "common/base/auto.h"
#include "common/crypto/hash.h"
#include "common/crypto/sign.h"
#include "director/core/moment.h"

#include <stdbool.h>

#define HOST_ENDPOINT_MAX 255

struct host {
    uint8_t key[SIGN_PK_LEN];
    bool connected;
    uint64_t gone_since_ms; /* while not connected: since when, or since the director looks for it */
    struct id incarnation;  /* of its process, as of its last Hello; zeros: there was none */
    uint32_t slots;
    uint32_t kept_slots;                          /* of them: only recoveries get them; fewer than `slots` */
    char reverse_endpoint[HOST_ENDPOINT_MAX + 1]; /* of its reverse port; empty: it has none */
    uint32_t booked;                              /* scratch of the scheduler */
};

/* Holds whoever was asked for: the caller asks for transporters of the roster only. */
struct host_table {
    struct host *items;
    size_t count, cap;
};

void host_table_deinit(struct host_table *hosts);
/* Makes an entry, gone since now, for a host that is not in the table. The pointer is good until the next
 * call. */
struct host *host_table_get(struct host_table *hosts, const uint8_t key[SIGN_PK_LEN],
                            const struct moment *now);
/* not connected for `lease_ms` or longer */
bool host_gone(const struct host *host, const struct moment *now, uint64_t lease_ms);

#endif
