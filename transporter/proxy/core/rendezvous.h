/* Who waits for whom, and who is joined to whom. A pure table: times are arguments, callers are numbers that
 * its user gives them.
 *
 * A name and stripe has two sides with at most one caller each. The second to come is joined to the first. A
 * newer caller of a side takes the older's place: an end that dials again has lost what it had, perhaps
 * without the proxy having seen that. Was the older joined, then its partner goes, too: what it is in the
 * middle of cannot be continued by somebody else, and it dials again.
 *
 * Names are compared without telling by time how much of one was right. */
#ifndef SEALIFT_PROXY_RENDEZVOUS_H
#define SEALIFT_PROXY_RENDEZVOUS_H

#include "common/base/auto.h"
#include "transporter/proxy/core/rendezvous_name.h"
#include "transporter/proxy/core/siphash.h"

struct rendezvous;

/* `key` is random, so that nobody can choose names that lie in one place of the table. */
struct rendezvous *rendezvous_new(const uint8_t key[static SIPHASH_KEY_LEN]);
void rendezvous_free(struct rendezvous *table);
DEFINE_AUTO(rendezvous, struct rendezvous *, rendezvous_free)

/* A caller: not 0. */
#define RENDEZVOUS_NOBODY 0

struct rendezvous_answer {
    uint64_t partner;    /* joined to this one; RENDEZVOUS_NOBODY: waits */
    uint64_t replaced;   /* to be dropped, as is */
    uint64_t left_alone; /* the partner that the replaced one had; neither is in the table any more */
};

/* `caller` must not be in the table. It waits until `deadline_ms` at most. */
struct rendezvous_answer rendezvous_ask(struct rendezvous *table, const struct rendezvous_name *name,
                                        uint64_t caller, uint64_t deadline_ms);
/* `caller` is gone: it left while it waited, or the pair is over. No more than its own place is emptied; its
 * partner leaves by itself. Nothing if it is not there. */
void rendezvous_leave(struct rendezvous *table, const struct rendezvous_name *name, uint64_t caller);
/* One that has waited too long, taken out of the table; RENDEZVOUS_NOBODY when there is none (left). */
uint64_t rendezvous_expire(struct rendezvous *table, uint64_t now_ms);

/* What logs call a name: 8 hex digits that change with the key, and tell nothing of it. */
#define RENDEZVOUS_TAG_LEN 8
void rendezvous_tag(const struct rendezvous *table, const struct rendezvous_name *name,
                    char out[static RENDEZVOUS_TAG_LEN + 1]);

#endif
