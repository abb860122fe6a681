#include "common/base/log.h"
#include "transporter/proxy/host_end.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

static void consume(struct end *caller, size_t used)
{
    caller->in_len -= used;
    memmove(caller->in, caller->in + used, caller->in_len);
    wipe(caller->in + caller->in_len, used); /* a password may have been in it */
}

static struct span unread(const struct end *caller)
{
    return span_of(caller->in, caller->in_len);
}

static void log_refusal(struct proxy *proxy, const struct end *caller, const char *reason)
{
    char client[ADDRESS_TEXT_LEN];
    address_print(&caller->address, client);
    if (may_log(proxy))
        log_event(LOG_WARN, said(proxy, SAID_REFUSED), "client", client, "reason", reason, NULL);
}

/* Speaks no SOCKS5: there is no word for that. */
static void turn_away(struct proxy *proxy, struct end *caller, const char *reason)
{
    log_refusal(proxy, caller, reason);
    end_drop(proxy, caller);
}

/* A last word of two bytes. */
static void say_no(struct proxy *proxy, struct end *caller, const uint8_t *word, const char *reason)
{
    log_refusal(proxy, caller, reason);
    end_say_last(proxy, caller, word, SOCKS_CHOICE_LEN);
}

static bool take_greeting(struct proxy *proxy, struct end *caller)
{
    struct socks_greeting greeting;
    uint8_t choice[SOCKS_CHOICE_LEN];
    size_t used = 0;
    enum socks_read read = socks_read_greeting(unread(caller), &used, &greeting);
    if (read == SOCKS_MORE) return false;
    if (read == SOCKS_BROKEN) {
        turn_away(proxy, caller, "does not speak SOCKS5");
        return false;
    }
    consume(caller, used);
    bool login = proxy->settings.user_count > 0;
    bool can = login ? greeting.login : greeting.plain;
    socks_write_choice(!can ? SOCKS_NO_METHOD : login ? SOCKS_LOGIN : SOCKS_PLAIN, choice);
    if (!can) {
        say_no(proxy, caller, choice,
               login ? "offers no user and password" : "wants to log in: there are no users");
        return false;
    }
    if (!end_send(caller, choice, sizeof(choice))) {
        end_drop(proxy, caller);
        return false;
    }
    caller->phase = login ? PHASE_LOGIN : PHASE_REQUEST;
    return true;
}

static bool take_login(struct proxy *proxy, struct end *caller)
{
    struct socks_login login;
    uint8_t verdict[SOCKS_CHOICE_LEN];
    size_t used = 0;
    enum socks_read read = socks_read_login(unread(caller), &used, &login);
    if (read == SOCKS_MORE) return false;
    if (read == SOCKS_BROKEN) {
        turn_away(proxy, caller, "its login does not parse");
        return false;
    }
    bool known = proxy_settings_know_user(&proxy->settings, login.user, login.password);
    consume(caller, used);
    socks_write_verdict(known ? SOCKS_WELCOME : SOCKS_WRONG_LOGIN, verdict);
    if (!known) {
        say_no(proxy, caller, verdict, "wrong user or password");
        return false;
    }
    if (!end_send(caller, verdict, sizeof(verdict))) {
        end_drop(proxy, caller);
        return false;
    }
    caller->phase = PHASE_REQUEST;
    return true;
}

void caller_meet(struct proxy *proxy, struct end *caller)
{
    uint64_t self = end_number(caller);
    struct rendezvous_answer answer =
        rendezvous_ask(proxy->meetings, &caller->name, self, proxy->now_ms + proxy->settings.wait_ms);
    caller->meets = true;
    if (answer.replaced) end_drop(proxy, end_of_number(answer.replaced));
    if (answer.partner) {
        end_join(proxy, caller, end_of_number(answer.partner));
        return;
    }
    end_enter(proxy, caller, PHASE_WAITING, UINT64_MAX);
    if (!watch_set(proxy, &caller->watch, EPOLLRDHUP))
        end_drop(proxy, caller);
    else if (proxy->options.expects)
        host_end_await(proxy, caller);
}

static void add_candidate(struct end *caller, const uint8_t *address, uint16_t port)
{
    struct address *next = &caller->candidates[caller->candidate_count++];
    memcpy(next->bytes, address, ADDRESS_LEN);
    next->port = port;
}

static void dial(struct proxy *proxy, struct end *caller)
{
    end_enter(proxy, caller, PHASE_DIALLING, proxy->now_ms + proxy->settings.dial_ms);
    if (watch_set(proxy, &caller->watch, EPOLLRDHUP))
        dial_next(proxy, caller);
    else
        end_drop(proxy, caller);
}

static void connect_address(struct proxy *proxy, struct end *caller, const struct address *address)
{
    char text[ADDRESS_TEXT_LEN];
    address_print(address, text);
    if (!allow_has_address(&proxy->settings.allow, address)) {
        end_refuse(proxy, caller, SOCKS_NOT_ALLOWED, "not on the list", text);
        return;
    }
    add_candidate(caller, address->bytes, address->port);
    dial(proxy, caller);
}

/* What looks like a rendezvous, however misspelt, does not get into a log. */
static const char *may_be_told(const char *name)
{
    return strcasestr(name, "sealift") ? "(a rendezvous?)" : name;
}

static void connect_name(struct proxy *proxy, struct end *caller, struct span name, uint16_t port)
{
    char text[256];
    struct address literal = {.port = port};
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    if (strlen(text) == name.len && address_parse(text, literal.bytes)) {
        connect_address(proxy, caller, &literal);
        return;
    }
    const struct allow_rule *rule = allow_name(&proxy->settings.allow, name, port);
    if (!rule) {
        end_refuse(proxy, caller, SOCKS_NOT_ALLOWED, "not on the list", may_be_told(text));
        return;
    }
    if (rule->found_count == 0) {
        end_refuse(proxy, caller, SOCKS_HOST_UNREACHABLE, "its address is not known", text);
        return;
    }
    for (size_t i = 0; i < rule->found_count; i++)
        add_candidate(caller, rule->found[i], port);
    dial(proxy, caller);
}

static void grant(struct proxy *proxy, struct end *caller, const struct socks_request *request)
{
    struct address address = {.port = request->port};
    if (request->type == SOCKS_NAME) {
        if (!rendezvous_name_is_meant(request->address))
            connect_name(proxy, caller, request->address, request->port);
        else if (proxy->settings.rendezvous == RENDEZVOUS_OFF)
            end_refuse(proxy, caller, SOCKS_NOT_ALLOWED, "no rendezvous here", NULL);
        else if (!proxy->options.expects || host_end_admits(proxy, caller))
            caller_meet(proxy, caller);
        return;
    }
    memcpy(address.bytes + ADDRESS_LEN - request->address.len, request->address.data, request->address.len);
    if (request->type == SOCKS_IPV4) memset(address.bytes + 10, 0xff, 2);
    connect_address(proxy, caller, &address);
}

static void take_request(struct proxy *proxy, struct end *caller)
{
    struct socks_request request;
    uint8_t copy[SOCKS_MESSAGE_MAX];
    size_t used = 0;
    enum socks_read read = socks_read_request(unread(caller), &used, &request);
    if (read == SOCKS_MORE) return;
    if (read == SOCKS_BROKEN) {
        end_refuse(proxy, caller, request.reply, "asks for what there is not", NULL);
        return;
    }
    if (request.type == SOCKS_NAME && rendezvous_name_is_meant(request.address) &&
        !rendezvous_name_parse(request.address, &caller->name)) {
        end_refuse(proxy, caller, SOCKS_NOT_ALLOWED, "not the name of a rendezvous", NULL);
        return;
    }
    memcpy(copy, request.address.data, request.address.len);
    request.address.data = copy;
    consume(caller, used);
    grant(proxy, caller, &request);
}

void caller_ready(struct proxy *proxy, struct end *caller)
{
    size_t room = sizeof(caller->in) - caller->in_len;
    ssize_t len = recv(caller->watch.fd, caller->in + caller->in_len, room, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (len <= 0) {
        end_drop(proxy, caller);
        return;
    }
    caller->in_len += (size_t)len;
    if (caller->phase == PHASE_GREETING && !take_greeting(proxy, caller)) return;
    if (caller->phase == PHASE_LOGIN && !take_login(proxy, caller)) return;
    take_request(proxy, caller);
}

void caller_alone(struct proxy *proxy, struct end *caller)
{
    char tag[RENDEZVOUS_TAG_LEN + 1];
    rendezvous_tag(proxy->meetings, &caller->name, tag);
    end_refuse(proxy, caller, SOCKS_HOST_UNREACHABLE, "the other end did not come", tag);
}
