/* The name that two ends ask for to be joined (docs/protocol.md, "Rendezvous"):
 *
 *     <52 characters>.<stripe>.<side>.rendezvous.sealift
 *
 * 256 random bits in base32 (RFC 4648, lower case, no padding), one digit, `a` or `b`. There is exactly one
 * spelling of each. */
#ifndef SEALIFT_PROXY_RENDEZVOUS_NAME_H
#define SEALIFT_PROXY_RENDEZVOUS_NAME_H

#include "common/base/bytes.h"

#define RENDEZVOUS_ID_LEN 32
#define RENDEZVOUS_STRIPES 8
#define RENDEZVOUS_NAME_LEN (52 + 2 + 2 + 19)

enum rendezvous_side { RENDEZVOUS_A, RENDEZVOUS_B };

struct rendezvous_name {
    uint8_t id[RENDEZVOUS_ID_LEN];
    uint8_t stripe; /* less than RENDEZVOUS_STRIPES */
    enum rendezvous_side side;
};

/* ends like a rendezvous: not a name to be looked up, whatever else is wrong with it */
bool rendezvous_name_is_meant(struct span text);
bool rendezvous_name_parse(struct span text, struct rendezvous_name *out) __attribute__((warn_unused_result));
/* with a NUL behind it */
void rendezvous_name_print(const struct rendezvous_name *name, char out[static RENDEZVOUS_NAME_LEN + 1]);

#endif
