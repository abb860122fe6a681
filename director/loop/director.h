/* The director: one thread, one event loop around the core (director/core) and the catalog. It owns two
 * ports, `operator` and `control` (docs/protocol.md), finds out who speaks by the CURVE key of each message
 * in today's roster, and never acts on anything before it is durable.
 *
 * If the catalog cannot be written, the director ends with that error: what it knows in memory and what a
 * restart would know must not part. */
#ifndef SEALIFT_DIRECTOR_DIRECTOR_H
#define SEALIFT_DIRECTOR_DIRECTOR_H

#include "common/base/daemon.h"
#include "common/net/net_key.h"
#include "common/net/net_logins.h"

#include <stdint.h>

#define DIRECTOR_LEASE_MS 120000

/* Copies of its state that the director makes by itself; directory NULL: none. */
struct self_backup_settings {
    const char *directory;
    const char *spec; /* as schedule_parse has it */
    unsigned keep;    /* so many stay, at least 1 */
};

/* A transporter that listens for its director. */
struct director_dial {
    const char *address; /* tcp://HOST:PORT */
    const char *proxy;   /* HOST:PORT of a SOCKS5 proxy on the way; or NULL */
};

struct director_settings {
    const char *state_dir;
    const char *bind;                     /* an address, without a port; IPv6 without brackets */
    uint16_t operator_port, control_port; /* 0: any free one */
    const char *config_file;              /* goes with copies of the state; NULL: it does not */
    struct self_backup_settings self_backup;
    uint64_t lease_ms; /* how long a transporter may be gone before its runs end */
    int heartbeat_ms;  /* of connections; 0: as usual */
    const struct director_dial *dials;
    size_t dial_count;
    struct net_logins *logins; /* at the proxies of `dials`: emptied by director_open; NULL: none */
};

struct director;

/* Loads the state and listens. `key` and what `settings` points to must stay for the director's life. */
bool director_open(const struct director_settings *settings, const struct net_key *key, struct director **out,
                   struct err *err) MUST_CHECK;
void director_close(struct director *director);
DEFINE_AUTO(director, struct director *, director_close)

/* Where it listens, "tcp://127.0.0.1:9446". */
const char *director_operator_address(const struct director *director);
const char *director_control_address(const struct director *director);
/* Nobody has claimed the site yet. */
bool director_unclaimed(const struct director *director);

/* What was in `logins`, and may change while it runs. Borrowed. */
struct net_logins *director_logins(const struct director *director);

/* Until `woken` wants it to stop; it is called whenever `fd` can be read. Running transporters are not
 * told and work on. */
bool director_run(struct director *director, int fd, enum daemon_wish (*woken)(void *arg), void *arg,
                  struct err *err) MUST_CHECK;

#endif
