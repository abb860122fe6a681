#include "common/conf/conf_address.h"

#include <string.h>

#define TCP "tcp://"

bool conf_is_host_port(const char *text)
{
    struct host_port parsed;
    struct err ignored;
    return host_port_parse(text, HOST_PORT_DIALLED, &parsed, &ignored);
}

bool conf_get_host_port_or(struct conf_group at, const char *key, const char *fallback, const char **out,
                           struct err *err)
{
    const char *text = NULL;
    if (!conf_get_string_or(at, key, fallback, &text, err)) return false;
    if (text && !conf_is_host_port(text))
        return conf_reject(at, key, err, "must be HOST:PORT, with a port from 1 to 65535");
    *out = text;
    return true;
}

static bool check_endpoint(struct conf_group at, const char *key, enum host_port_use use, const char *text,
                           struct err *err)
{
    struct host_port parsed;
    struct err ignored;
    return (strncmp(text, TCP, strlen(TCP)) == 0 &&
            host_port_parse(text + strlen(TCP), use, &parsed, &ignored)) ||
           conf_reject(at, key, err, "must be tcp://HOST:PORT, with a port from %d to 65535",
                       use == HOST_PORT_LISTENS ? 0 : 1);
}

bool conf_get_endpoint(struct conf_group at, const char *key, enum host_port_use use, const char **out,
                       struct err *err)
{
    const char *text = NULL;
    if (!conf_get_string(at, key, &text, err) || !check_endpoint(at, key, use, text, err)) return false;
    *out = text;
    return true;
}

bool conf_get_endpoint_or(struct conf_group at, const char *key, enum host_port_use use, const char *fallback,
                          const char **out, struct err *err)
{
    const char *text = NULL;
    if (!conf_get_string_or(at, key, fallback, &text, err) ||
        (text && !check_endpoint(at, key, use, text, err)))
        return false;
    *out = text;
    return true;
}
