#include "common/net/net_socks.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 5, NO_AUTHENTICATION = 0, CONNECT = 1, IPV4 = 1, NAME = 3, IPV6 = 4 };

const uint8_t net_socks_greeting[3] = {VERSION, 1, NO_AUTHENTICATION};

static bool parse_port(const char *text, uint16_t *out)
{
    size_t len = strlen(text);
    if (len < 1 || len > 5 || strspn(text, "0123456789") != len) return false;
    unsigned long port = strtoul(text, NULL, 10);
    if (port < 1 || port > UINT16_MAX) return false;
    *out = (uint16_t)port;
    return true;
}

bool net_host_port_parse(const char *text, struct net_host_port *out, struct err *err)
{
    struct net_host_port parsed = {.port = 0};
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len)) {
        len = 0; /* an IPv6 address without brackets: where would its port begin? */
    }
    if (len < 1 || len > NET_HOST_MAX || !parse_port(colon + 1, &parsed.port))
        return err_set(err, ERR_CONFIG, "'%.300s' is not a HOST:PORT", text);
    memcpy(parsed.host, host, len);
    *out = parsed;
    return true;
}

size_t net_socks_request(const struct net_host_port *target, uint8_t out[static NET_SOCKS_REQUEST_MAX])
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

bool net_socks_check_choice(const uint8_t choice[static NET_SOCKS_CHOICE_LEN], struct err *err)
{
    if (choice[0] != VERSION) return err_set(err, ERR_PROTOCOL, "the proxy does not speak SOCKS5");
    if (choice[1] != NO_AUTHENTICATION)
        return err_set(err, ERR_POLICY, "the proxy wants a user and a password");
    return true;
}

static const char *reply_text(uint8_t code)
{
    static const char *const texts[] = {"",
                                        "general failure",
                                        "not allowed by its rules",
                                        "network unreachable",
                                        "host unreachable",
                                        "connection refused",
                                        "time exceeded",
                                        "command not supported",
                                        "address type not supported"};
    return code < sizeof(texts) / sizeof(texts[0]) ? texts[code] : "an unknown reason";
}

bool net_socks_check_reply(const uint8_t head[static NET_SOCKS_REPLY_HEAD_LEN], size_t *tail_len,
                           struct err *err)
{
    if (head[0] != VERSION) return err_set(err, ERR_PROTOCOL, "the proxy does not speak SOCKS5");
    if (head[1] != 0)
        return err_set(err, ERR_UNREACHABLE, "the proxy cannot connect: %s", reply_text(head[1]));
    /* the rest of the address, whose first byte is in the head, and the port */
    switch (head[3]) {
    case IPV4:
        *tail_len = 4 - 1 + 2;
        return true;
    case IPV6:
        *tail_len = 16 - 1 + 2;
        return true;
    case NAME:
        *tail_len = (size_t)head[4] + 2;
        return true;
    default:
        return err_set(err, ERR_PROTOCOL, "the proxy answers with address type %u", head[3]);
    }
}
