#include "common/net/net_dial.h"

#include "common/base/alloc.h"
#include "common/base/resolve.h"
#include "common/base/tcp.h"
#include "common/net/net_zmq.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { SILENCE_MS = 20000 };

void net_dial_proxy_deinit(struct net_dial_proxy *proxy)
{
    free(proxy->user);
    secret_free(proxy->password);
    proxy->user = NULL;
    proxy->password = NULL;
}

bool net_dial_proxy_init(struct net_dial_proxy *out, const char *at, const char *user,
                         const struct secret *password, struct err *err)
{
    struct host_port parsed;
    if (!host_port_parse(at, HOST_PORT_DIALLED, &parsed, err)) return err_wrap(err, "proxy");
    if (!user != !password)
        return err_set(err, ERR_CONFIG, "proxy '%s': a login is a user and a password", at);
    if (user && (strlen(user) < 1 || strlen(user) > NET_SOCKS_TEXT_MAX || password->len < 1 ||
                 password->len > NET_SOCKS_TEXT_MAX))
        return err_set(err, ERR_CONFIG, "proxy '%s': user and password have 1 to %d bytes each", at,
                       NET_SOCKS_TEXT_MAX);
    *out = (struct net_dial_proxy){.at = parsed,
                                   .user = user ? xstrdup(user) : NULL,
                                   .password = password ? secret_copy(password->data, password->len) : NULL};
    return true;
}

/* One try on its way. */
struct call {
    const struct net_dial *dial;
    struct net_reach_result *result;
    enum net_reach_end stage;
    size_t hop; /* which of the proxies it is about */
    int fd;
    int64_t began, deadline; /* of the stage */
};

/* Says why, and returns false. */
static bool fails(const struct call *call, enum net_reach_reason reason, int detail)
{
    *call->result =
        (struct net_reach_result){.reason = reason, .end = call->stage, .proxy = call->hop, .detail = detail};
    if (reason == NET_REACH_NO_ANSWER) call->result->waited_ms = (int)(net_deadline(0) - call->began);
    return false;
}

static bool fails_by_system(const struct call *call, int number)
{
    switch (number) {
    case ECONNREFUSED:
        return fails(call, NET_REACH_REFUSED, number);
    case ETIMEDOUT:
        return fails(call, NET_REACH_NO_ANSWER, number);
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return fails(call, NET_REACH_NO_ROUTE, number);
    default:
        return fails(call, NET_REACH_SYSTEM, number);
    }
}

static void enter(struct call *call, enum net_reach_end stage, int limit_ms)
{
    call->stage = stage;
    call->began = net_deadline(0);
    call->deadline = net_deadline(limit_ms);
}

static bool await_until(const struct call *call, short events, int64_t deadline)
{
    for (;;) {
        struct pollfd fds[1 + NET_DIAL_ENDINGS] = {{.fd = call->fd, .events = events}};
        memcpy(fds + 1, call->dial->endings, sizeof(call->dial->endings));
        int ready = poll(fds, 1 + NET_DIAL_ENDINGS, net_deadline_left(deadline));
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return fails(call, NET_REACH_SYSTEM, errno);
        if (ready == 0) return fails(call, NET_REACH_NO_ANSWER, 0);
        for (size_t i = 0; i < NET_DIAL_ENDINGS; i++)
            if (fds[1 + i].fd >= 0 && fds[1 + i].revents) return fails(call, NET_REACH_GIVEN_UP, 0);
        return true;
    }
}

static bool connect_to(struct call *call, const struct addrinfo *info, int64_t deadline)
{
    int failed = 0;
    socklen_t size = sizeof(failed);
    AUTO(fd) int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fails_by_system(call, errno);
    /* also on which nothing comes for minutes, as at a rendezvous */
    tcp_watch(fd, call->dial->silence_ms > 0 ? call->dial->silence_ms : SILENCE_MS);
    if (connect(fd, info->ai_addr, info->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) return fails_by_system(call, errno);
        call->fd = fd;
        bool done = await_until(call, POLLOUT, deadline);
        call->fd = -1;
        if (!done) return false;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0) failed = errno;
        if (failed) return fails_by_system(call, failed);
    }
    call->fd = fd;
    fd = -1;
    return true;
}

/* Of several addresses that failed, the reason that tells most. */
static bool tells_more(const struct net_reach_result *one, const struct net_reach_result *other)
{
    static const int rank[] = {
        [NET_REACH_GIVEN_UP] = 5, [NET_REACH_REFUSED] = 4,  [NET_REACH_NO_ANSWER] = 3,
        [NET_REACH_SYSTEM] = 2,   [NET_REACH_NO_ROUTE] = 1, [NET_REACH_BAD_ADDRESS] = 0};
    return rank[one->reason] > rank[other->reason];
}

/* Each address of a name gets its share of the time: one behind a firewall does not eat it all. */
static bool connect_any(struct call *call, const struct addrinfo *found)
{
    struct net_reach_result worst = {.reason = NET_REACH_BAD_ADDRESS};
    int left = 0;
    for (const struct addrinfo *info = found; info; info = info->ai_next)
        left++;
    for (const struct addrinfo *info = found; info; info = info->ai_next, left--) {
        if (connect_to(call, info, net_deadline(net_deadline_left(call->deadline) / left))) return true;
        if (tells_more(call->result, &worst)) worst = *call->result;
        if (call->result->reason == NET_REACH_GIVEN_UP) break;
    }
    *call->result = worst;
    return false;
}

static bool connect_host(struct call *call, const struct host_port *at)
{
    AUTO(addresses) struct addrinfo *found = NULL;
    const struct resolve_end end = {
        .fds = call->dial->endings, .fd_count = NET_DIAL_ENDINGS, .until_ms = RESOLVE_FOR_EVER};
    int failed = resolve_host(at->host, at->port, &end, &found);
    if (failed == RESOLVE_GIVEN_UP) return fails(call, NET_REACH_GIVEN_UP, 0);
    if (failed == EAI_SYSTEM) return fails_by_system(call, errno);
    if (failed) return fails(call, NET_REACH_NAME_UNKNOWN, failed);
    /* looking up has its own limits, and may have used all of ours */
    enter(call, call->stage, call->dial->connect_ms);
    return connect_any(call, found);
}

static bool send_all(const struct call *call, const uint8_t *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        if (!await_until(call, POLLOUT, call->deadline)) return false;
        ssize_t sent = send(call->fd, bytes + done, len - done, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return fails(call, NET_REACH_CLOSED, errno);
        if (sent < 0 && errno != EINTR && errno != EAGAIN) return fails_by_system(call, errno);
        if (sent > 0) done += (size_t)sent;
    }
    return true;
}

/* With a proxy that takes connections no firewall is to blame. */
static bool falls_silent(const struct call *call)
{
    if (call->result->reason == NET_REACH_NO_ANSWER && call->stage == NET_REACH_PROXY)
        call->result->reason = NET_REACH_SILENT;
    return false;
}

static bool receive_all(const struct call *call, uint8_t *out, size_t len)
{
    for (size_t done = 0; done < len;) {
        if (!await_until(call, POLLIN, call->deadline)) return falls_silent(call);
        ssize_t got = recv(call->fd, out + done, len - done, 0);
        if (got == 0 || (got < 0 && errno == ECONNRESET)) return fails(call, NET_REACH_CLOSED, 0);
        if (got < 0 && errno != EINTR && errno != EAGAIN) return fails_by_system(call, errno);
        if (got > 0) done += (size_t)got;
    }
    return true;
}

static const struct net_dial_proxy *proxy_of(const struct call *call)
{
    return &call->dial->proxies[call->hop];
}

static bool log_in(const struct call *call)
{
    const struct net_dial_proxy *proxy = proxy_of(call);
    uint8_t login[NET_SOCKS_LOGIN_MAX];
    uint8_t verdict[NET_SOCKS_VERDICT_LEN];
    size_t len =
        net_socks_login(span_str(proxy->user), span_of(proxy->password->data, proxy->password->len), login);
    bool sent = send_all(call, login, len);
    wipe(login, sizeof(login));
    if (!sent || !receive_all(call, verdict, sizeof(verdict))) {
        /* the usual way to say no, though RFC 1929 asks for a word before */
        if (call->result->reason == NET_REACH_CLOSED) call->result->reason = NET_REACH_LOGIN_REFUSED;
        return false;
    }
    return net_socks_welcomes(verdict) || fails(call, NET_REACH_LOGIN_REFUSED, 0);
}

static bool introduce(const struct call *call)
{
    const enum net_socks_offer offer = proxy_of(call)->user ? NET_SOCKS_OFFER_LOGIN : NET_SOCKS_OFFER_NOTHING;
    uint8_t greeting[NET_SOCKS_GREETING_MAX];
    uint8_t choice[NET_SOCKS_CHOICE_LEN];
    if (!send_all(call, greeting, net_socks_greeting(offer, greeting)) ||
        !receive_all(call, choice, sizeof(choice)))
        return false;
    switch (net_socks_read_choice(choice, offer)) {
    case NET_SOCKS_NO_LOGIN:
        return true;
    case NET_SOCKS_LOGIN:
        return log_in(call);
    case NET_SOCKS_NONE_OFFERED:
        return fails(call, offer == NET_SOCKS_OFFER_LOGIN ? NET_REACH_LOGIN_REFUSED : NET_REACH_LOGIN_WANTED,
                     0);
    default:
        return fails(call, NET_REACH_NOT_SOCKS5, 0);
    }
}

static bool ask(const struct call *call, const struct host_port *whom)
{
    uint8_t request[NET_SOCKS_REQUEST_MAX];
    uint8_t head[NET_SOCKS_REPLY_HEAD_LEN];
    uint8_t tail[NET_SOCKS_REPLY_TAIL_MAX];
    size_t tail_len = 0;
    uint8_t code = 0;
    if (!send_all(call, request, net_socks_request(whom, request)) || !receive_all(call, head, sizeof(head)))
        return false;
    if (!net_socks_read_reply(head, &code, &tail_len)) return fails(call, NET_REACH_NOT_SOCKS5, 0);
    if (code != 0) return fails(call, net_socks_reason(code), code);
    return receive_all(call, tail, tail_len);
}

/* Greets the proxy that is there now, and asks it to go on. */
static bool pass(struct call *call)
{
    const struct net_dial *dial = call->dial;
    const bool last = call->hop + 1 == dial->proxy_count;
    if (!introduce(call)) return false;
    enter(call, NET_REACH_BEHIND_PROXY, last ? dial->answer_ms : dial->connect_ms);
    return ask(call, last ? dial->target : &dial->proxies[call->hop + 1].at);
}

static bool through(struct call *call)
{
    enter(call, NET_REACH_PROXY, call->dial->connect_ms);
    if (!connect_host(call, &proxy_of(call)->at)) return false;
    while (pass(call)) {
        if (call->hop + 1 == call->dial->proxy_count) return true;
        call->hop++;
        enter(call, NET_REACH_PROXY, call->dial->connect_ms);
    }
    return false;
}

static bool straight(struct call *call)
{
    enter(call, NET_REACH_TARGET, call->dial->connect_ms);
    return connect_host(call, call->dial->target);
}

int net_dial(const struct net_dial *dial, struct net_reach_result *result)
{
    struct call call = {.dial = dial, .result = result, .fd = -1};
    bool reached = dial->proxy_count > 0 ? through(&call) : straight(&call);
    AUTO(fd) int fd = call.fd;
    if (!reached) return -1;
    *result = (struct net_reach_result){.reason = NET_REACHED, .end = call.stage, .proxy = call.hop};
    int taken = fd;
    fd = -1;
    return taken;
}
