/* The conversation with the director's operator port (docs/protocol.md): requests with their answers, and the
 * events of runs that are followed. The connection is made again for as long as it takes; what that means for
 * a request stands at client_request. One at a time; main thread. */
#ifndef SEALIFT_CLI_CLIENT_H
#define SEALIFT_CLI_CLIENT_H

#include "common/base/secret.h"
#include "common/wire/head.h"
#include "common/wire/site_line.h"

enum { CLIENT_LIMIT_MS = 10000 }; /* for an answer, unless said otherwise */

struct client;

/* Starts to dial. `transport` is the operator's CURVE secret, copied. */
bool client_new(const struct director_address *director, const struct secret *transport, unsigned limit_ms,
                struct client **out, struct err *err) MUST_CHECK;
void client_free(struct client *client);
DEFINE_AUTO(client, struct client *, client_free)

/* How long the next requests may wait for their answers. */
void client_limit(struct client *client, unsigned limit_ms);

/* A decoded, validated head with its payload. */
struct client_message {
    Sealift__Head *head;
    struct buf payload;
};
void client_message_deinit(struct client_message *message);
DEFINE_AUTO_IN_PLACE(client_message, struct client_message, client_message_deinit)

enum client_repeat {
    CLIENT_REPEATABLE, /* sent again when the connection broke before the answer */
    CLIENT_ONCE,       /* then it fails: whether it was carried out is not known */
};

/* Sends and waits for the answer, a Done (`out` must be empty). A Fail becomes *err with its code.
 * ERR_UNREACHABLE says what to look at; ERR_POLICY: the director knows no operator with this key. Events that
 * arrive meanwhile wait for client_wait. ERR_CANCELLED after an interrupt that is caught (interrupt.h). */
bool client_request(struct client *client, Sealift__Head *request, struct span payload,
                    enum client_repeat repeat, struct client_message *out, struct err *err) MUST_CHECK;

enum client_news {
    CLIENT_NOTHING,     /* the time is over */
    CLIENT_EVENT,       /* a RunEvent */
    CLIENT_CONNECTED,   /* again: what was followed must be asked for anew */
    CLIENT_LOST,        /* the connection broke, or cannot be made; it is tried again */
    CLIENT_INTERRUPTED, /* interrupt.h */
};
/* The next thing that happens, for at most `timeout_ms`. `event` must be empty. Fails only for good: the
 * director refuses the key or breaks the protocol. */
bool client_wait(struct client *client, unsigned timeout_ms, enum client_news *news,
                 struct client_message *event, struct err *err) MUST_CHECK;

/* The code of a message as an err_code; what is not known is ERR_FAILED. */
enum err_code client_code(uint32_t code);

#endif
