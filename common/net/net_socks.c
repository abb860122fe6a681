#include "common/net/net_socks.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 5, LOGIN_VERSION = 1, CONNECT = 1, IPV4 = 1, NAME = 3, IPV6 = 4 };
enum { NO_LOGIN = 0, BY_PASSWORD = 2, NO_METHOD = 0xff };

size_t net_socks_greeting(enum net_socks_offer offer, uint8_t out[static NET_SOCKS_GREETING_MAX])
{
    const bool login = offer == NET_SOCKS_OFFER_LOGIN;
    out[0] = VERSION;
    out[1] = login ? 2 : 1;
    out[2] = NO_LOGIN;
    if (login) out[3] = BY_PASSWORD;
    return 2 + (size_t)out[1];
}

static size_t put_text(struct span text, uint8_t *out)
{
    assert(text.len >= 1 && text.len <= NET_SOCKS_TEXT_MAX);
    out[0] = (uint8_t)text.len;
    memcpy(out + 1, text.data, text.len);
    return 1 + text.len;
}

size_t net_socks_login(struct span user, struct span password, uint8_t out[static NET_SOCKS_LOGIN_MAX])
{
    size_t len = 1;
    out[0] = LOGIN_VERSION;
    len += put_text(user, out + len);
    len += put_text(password, out + len);
    return len;
}

size_t net_socks_request(const struct host_port *target, uint8_t out[static NET_SOCKS_REQUEST_MAX])
{
    size_t len = 4;
    size_t name_len = strlen(target->host);
    out[0] = VERSION;
    out[1] = CONNECT;
    out[2] = 0;
    if (inet_pton(AF_INET, target->host, out + len) == 1) {
        out[3] = IPV4;
        len += 4;
    } else if (inet_pton(AF_INET6, target->host, out + len) == 1) {
        out[3] = IPV6;
        len += 16;
    } else {
        out[3] = NAME;
        out[len++] = (uint8_t)name_len;
        memcpy(out + len, target->host, name_len);
        len += name_len;
    }
    out[len++] = (uint8_t)(target->port >> 8);
    out[len++] = (uint8_t)target->port;
    return len;
}

enum net_socks_choice net_socks_read_choice(const uint8_t choice[static NET_SOCKS_CHOICE_LEN],
                                            enum net_socks_offer offer)
{
    if (choice[0] != VERSION) return NET_SOCKS_BROKEN;
    if (choice[1] == NO_LOGIN) return NET_SOCKS_NO_LOGIN;
    if (choice[1] == NO_METHOD) return NET_SOCKS_NONE_OFFERED;
    /* some ask for a login without regard to what they are offered */
    if (choice[1] == BY_PASSWORD)
        return offer == NET_SOCKS_OFFER_LOGIN ? NET_SOCKS_LOGIN : NET_SOCKS_NONE_OFFERED;
    return NET_SOCKS_BROKEN;
}

bool net_socks_welcomes(const uint8_t verdict[static NET_SOCKS_VERDICT_LEN])
{
    /* the version is 1 by RFC 1929; some servers say 5 here */
    return verdict[1] == 0;
}

bool net_socks_read_reply(const uint8_t head[static NET_SOCKS_REPLY_HEAD_LEN], uint8_t *code,
                          size_t *tail_len)
{
    size_t len;
    if (head[0] != VERSION) return false;
    /* the rest of the address, whose first byte is in the head, and the port */
    switch (head[3]) {
    case IPV4:
        len = 4 - 1 + 2;
        break;
    case IPV6:
        len = 16 - 1 + 2;
        break;
    case NAME:
        len = (size_t)head[4] + 2;
        break;
    default: /* behind a refusal nobody reads on */
        if (head[1] == 0) return false;
        len = 0;
    }
    *code = head[1];
    *tail_len = head[1] == 0 ? len : 0;
    return true;
}

enum net_reach_reason net_socks_reason(uint8_t code)
{
    static const enum net_reach_reason reasons[] = {
        [2] = NET_REACH_NOT_ALLOWED, [3] = NET_REACH_NO_ROUTE,  [4] = NET_REACH_NO_ANSWER,
        [5] = NET_REACH_REFUSED,     [6] = NET_REACH_NO_ANSWER,
    };
    const bool known = code < sizeof(reasons) / sizeof(reasons[0]) && reasons[code] != NET_REACHED;
    return known ? reasons[code] : NET_REACH_CANNOT;
}
