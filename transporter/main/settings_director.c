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

static bool get_tcp(struct conf_group at, const char *key, enum host_port_use use, char **out,
                    struct err *err)
{
    const char *text = NULL;
    if (!conf_get_endpoint_or(at, key, use, NULL, &text, err)) return false;
    *out = text ? xstrdup(text) : NULL;
    return true;
}

static bool get_group(struct conf_group root, struct director_settings *out, struct err *err)
{
    struct conf_group group;
    const char *proxy = NULL;
    if (!conf_get_group(root, "director", &group, err) ||
        !get_tcp(group, "address", HOST_PORT_DIALLED, &out->address, err) ||
        !get_tcp(group, "listen", HOST_PORT_LISTENS, &out->listen, err) ||
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
    return conf_has_group(root, "director")
               ? get_group(root, out, err)
               : get_tcp(root, "director", HOST_PORT_DIALLED, &out->address, err);
}
