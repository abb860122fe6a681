#include "common/net/net_reach.h"

#include "common/net/net_dial.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum err_code net_reach_code(enum net_reach_reason reason)
{
    switch (reason) {
    case NET_REACHED:
        return ERR_NONE;
    case NET_REACH_LOGIN_WANTED:
    case NET_REACH_LOGIN_REFUSED:
    case NET_REACH_NOT_ALLOWED:
        return ERR_POLICY;
    case NET_REACH_NOT_SOCKS5:
        return ERR_PROTOCOL;
    case NET_REACH_GIVEN_UP:
        return ERR_CANCELLED;
    case NET_REACH_BAD_ADDRESS:
        return ERR_CONFIG;
    default:
        return ERR_UNREACHABLE;
    }
}

/* RFC 1928's words for what a proxy answers. */
static const char *reply_text(int code)
{
    static const char *const texts[] = {
        [1] = "general failure",       [2] = "not allowed by its rules",
        [3] = "network unreachable",   [4] = "host unreachable, or its name is unknown there",
        [5] = "connection refused",    [6] = "time exceeded",
        [7] = "command not supported", [8] = "address type not supported"};
    const bool known = code > 0 && (size_t)code < sizeof(texts) / sizeof(texts[0]);
    return known ? texts[code] : "an unknown reason";
}

static void waited_text(int ms, char out[static 16])
{
    if (ms < 1000)
        (void)snprintf(out, 16, "%d ms", ms);
    else
        (void)snprintf(out, 16, "%d s", (ms + 500) / 1000);
}

static void behind_proxy_text(const struct net_reach_result *result, char out[static NET_REACH_TEXT_MAX])
{
    char waited[16];
    waited_text(result->waited_ms, waited);
    if (result->detail > 0)
        (void)snprintf(out, NET_REACH_TEXT_MAX, "the proxy cannot connect: %s", reply_text(result->detail));
    else
        (void)snprintf(out, NET_REACH_TEXT_MAX, "the proxy does not say within %s that it connected", waited);
}

/* On the way to the address or, with the words that say so, to the proxy. */
static void on_the_way_text(const struct net_reach_result *result, char out[static NET_REACH_TEXT_MAX])
{
    const char *whom = result->end == NET_REACH_PROXY ? "the proxy: " : "";
    char waited[16];
    waited_text(result->waited_ms, waited);
    switch (result->reason) {
    case NET_REACH_REFUSED:
        (void)snprintf(out, NET_REACH_TEXT_MAX, "%srefused: nobody listens there, or a firewall rejects it",
                       whom);
        return;
    case NET_REACH_NO_ANSWER:
        (void)snprintf(out, NET_REACH_TEXT_MAX,
                       "%sno answer within %s: a firewall may drop it, or the host is off", whom, waited);
        return;
    case NET_REACH_NO_ROUTE:
        (void)snprintf(out, NET_REACH_TEXT_MAX, "%sno route: %s", whom, strerror(result->detail));
        return;
    case NET_REACH_NAME_UNKNOWN:
        (void)snprintf(out, NET_REACH_TEXT_MAX, "%sthe name cannot be looked up: %s", whom,
                       gai_strerror(result->detail));
        return;
    default:
        (void)snprintf(out, NET_REACH_TEXT_MAX, "%scannot connect: %s", whom, strerror(result->detail));
        return;
    }
}

void net_reach_text(const struct net_reach_result *result, char out[static NET_REACH_TEXT_MAX])
{
    static const char *const whole[] = {
        [NET_REACHED] = "reached",
        [NET_REACH_LOGIN_WANTED] = "the proxy wants a user and a password",
        [NET_REACH_LOGIN_REFUSED] = "the proxy refuses the user or the password",
        [NET_REACH_NOT_SOCKS5] = "the proxy does not speak SOCKS5",
        [NET_REACH_SILENT] = "the proxy takes the connection and says nothing: is it a SOCKS5 proxy?",
        [NET_REACH_CLOSED] = "the proxy closed the connection before it answered",
        [NET_REACH_GIVEN_UP] = "given up",
        [NET_REACH_BAD_ADDRESS] = "not a HOST:PORT",
    };
    const size_t count = sizeof(whole) / sizeof(whole[0]);
    if ((size_t)result->reason < count && whole[result->reason])
        (void)snprintf(out, NET_REACH_TEXT_MAX, "%s", whole[result->reason]);
    else if (result->end == NET_REACH_BEHIND_PROXY && result->reason != NET_REACH_SYSTEM)
        behind_proxy_text(result, out);
    else
        on_the_way_text(result, out);
}

struct net_reach_result net_reach(const struct net_reach_try *try)
{
    struct err err;
    struct host_port target;
    AUTO(net_dial_proxy) struct net_dial_proxy proxy = {.user = NULL};
    struct net_reach_result result = {.reason = NET_REACH_BAD_ADDRESS};
    if (!host_port_parse(try->address, HOST_PORT_DIALLED, &target, &err)) return result;
    result.end = NET_REACH_PROXY;
    if (try->socks5) {
        if (!net_dial_proxy_init(&proxy, try->socks5, NULL, NULL, &err)) return result;
        net_logins_find(try->logins, &proxy);
    }
    const struct net_dial dial = {
        .target = &target,
        .proxies = &proxy,
        .proxy_count = try->socks5 ? 1 : 0,
        .connect_ms = try->timeout_ms,
        .answer_ms = try->timeout_ms,
        .endings = {{.fd = try->give_up ? try->give_up->fd : -1, .events = POLLIN}, {.fd = -1}}};
    AUTO(fd) int fd = net_dial(&dial, &result);
    return result;
}
