#include "director/main/settings.h"

#include "common/base/alloc.h"
#include "common/conf/conf.h"
#include "common/net/net_context.h"
#include "common/wire/site_line.h"
#include "director/core/schedule.h"
#include "director/loop/director.h"

#include <arpa/inet.h>
#include <string.h>

enum { DIALS_MAX = 1024 }; /* each is a thread */
enum { KEEP_USUAL = 10, KEEP_MAX = 10000 };
enum { PORT_MAX = 65535, LEASE_LEAST_MS = 1000, LEASE_MOST_MS = 24 * 3600 * 1000 };

static const struct conf_word levels[] = {
    {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN}, {"error", LOG_ERROR}, {NULL, 0}};

void settings_deinit(struct settings *settings)
{
    free(settings->state_dir);
    free(settings->bind);
    free(settings->self_backup_directory);
    free(settings->self_backup_schedule);
    for (size_t i = 0; i < settings->dial_count; i++) {
        free(settings->dials[i].address);
        free(settings->dials[i].proxy);
    }
    free(settings->dials);
    conf_logins_deinit(&settings->logins);
    *settings = (struct settings){0};
}

bool settings_bind_check(const char *bind, struct err *err)
{
    struct in6_addr address;
    if (strcmp(bind, "*") == 0 || inet_pton(AF_INET, bind, &address) == 1 ||
        inet_pton(AF_INET6, bind, &address) == 1)
        return true;
    return err_set(err, ERR_USAGE, "'%s' is no address to listen at: an IPv4 or IPv6 address is needed, or *",
                   bind);
}

static bool get_bind(struct conf_group root, char **out, struct err *err)
{
    const char *bind = NULL;
    struct err reason;
    if (!conf_get_string_or(root, "bind", "0.0.0.0", &bind, err)) return false;
    if (!settings_bind_check(bind, &reason)) return conf_reject(root, "bind", err, "%s", reason.text);
    *out = xstrdup(bind);
    return true;
}

static bool get_ports(struct conf_group root, struct settings *settings, struct err *err)
{
    int operator_port = 0, control_port = 0;
    if (!conf_get_integer_or(root, "operator_port", 0, PORT_MAX, DEFAULT_OPERATOR_PORT, &operator_port,
                             err) ||
        !conf_get_integer_or(root, "control_port", 0, PORT_MAX, DEFAULT_CONTROL_PORT, &control_port, err))
        return false;
    if (operator_port != 0 && operator_port == control_port)
        return conf_reject(root, "control_port", err, "is the operator port as well");
    settings->operator_port = (uint16_t)operator_port;
    settings->control_port = (uint16_t)control_port;
    return true;
}

static bool get_self_backup(struct conf_group root, struct settings *settings, struct err *err)
{
    static const struct id any = {{0}};
    struct conf_group group;
    struct schedule schedule;
    struct err reason;
    const char *directory = NULL, *spec = NULL;
    if (!conf_has(root, "self_backup")) return true;
    if (!conf_get_group(root, "self_backup", &group, err) ||
        !conf_get_path(group, "directory", &directory, err) ||
        !conf_get_string_or(group, "schedule", "daily", &spec, err) ||
        !conf_get_integer_or(group, "keep", 1, KEEP_MAX, KEEP_USUAL, &settings->self_backup_keep, err))
        return false;
    if (strlen(spec) > SCHEDULE_TEXT_MAX || !schedule_parse(spec, &any, &schedule, &reason))
        return conf_reject(group, "schedule", err, "%s",
                           strlen(spec) > SCHEDULE_TEXT_MAX ? "is too long" : reason.text);
    settings->self_backup_directory = xstrdup(directory);
    settings->self_backup_schedule = xstrdup(spec);
    return true;
}

static bool get_dial(struct conf_group at, struct settings *settings, struct err *err)
{
    const char *address = NULL, *proxy = NULL;
    if (!conf_get_endpoint(at, "address", HOST_PORT_DIALLED, &address, err) ||
        !conf_get_host_port_or(at, "proxy", NULL, &proxy, err))
        return false;
    for (size_t i = 0; i < settings->dial_count; i++)
        if (strcmp(settings->dials[i].address, address) == 0)
            return conf_reject(at, "address", err, "'%s' is there twice", address);
    settings->dials[settings->dial_count++] =
        (struct settings_dial){.address = xstrdup(address), .proxy = proxy ? xstrdup(proxy) : NULL};
    return true;
}

static bool get_dials(struct conf_group root, struct settings *settings, struct err *err)
{
    struct conf_list groups;
    if (!conf_get_logins(root, "proxies", &settings->logins, err) ||
        !conf_get_list(root, "dial", &groups, err))
        return false;
    if (groups.count > DIALS_MAX)
        return conf_reject(root, "dial", err, "%zu are more than %d", groups.count, DIALS_MAX);
    settings->dials = xcalloc(groups.count + 1, sizeof(*settings->dials));
    for (size_t i = 0; i < groups.count; i++)
        if (!get_dial(conf_list_at(&groups, i), settings, err)) return false;
    return true;
}

static bool get_all(struct conf *conf, struct settings *settings, struct err *err)
{
    struct conf_group root = conf_root(conf);
    const char *state_dir = NULL;
    int level = LOG_INFO;
    if (!conf_get_path(root, "state_dir", &state_dir, err)) return false;
    settings->state_dir = xstrdup(state_dir);
    if (!get_bind(root, &settings->bind, err) || !get_ports(root, settings, err) ||
        !conf_get_duration_or(root, "lease", LEASE_LEAST_MS, LEASE_MOST_MS, DIRECTOR_LEASE_MS,
                              &settings->lease_ms, err) ||
        !conf_get_duration_or(root, "heartbeat", NET_HEARTBEAT_LEAST_MS, NET_HEARTBEAT_MOST_MS,
                              (uint64_t)NET_PACE_DEFAULT.heartbeat_ms, &settings->heartbeat_ms, err) ||
        !get_self_backup(root, settings, err) || !get_dials(root, settings, err) ||
        !conf_get_word_or(root, "log_level", levels, LOG_INFO, &level, err))
        return false;
    settings->log_level = (enum log_level)level;
    return conf_finish(conf, err);
}

bool settings_load(const char *path, struct settings *out, struct err *err)
{
    AUTO(conf) struct conf *conf = NULL;
    AUTO(settings) struct settings settings = {0};
    if (!conf_load(path, CONF_READ_BY_ALL, &conf, err) || !get_all(conf, &settings, err)) return false;
    *out = settings;
    settings = (struct settings){0};
    return true;
}
