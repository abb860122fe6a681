/* One peer's connection and what waits to be sent on it: messages as they are, and statements, which are
 * fetched when their turn comes. In order, never blocking, bounded. */
#ifndef SEALIFT_DIRECTOR_LINE_H
#define SEALIFT_DIRECTOR_LINE_H

#include "common/crypto/hash.h"
#include "common/net/net_socket.h"
#include "common/wire/head.h"

#define LINE_BYTES_MAX (64u * 1024 * 1024) /* of waiting messages */
#define LINE_ITEMS_MAX 200000u

enum line_kind { LINE_MESSAGE, LINE_ROSTER, LINE_STATEMENT, LINE_UNLOCK };

struct line_item {
    enum line_kind kind;
    struct net_message message;
    uint64_t version;            /* roster */
    Sealift__StatementType type; /* statement */
    struct id id;
    struct hash hash; /* unlock section */
};

struct line {
    struct net_socket *socket;
    struct net_peer peer;
    bool lost;               /* the connection is gone; nothing will ever be sent */
    struct line_item *items; /* a ring */
    size_t first, count, cap;
    size_t bytes;
};

void line_init(struct line *line, struct net_socket *socket, const struct net_peer *peer);
void line_deinit(struct line *line);

/* Appends; what does not fit the bounds makes the line lost: the peer does not read. */
void line_send(struct line *line, Sealift__Head *head, struct span payload);
void line_send_roster(struct line *line, uint64_t version);
void line_send_statement(struct line *line, Sealift__StatementType type, const struct id *id);
void line_send_unlock(struct line *line, const struct hash *hash);

/* Sends at once or not at all; NET_AGAIN also when something waits. */
enum net_status line_try(struct line *line, Sealift__Head *head, struct span payload) MUST_CHECK;

/* Makes the message of a roster, statement or unlock section; false: there is none (any more). */
typedef bool line_fetch_fn(void *arg, const struct line_item *item, struct net_message *out);
/* Sends what the connection takes. True if something still waits. */
bool line_pump(struct line *line, line_fetch_fn *fetch, void *arg);

/* Head and payload as a message. */
void line_message(Sealift__Head *head, struct span payload, struct net_message *out);

#endif
