/* The server's half of SOCKS5 as bytes: greeting and request (RFC 1928), user and password (RFC 1929).
 *
 * Each reader is given all that has come and was not used yet. It wants more, or has read one message and
 * tells how many bytes that was: what stands behind is the next message, or already the other end's. Foreign
 * bytes of any kind; nothing is kept between calls, and texts are borrowed from the input. */
#ifndef SEALIFT_PROXY_SOCKS_SERVER_H
#define SEALIFT_PROXY_SOCKS_SERVER_H

#include "common/base/bytes.h"

enum socks_read {
    SOCKS_MORE, /* *used and *out are untouched */
    SOCKS_READ,
    SOCKS_BROKEN, /* not SOCKS5; in a request, what to answer is in out->reply */
};

/* The longest message: a login with a user and a password of 255 bytes each. */
#define SOCKS_MESSAGE_MAX 513

/* What a client can do, of the two ways that we know. */
struct socks_greeting {
    bool plain, login;
};
enum socks_method { SOCKS_PLAIN = 0, SOCKS_LOGIN = 2, SOCKS_NO_METHOD = 0xff };

struct socks_login {
    struct span user, password;
};

enum socks_reply {
    SOCKS_CONNECTED = 0,
    SOCKS_GENERAL_FAILURE = 1,
    SOCKS_NOT_ALLOWED = 2,
    SOCKS_NETWORK_UNREACHABLE = 3,
    SOCKS_HOST_UNREACHABLE = 4,
    SOCKS_REFUSED = 5,
    SOCKS_NO_COMMAND = 7,
    SOCKS_NO_ADDRESS_TYPE = 8,
};

enum socks_address { SOCKS_IPV4 = 1, SOCKS_NAME = 3, SOCKS_IPV6 = 4 };

/* A request to connect. */
struct socks_request {
    enum socks_address type;
    struct span address; /* 4 or 16 bytes in network order, or a name of 1 to 255 bytes of any value */
    uint16_t port;
    enum socks_reply reply; /* of a broken one */
};

enum socks_read socks_read_greeting(struct span in, size_t *used, struct socks_greeting *out);
enum socks_read socks_read_login(struct span in, size_t *used, struct socks_login *out);
enum socks_read socks_read_request(struct span in, size_t *used, struct socks_request *out);

#define SOCKS_CHOICE_LEN 2
#define SOCKS_REPLY_LEN 10
void socks_write_choice(enum socks_method method, uint8_t out[static SOCKS_CHOICE_LEN]);
enum socks_verdict { SOCKS_WELCOME = 0, SOCKS_WRONG_LOGIN = 1 };
void socks_write_verdict(enum socks_verdict verdict, uint8_t out[static SOCKS_CHOICE_LEN]);
/* The address that RFC 1928 has in it is 0.0.0.0:0: which of our addresses dialled is nobody's business. */
void socks_write_reply(enum socks_reply reply, uint8_t out[static SOCKS_REPLY_LEN]);

#endif
