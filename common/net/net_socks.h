/* Private to common/net: the client's half of SOCKS5 (RFC 1928) and of its login by user and password
 * (RFC 1929), as bytes. */
#ifndef SEALIFT_NET_SOCKS_H
#define SEALIFT_NET_SOCKS_H

#include "common/base/bytes.h"
#include "common/base/host_port.h"
#include "common/net/net_reach.h"

/* What is sent: the greeting, perhaps the login, then the request to connect. Names go to the proxy
 * unresolved. Each returns its length. */
enum net_socks_offer { NET_SOCKS_OFFER_NOTHING, NET_SOCKS_OFFER_LOGIN };
#define NET_SOCKS_GREETING_MAX 4
size_t net_socks_greeting(enum net_socks_offer offer, uint8_t out[static NET_SOCKS_GREETING_MAX]);
#define NET_SOCKS_TEXT_MAX 255
#define NET_SOCKS_LOGIN_MAX (3 + 2 * NET_SOCKS_TEXT_MAX)
/* Both of 1 to NET_SOCKS_TEXT_MAX bytes. To be wiped. */
size_t net_socks_login(struct span user, struct span password, uint8_t out[static NET_SOCKS_LOGIN_MAX]);
#define NET_SOCKS_REQUEST_MAX (4 + 1 + HOST_PORT_HOST_MAX + 2)
size_t net_socks_request(const struct host_port *target, uint8_t out[static NET_SOCKS_REQUEST_MAX]);

/* What comes back is read in parts, for behind it the other end's bytes begin: NET_SOCKS_CHOICE_LEN
 * bytes after the greeting, NET_SOCKS_VERDICT_LEN after the login; after the request
 * NET_SOCKS_REPLY_HEAD_LEN and then as many as those say. */
#define NET_SOCKS_CHOICE_LEN 2
enum net_socks_choice {
    NET_SOCKS_NO_LOGIN,
    NET_SOCKS_LOGIN,
    NET_SOCKS_NONE_OFFERED, /* nothing of what was offered will do */
    NET_SOCKS_BROKEN,       /* no SOCKS5, or something that was not offered */
};
enum net_socks_choice net_socks_read_choice(const uint8_t choice[static NET_SOCKS_CHOICE_LEN],
                                            enum net_socks_offer offer);
#define NET_SOCKS_VERDICT_LEN 2
bool net_socks_welcomes(const uint8_t verdict[static NET_SOCKS_VERDICT_LEN]);
#define NET_SOCKS_REPLY_HEAD_LEN 5
#define NET_SOCKS_REPLY_TAIL_MAX 257
/* false: no SOCKS5. `code` is 0 when the proxy has connected; only then there is a tail. */
bool net_socks_read_reply(const uint8_t head[static NET_SOCKS_REPLY_HEAD_LEN], uint8_t *code,
                          size_t *tail_len) MUST_CHECK;
/* of a code that is not 0 */
enum net_reach_reason net_socks_reason(uint8_t code);

#endif
