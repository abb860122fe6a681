#include "transporter/main/settings.h"

#include "common/base/alloc.h"
#include "common/conf/conf.h"
#include "common/crypto/identity.h"
#include "common/net/net_context.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLOTS_DEFAULT = 6,
    KEEPS_A_SLOT = 4, /* with as many, one is for recoveries */
    SLOTS_MAX = 128,  /* a Hello, of 4 KiB at most, names the runs in them and the entries of kms */
    LEASE_DEFAULT_MS = 120 * 1000,
    LEASE_MIN_MS = 500,
    RECONNECT_LEAST_MS = 10,
    RECONNECT_MOST_MS = 5 * 60 * 1000,
    DRAIN_DEFAULT_MS = 30 * 1000,
    DAY_MS = 24 * 3600 * 1000,
    COMMAND_LEAST_MS = 100,
    STREAM_DEFAULT_MS = DAY_MS,
    SCRIPT_DEFAULT_MS = 10 * 60 * 1000,
    COMMAND_MOST_MS = 14 * DAY_MS, /* fits an int */
};
static const uint64_t keep_age_max_ms = UINT64_C(100) * 365 * DAY_MS;

void settings_deinit(struct settings *settings)
{
    free(settings->state_dir);
    director_settings_deinit(&settings->director);
    free(settings->data_listen);
    free(settings->data_advertise);
    settings_data_deinit(&settings->data);
    free(settings->own_key_file);
    kms_set_free(settings->kms);
    policy_deinit(&settings->policy);
    *settings = (struct settings){0};
}

static char *copy_or_null(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static bool get_endpoint(struct conf_group at, const char *key, enum host_port_use use, const char *fallback,
                         char **out, struct err *err)
{
    const char *text = NULL;
    if (!conf_get_endpoint_or(at, key, use, fallback, &text, err)) return false;
    *out = copy_or_null(text);
    return true;
}

/* Absolute paths without "." and "..", which local policy compares as text. */
static bool path_ok(const char *path)
{
    if (path[0] != '/' || strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../")) return false;
    size_t len = strlen(path);
    bool dots =
        (len >= 2 && strcmp(path + len - 2, "/.") == 0) || (len >= 3 && strcmp(path + len - 3, "/..") == 0);
    return !dots && (len == 1 || path[len - 1] != '/');
}

enum list_kind { LIST_PATHS, LIST_NAMES };

static bool get_list(struct conf_group at, const char *key, enum list_kind kind, char ***out, size_t *count,
                     struct err *err)
{
    struct conf_strings texts;
    if (!conf_get_strings(at, key, &texts, err)) return false;
    for (size_t i = 0; i < texts.count; i++)
        if (kind == LIST_PATHS && !path_ok(texts.items[i]))
            return conf_reject_item(at, key, i, err,
                                    "must be an absolute path without '.', '..' or a trailing '/'");
    *out = xcalloc(texts.count + 1, sizeof(char *));
    *count = texts.count;
    for (size_t i = 0; i < texts.count; i++)
        (*out)[i] = xstrdup(texts.items[i]);
    return true;
}

/* An argument list whose program is named by its full path: what runs must not depend on a search path.
 * NULL if there is no such setting. */
static bool get_argv(struct conf_group at, const char *key, char ***out, struct err *err)
{
    struct conf_strings texts;
    if (!conf_has(at, key)) return true;
    if (!conf_get_strings(at, key, &texts, err)) return false;
    if (texts.count == 0 || !path_ok(texts.items[0]))
        return conf_reject(at, key, err,
                           "is a list of a program's full path and its arguments: no shell reads it");
    *out = xcalloc(texts.count + 1, sizeof(char *));
    for (size_t i = 0; i < texts.count; i++)
        (*out)[i] = xstrdup(texts.items[i]);
    return true;
}

static bool name_is_new(const struct policy_command *commands, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(commands[i].name, name) == 0) return false;
    return true;
}

enum command_list { COMMANDS_STREAMS, COMMANDS_SCRIPTS };

static bool get_command(struct conf_group at, enum command_list list, struct policy_command *out,
                        struct err *err)
{
    const char *name = NULL;
    struct err why = {0};
    if (!conf_get_string(at, "name", &name, err)) return false;
    out->name = xstrdup(name);
    if (!identity_name_check(name, &why)) return conf_reject(at, "name", err, "%s", why.text);
    if (!get_argv(at, "command", &out->argv, err)) return false;
    if (list == COMMANDS_STREAMS && !get_argv(at, "restore", &out->restore, err)) return false;
    if (!out->argv && (list == COMMANDS_SCRIPTS || !out->restore))
        return conf_reject(at, "name", err, "'%s' has no 'command'", name);
    return conf_get_duration_or(at, "timeout", COMMAND_LEAST_MS, COMMAND_MOST_MS,
                                list == COMMANDS_STREAMS ? STREAM_DEFAULT_MS : SCRIPT_DEFAULT_MS,
                                &out->timeout_ms, err);
}

/* What was read stays the policy's to free, in case of failure too. */
static bool get_commands(struct conf_group root, const char *key, enum command_list list,
                         struct policy_command **out, size_t *count, struct err *err)
{
    struct conf_list groups;
    if (!conf_get_list(root, key, &groups, err)) return false;
    *out = xcalloc(groups.count + 1, sizeof(**out));
    for (size_t i = 0; i < groups.count; i++) {
        struct conf_group at = conf_list_at(&groups, i);
        struct policy_command *command = &(*out)[(*count)++];
        if (!get_command(at, list, command, err)) return false;
        if (!name_is_new(*out, *count - 1, command->name))
            return conf_reject(at, "name", err, "'%s' is there twice", command->name);
    }
    return true;
}

static bool get_policy(struct conf_group root, struct policy *policy, struct err *err)
{
    struct conf_group keep;
    int least = 0;
    uint64_t age_ms = 0;
    if (!get_list(root, "read", LIST_PATHS, &policy->read_roots, &policy->read_count, err) ||
        !get_list(root, "restore", LIST_PATHS, &policy->restore_roots, &policy->restore_count, err) ||
        !get_list(root, "repositories", LIST_PATHS, &policy->repository_roots, &policy->repository_count,
                  err) ||
        !get_list(root, "plaintext_to", LIST_NAMES, &policy->plaintext_to, &policy->plaintext_count, err) ||
        !get_commands(root, "streams", COMMANDS_STREAMS, &policy->streams, &policy->stream_count, err) ||
        !get_commands(root, "scripts", COMMANDS_SCRIPTS, &policy->scripts, &policy->script_count, err) ||
        !conf_get_group_or_empty(root, "keep", &keep, err) ||
        !conf_get_integer_or(keep, "least", 0, 1000000, 0, &least, err) ||
        !conf_get_duration_or(keep, "age", 0, keep_age_max_ms, 0, &age_ms, err))
        return false;
    policy->keep_least = (uint32_t)least;
    policy->keep_age_s = age_ms / 1000;
    return true;
}

static bool get_modes(struct conf_group root, struct settings *settings, struct err *err)
{
    static const struct conf_word levels[] = {
        {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN}, {"error", LOG_ERROR}, {NULL, 0}};
    int level = LOG_INFO;
    if (conf_has(root, "control"))
        return conf_reject(root, "control", err,
                           "is said by 'director = { listen = \"tcp://ADDRESS:PORT\"; }'");
    if (conf_has(root, "proxy"))
        return conf_reject(root, "proxy", err, "is said by 'director = { proxy = \"HOST:PORT\"; }'");
    if (!conf_get_word_or(root, "log_level", levels, LOG_INFO, &level, err)) return false;
    settings->log_level = (enum log_level)level;
    return true;
}

static bool get_pace(struct conf_group root, struct net_pace *out, struct err *err)
{
    const struct net_pace usual = NET_PACE_DEFAULT;
    struct conf_group reconnect;
    uint64_t heartbeat_ms = 0, first_ms = 0, most_ms = 0;
    if (!conf_get_duration_or(root, "heartbeat", NET_HEARTBEAT_LEAST_MS, NET_HEARTBEAT_MOST_MS,
                              (uint64_t)usual.heartbeat_ms, &heartbeat_ms, err) ||
        !conf_get_group_or_empty(root, "reconnect", &reconnect, err) ||
        !conf_get_duration_or(reconnect, "first", RECONNECT_LEAST_MS, RECONNECT_MOST_MS,
                              (uint64_t)usual.reconnect_ms, &first_ms, err) ||
        !conf_get_duration_or(reconnect, "most", RECONNECT_LEAST_MS, RECONNECT_MOST_MS,
                              (uint64_t)usual.reconnect_max_ms, &most_ms, err))
        return false;
    if (most_ms < first_ms) return conf_reject(reconnect, "most", err, "is less than 'first'");
    *out = (struct net_pace){
        .heartbeat_ms = (int)heartbeat_ms, .reconnect_ms = (int)first_ms, .reconnect_max_ms = (int)most_ms};
    return true;
}

static bool get_bandwidth(struct conf_group root, struct bandwidth_rule *out, struct err *err)
{
    const char *text = NULL;
    struct err why = {0};
    if (!conf_get_string_or(root, "bandwidth", NULL, &text, err)) return false;
    if (text && !bandwidth_rule_parse(text, out, &why))
        return conf_reject(root, "bandwidth", err, "%s", why.text);
    return true;
}

static bool get_limits(struct conf_group root, struct settings *settings, struct err *err)
{
    int slots = 0;
    if (!conf_get_integer_or(root, "slots", 1, SLOTS_MAX, SLOTS_DEFAULT, &slots, err)) return false;
    settings->slots = (uint32_t)slots;
    int kept = 0, usual = slots >= KEEPS_A_SLOT ? 1 : 0;
    if (!conf_get_integer_or(root, "slots_for_recovery", 0, SLOTS_MAX, usual, &kept, err)) return false;
    if (kept >= slots)
        return conf_reject(root, "slots_for_recovery", err, "must be less than 'slots', which is %d", slots);
    settings->kept_slots = (uint32_t)kept;
    if (!get_bandwidth(root, &settings->bandwidth, err)) return false;
    struct conf_group check;
    if (!conf_get_group_or_empty(root, "check", &check, err) ||
        !conf_get_size_or(check, "bandwidth", 0, UINT64_C(1) << 40, 0, &settings->check_bytes_per_s, err))
        return false;
    return conf_get_duration_or(root, "lease", LEASE_MIN_MS, DAY_MS, LEASE_DEFAULT_MS, &settings->lease_ms,
                                err) &&
           conf_get_duration_or(root, "drain", 0, DAY_MS, DRAIN_DEFAULT_MS, &settings->drain_ms, err);
}

static bool get_all(struct conf *conf, struct settings *settings, struct err *err)
{
    struct conf_group root = conf_root(conf), data;
    const char *state_dir = NULL, *own_key = NULL;
    if (!conf_get_path(root, "state_dir", &state_dir, err)) return false;
    settings->state_dir = xstrdup(state_dir);
    if (!conf_get_path_or(root, "own_key", NULL, &own_key, err)) return false;
    settings->own_key_file = copy_or_null(own_key);
    if (!get_pace(root, &settings->pace, err)) return false;
    const uint64_t silence_ms = NET_HEARTBEATS_LOST * (uint64_t)settings->pace.heartbeat_ms;
    return director_settings_read(root, &settings->director, err) &&
           conf_get_group_or_empty(root, "data", &data, err) &&
           get_endpoint(data, "listen", HOST_PORT_LISTENS, DATA_LISTEN, &settings->data_listen, err) &&
           get_endpoint(data, "advertise", HOST_PORT_DIALLED, NULL, &settings->data_advertise, err) &&
           settings_data_read(root, data, silence_ms, &settings->data, err) &&
           get_policy(root, &settings->policy, err) && kms_set_read(root, &settings->kms, err) &&
           get_modes(root, settings, err) && get_limits(root, settings, err) && conf_finish(conf, err);
}

bool settings_load(const char *path, struct settings *out, struct err *err)
{
    AUTO(conf) struct conf *conf = NULL;
    AUTO(settings) struct settings settings = {0};
    if (!conf_load(path, CONF_READ_BY_ALL, &conf, err)) return false;
    if (!get_all(conf, &settings, err)) return false;
    *out = settings;
    settings = (struct settings){0};
    return true;
}
