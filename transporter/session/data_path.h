/* The way between the two hosts of a run, as their assignments say it (docs/protocol.md, "Who connects to
 * whom"): who dials what, for each connection of the run. It is validated once, when it is read; the rest of
 * the session only asks it for endpoints.
 *
 *   direct      the source dials the target's data port, perhaps through a SOCKS5 proxy
 *   reverse     the target dials the source's reverse port, the source meets it there from inside
 *   rendezvous  both dial a proxy, and ask it for one name
 *
 * Who gets out of its network only through a SOCKS5 proxy of its own dials through that: in reverse and at a
 * rendezvous it is a second one before the joiner.
 *
 * The target is the CURVE server in all of them. A path and its texts are not changed once it was read: any
 * thread. */
#ifndef SEALIFT_SESSION_DATA_PATH_H
#define SEALIFT_SESSION_DATA_PATH_H

#include "common/net/net_socket.h"
#include "common/net/net_wake.h"
#include "common/wire/head.h"

#define DATA_PATH_NAME_LEN 32
#define DATA_PATH_PORT_MAX 96

/* What this host's configuration adds to what assignments say. Borrowed by every path. */
struct data_ways {
    /* HOST:PORT of the SOCKS5 proxy that this host's dials go through: to a joiner always, to a data port
     * where the assignment names none; or NULL */
    const char *proxy;
};

/* The host's own reverse port: all NULL where it has none. Any thread. */
struct data_reverse {
    /* From now on the target of a run that brings this name is let in, and this host's own ends meet it at
     * `address` (of connection k: with the digit k behind it). */
    void (*expect)(void *port, const uint8_t name[static DATA_PATH_NAME_LEN],
                   char address[static DATA_PATH_PORT_MAX]);
    void (*forget)(void *port, const uint8_t name[static DATA_PATH_NAME_LEN]);
    void *port;
};

/* What an assignment, or a probe, says; texts are "" where nothing is said. */
struct data_path_words {
    Sealift__RunSide side;
    Sealift__Connection connection;
    const char *endpoint, *proxy;
    struct span rendezvous;
};

struct data_path {
    Sealift__RunSide side;
    Sealift__Connection connection;
    char *endpoint; /* of direct, source: tcp://HOST:PORT; of reverse, target: HOST:PORT; else NULL */
    char *proxy;    /* or NULL */
    uint8_t name[DATA_PATH_NAME_LEN];
    char meets_at[DATA_PATH_PORT_MAX]; /* of reverse, source */
    const struct data_ways *ways;
    const struct data_reverse *reverse; /* expects `name`; NULL: nothing is expected */
};

/* ERR_PROTOCOL: the words do not fit each other, or are no addresses. ERR_CONFIG: this host cannot go this
 * way. Of reverse, the source's port expects the target from now on. `ways` and `reverse` must stay. */
bool data_path_read(const struct data_path_words *words, const struct data_ways *ways,
                    const struct data_reverse *reverse, struct data_path *out, struct err *err) MUST_CHECK;
void data_path_deinit(struct data_path *path);
DEFINE_AUTO_IN_PLACE(data_path, struct data_path, data_path_deinit)

/* Whether this host dials; if not, the other side comes to the data port. */
bool data_path_dials(const struct data_path *path);

#define DATA_PATH_ADDRESS_MAX 300
/* `net` points into `address` and the path: not to be copied. */
struct data_endpoint {
    struct net_endpoint net;
    char address[DATA_PATH_ADDRESS_MAX];
    bool inside; /* within this host: nobody is there until the other side is, and to try costs nothing */
};
/* Where this host dials for connection `stripe`. */
void data_path_endpoint(const struct data_path *path, unsigned stripe, struct data_endpoint *out);

/* How long a dial may take until the connection stands, before it is given up for another one: where two
 * meet, one of them may have to wait. */
uint64_t data_path_patience_ms(const struct data_path *path);

/* What is dialled, as errors call it: "rendezvous at 'p.example:9449'". */
#define DATA_PATH_TEXT_MAX 400
void data_path_text(const struct data_path *path, char out[static DATA_PATH_TEXT_MAX]);

/* How a reason begins that names no more than addresses of the way: anybody who sees the run may read it. */
#define DATA_PATH_GONE "the other side was gone for more than "
#define DATA_PATH_TROUBLE_MAX 256
/* The same without the words of the way itself. */
void data_path_trouble(const struct data_path *path, const char *text,
                       char out[static DATA_PATH_TROUBLE_MAX]);
/* Of a way that failed with `trouble`: asks the address itself where this host dials it straight. May take
 * timeout_ms, unless `give_up` is signalled. `out` may be `trouble`. Whether the address told anything. */
bool data_path_why_not(const struct data_path *path, int timeout_ms, const struct net_wake *give_up,
                       const char *trouble, char out[static DATA_PATH_TROUBLE_MAX]);
/* Whether this host dials nobody, and the other side alone knows why it does not come. */
bool data_path_waits(const struct data_path *path);
/* What is said of it meanwhile; `trouble` as below, `path` may be NULL. */
#define DATA_PATH_ABSENT_MAX (DATA_PATH_TEXT_MAX + DATA_PATH_TROUBLE_MAX)
void data_path_absent(const struct data_path *path, const char *trouble,
                      char out[static DATA_PATH_ABSENT_MAX]);
/* ERR_UNREACHABLE, with that. `trouble`: why the last dial did not come up; "": nothing is known */
void data_path_gone(const struct data_path *path, uint64_t lease_ms, const char *trouble, struct err *err);

#endif
