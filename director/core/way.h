/* How the two hosts of a run find each other: links, which operators set for pairs of hosts, what jobs say
 * for themselves, and what comes of both when a run is assigned. A way authorises nothing: hosts prove
 * themselves to each other whatever it is. Pure. */
#ifndef SEALIFT_DIRECTOR_WAY_H
#define SEALIFT_DIRECTOR_WAY_H

#include "common/base/auto.h"
#include "common/base/err.h"
#include "common/crypto/sign.h"
#include "common/wire/connection_name.h"
#include "proto/message.pb-c.h"

#include <stddef.h>

#define WAY_PROXY_MAX 255
#define WAY_NAME_LEN 32 /* of a rendezvous name */
#define LINKS_MAX 10000

/* What somebody wants. CONNECTION_NONE: nothing. */
struct way_wish {
    Sealift__Connection connection;
    char proxy[WAY_PROXY_MAX + 1]; /* HOST:PORT, or empty */
};
/* The rules of a wish for itself: a proxy needs a connection that goes through it, and a rendezvous needs a
 * proxy. `proxy` may be NULL. ERR_USAGE. */
bool way_wish_make(Sealift__Connection connection, const char *proxy, struct way_wish *out,
                   struct err *err) MUST_CHECK;
/* ERR_USAGE lists the names. */
bool way_connection_parse(const char *name, Sealift__Connection *out, struct err *err) MUST_CHECK;

/* ---- links */

/* For runs from `source` to `target`; for those in the opposite direction with direct and reverse exchanged,
 * so that the same host dials, unless they have a link of their own. */
struct link {
    uint8_t source[SIGN_PK_LEN], target[SIGN_PK_LEN];
    struct way_wish wish; /* not CONNECTION_NONE */
};
struct link_table {
    struct link *items; /* in the order in which pairs were first put */
    size_t count, cap;
};
void link_table_deinit(struct link_table *table);
DEFINE_AUTO_IN_PLACE(link_table, struct link_table, link_table_deinit)
/* NULL: that ordered pair has none. Borrowed until the next change. */
const struct link *link_table_find(const struct link_table *table, const uint8_t source[SIGN_PK_LEN],
                                   const uint8_t target[SIGN_PK_LEN]);
/* Replaces the pair's. ERR_LIMIT; ERR_USAGE: a host and itself. */
bool link_table_put(struct link_table *table, const struct link *link, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND */
bool link_table_remove(struct link_table *table, const uint8_t source[SIGN_PK_LEN],
                       const uint8_t target[SIGN_PK_LEN], struct err *err) MUST_CHECK;

/* ---- what comes of it */

struct way_ends {
    const uint8_t *source, *target; /* signing keys */
    const char *source_name, *target_name;
};
/* The job's own wish, else the link of the pair, else a direct connection. A wish for the same connection as
 * the link's that names no proxy takes the link's. Its sentences begin with no name and say what to set.
 * ERR_UNREACHABLE: a rendezvous without a proxy, or a link that has no opposite. `own` and `links` may be
 * NULL. */
bool way_decide(const struct way_wish *own, const struct link_table *links, const struct way_ends *ends,
                struct way_wish *out, struct err *err) MUST_CHECK;
/* Is there where a run by this way can meet? In reverse that is the source's reverse port, which it told of
 * (`reverse_endpoint`, or empty). ERR_UNREACHABLE. */
bool way_check_ends(const struct way_wish *way, const struct way_ends *ends, const char *reverse_endpoint,
                    struct err *err) MUST_CHECK;

/* What one side is told: no more than it needs. Borrows. */
struct way_word {
    const char *endpoint, *proxy; /* or empty */
    bool named;                   /* and the rendezvous name */
};
/* `endpoint`: direct: where the target listens; reverse: the source's reverse port. */
struct way_word way_word_for(const struct way_wish *way, Sealift__RunSide side, const char *endpoint);

/* Where a host listens, as others may dial it: who listens at every address (0.0.0.0, [::], *) and says no
 * other is dialled where the director sees it (`seen`, an address; "": not known). `out` is the endpoint as
 * it was, or with that host; at most `size` bytes with the NUL. */
void way_endpoint(const char *endpoint, const char *seen, char *out, size_t size);

#endif
