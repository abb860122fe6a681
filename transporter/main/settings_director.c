#include "transporter/main/settings_director.h"

#include "common/base/alloc.h"

#include <string.h>

void director_settings_deinit(struct director_settings *settings)
{
    free(settings->address);
    free(settings->proxy);
    free(settings->listen);
    *settings = (struct director_settings){0};
}

static bool get_tcp(struct conf_group at, const char *key, char **out, struct err *err)
{
    const char *text = NULL;
    if (!conf_get_string_or(at, key, NULL, &text, err)) return false;
    if (text && (strncmp(text, "tcp://", 6) != 0 || !conf_is_host_port(text + 6)))
        return conf_reject(at, key, err, "must be tcp://HOST:PORT, with a port from 1 to 65535");
    *out = text ? xstrdup(text) : NULL;
    return true;
}

static bool get_group(struct conf_group root, struct director_settings *out, struct err *err)
{
    struct conf_group group;
    const char *proxy = NULL;
    if (!conf_get_group(root, "director", &group, err) || !get_tcp(group, "address", &out->address, err) ||
        !get_tcp(group, "listen", &out->listen, err) ||
        !conf_get_host_port_or(group, "proxy", NULL, &proxy, err))
        return false;
    out->proxy = proxy ? xstrdup(proxy) : NULL;
    if (!out->listen) return true;
    if (out->address)
        return conf_reject(group, "address", err, "who listens for the director does not dial it");
    return !out->proxy ||
           conf_reject(
               group, "proxy", err,
               "who listens for the director does not dial it: the director's own configuration names the "
               "proxies that it dials through");
}

bool director_settings_read(struct conf_group root, struct director_settings *out, struct err *err)
{
    return conf_has_group(root, "director") ? get_group(root, out, err)
                                            : get_tcp(root, "director", &out->address, err);
}
