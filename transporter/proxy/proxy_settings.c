#include "transporter/proxy/proxy_settings.h"

#include "common/base/alloc.h"
#include "common/conf/conf_logins.h"

#include <string.h>

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    DAY_MS = 24 * 60 * MINUTE_MS,
    CONNECTIONS_DEFAULT = 2048,
    CONNECTIONS_MOST = 100000,
    PER_CLIENT_DEFAULT = 256,
    SILENCE_DEFAULT_MS = 20 * SECOND_MS, /* as four of a transporter's heartbeats, unless configured */
};

void proxy_settings_deinit(struct proxy_settings *settings)
{
    for (size_t i = 0; i < settings->user_count; i++) {
        free(settings->users[i].name);
        secret_free(settings->users[i].password);
    }
    free(settings->users);
    free(settings->listen);
    allow_deinit(&settings->allow);
    *settings = (struct proxy_settings){0};
}

static bool get_listen(struct conf_group root, struct proxy_settings *settings, struct err *err)
{
    struct conf_strings texts;
    struct err why;
    if (!conf_get_strings(root, "listen", &texts, err)) return false;
    if (texts.count == 0) return conf_reject(root, "listen", err, "missing: (\"ADDRESS:PORT\")");
    settings->listen = xcalloc(texts.count, sizeof(*settings->listen));
    for (size_t i = 0; i < texts.count; i++) {
        if (!address_port_parse(texts.items[i], &settings->listen[i], &why))
            return conf_reject_item(root, "listen", i, err, "%s", why.text);
        settings->listen_count++;
    }
    return true;
}

static bool get_allow(struct conf_group root, struct allow *allow, struct err *err)
{
    struct conf_strings rules, within;
    struct err why;
    if (!conf_get_strings(root, "allow", &rules, err) ||
        !conf_get_strings(root, "resolve_within", &within, err))
        return false;
    for (size_t i = 0; i < rules.count; i++)
        if (!allow_add(allow, rules.items[i], &why))
            return conf_reject_item(root, "allow", i, err, "%s", why.text);
    for (size_t i = 0; i < within.count; i++)
        if (!allow_add_within(allow, within.items[i], &why))
            return conf_reject_item(root, "resolve_within", i, err, "%s", why.text);
    return true;
}

static bool get_user(struct conf_group at, struct proxy_user *out, struct err *err)
{
    const char *name = NULL;
    if (!conf_get_string(at, "name", &name, err)) return false;
    if (strlen(name) > CONF_LOGIN_TEXT_MAX)
        return conf_reject(at, "name", err, "must have at most %d bytes", CONF_LOGIN_TEXT_MAX);
    out->name = xstrdup(name);
    return conf_get_password_file(at, "password_file", &out->password, err);
}

static bool get_users(struct conf_group root, struct proxy_settings *settings, struct err *err)
{
    struct conf_list groups;
    if (!conf_get_list(root, "users", &groups, err)) return false;
    settings->users = xcalloc(groups.count + 1, sizeof(*settings->users));
    for (size_t i = 0; i < groups.count; i++)
        if (!get_user(conf_list_at(&groups, i), &settings->users[settings->user_count++], err)) return false;
    return true;
}

bool proxy_settings_get_limits(struct conf_group at, struct proxy_settings *settings, struct err *err)
{
    struct conf_group limits;
    int connections = (int)settings->connections, per_client = (int)settings->per_client;
    if (!conf_get_group_or_empty(at, "limits", &limits, err) ||
        !conf_get_integer_or(limits, "connections", 2, CONNECTIONS_MOST, connections, &connections, err) ||
        !conf_get_integer_or(limits, "per_client", 1, CONNECTIONS_MOST, per_client, &per_client, err))
        return false;
    settings->connections = (size_t)connections;
    settings->per_client = (size_t)per_client;
    return conf_get_duration_or(limits, "handshake", 100, MINUTE_MS, 5 * SECOND_MS, &settings->handshake_ms,
                                err) &&
           conf_get_duration_or(limits, "dial", 100, 10 * MINUTE_MS, 10 * SECOND_MS, &settings->dial_ms,
                                err) &&
           conf_get_duration_or(limits, "wait", 100, DAY_MS, 5 * MINUTE_MS, &settings->wait_ms, err) &&
           conf_get_duration_or(limits, "idle", 100, 7 * DAY_MS, 15 * MINUTE_MS, &settings->idle_ms, err) &&
           conf_get_duration_or(limits, "silence", 100, 10 * MINUTE_MS, settings->silence_ms,
                                &settings->silence_ms, err);
}

static bool get_all(struct conf *conf, struct proxy_settings *settings, struct err *err)
{
    static const struct conf_word levels[] = {
        {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN}, {"error", LOG_ERROR}, {NULL, 0}};
    struct conf_group root = conf_root(conf);
    int level = LOG_INFO;
    bool rendezvous = true;
    settings->connections = CONNECTIONS_DEFAULT;
    settings->per_client = PER_CLIENT_DEFAULT;
    settings->silence_ms = SILENCE_DEFAULT_MS;
    if (!get_listen(root, settings, err) || !get_allow(root, &settings->allow, err) ||
        !conf_get_bool_or(root, "rendezvous", true, &rendezvous, err) || !get_users(root, settings, err) ||
        !proxy_settings_get_limits(root, settings, err) ||
        !conf_get_duration_or(root, "drain", 0, DAY_MS, 10 * SECOND_MS, &settings->drain_ms, err) ||
        !conf_get_word_or(root, "log_level", levels, LOG_INFO, &level, err))
        return false;
    settings->rendezvous = rendezvous ? RENDEZVOUS_ON : RENDEZVOUS_OFF;
    settings->log_level = (enum log_level)level;
    return conf_finish(conf, err);
}

bool proxy_settings_load(const char *path, struct proxy_settings *out, struct err *err)
{
    AUTO(conf) struct conf *conf = NULL;
    AUTO(proxy_settings) struct proxy_settings settings = {0};
    if (!conf_load(path, CONF_READ_BY_ALL, &conf, err)) return false;
    if (!get_all(conf, &settings, err)) return false;
    *out = settings;
    settings = (struct proxy_settings){0};
    return true;
}

/* 0 if they are the same. The length of what is right is no secret. */
static unsigned differs(struct span a, const void *b, size_t b_len)
{
    const uint8_t *other = b;
    unsigned bits = a.len != b_len;
    for (size_t i = 0; i < a.len && i < b_len; i++)
        bits |= a.data[i] ^ other[i];
    return bits;
}

bool proxy_settings_know_user(const struct proxy_settings *settings, struct span user, struct span password)
{
    bool known = false;
    for (size_t i = 0; i < settings->user_count; i++) {
        const struct proxy_user *at = &settings->users[i];
        unsigned wrong = differs(user, at->name, strlen(at->name)) |
                         differs(password, at->password->data, at->password->len);
        known |= wrong == 0;
    }
    return known;
}
