#include "transporter/main/settings_data.h"

#include "common/base/alloc.h"

#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS_DEFAULT = 256, PER_CLIENT_DEFAULT = 64 };

void settings_data_deinit(struct data_settings *settings)
{
    proxy_settings_deinit(&settings->reverse.port);
    free(settings->reverse.advertise);
    free(settings->proxy);
    conf_logins_deinit(&settings->logins);
    *settings = (struct data_settings){0};
}

static bool is_anywhere(const struct address *address)
{
    static const uint8_t any_ipv4[] = {[10] = 0xff, [11] = 0xff, [15] = 0}, any_ipv6[ADDRESS_LEN];
    return memcmp(address->bytes, any_ipv4, ADDRESS_LEN) == 0 ||
           memcmp(address->bytes, any_ipv6, ADDRESS_LEN) == 0;
}

static bool get_reverse(struct conf_group at, uint64_t silence_ms, struct reverse_settings *out,
                        struct err *err)
{
    const char *listen = NULL, *advertise = NULL;
    struct err why;
    if (!conf_get_string(at, "listen", &listen, err) ||
        !conf_get_host_port_or(at, "advertise", NULL, &advertise, err))
        return false;
    out->port.listen = xcalloc(1, sizeof(*out->port.listen));
    if (!address_port_parse(listen, out->port.listen, &why))
        return conf_reject(at, "listen", err, "%s", why.text);
    if (!advertise && is_anywhere(out->port.listen))
        return conf_reject(at, "listen", err,
                           "is every address of this host: say by 'advertise' which HOST:PORT targets dial");
    out->port.listen_count = 1;
    out->port.rendezvous = RENDEZVOUS_ON;
    out->advertise = advertise ? xstrdup(advertise) : NULL;
    out->port.connections = CONNECTIONS_DEFAULT;
    out->port.per_client = PER_CLIENT_DEFAULT;
    out->port.silence_ms = silence_ms;
    return proxy_settings_get_limits(at, &out->port, err);
}

bool settings_data_read(struct conf_group root, struct conf_group data, uint64_t silence_ms,
                        struct data_settings *out, struct err *err)
{
    struct conf_group reverse;
    const char *proxy = NULL;
    if (conf_has(data, "reverse") && (!conf_get_group(data, "reverse", &reverse, err) ||
                                      !get_reverse(reverse, silence_ms, &out->reverse, err)))
        return false;
    if (!conf_get_host_port_or(data, "proxy", NULL, &proxy, err) ||
        !conf_get_logins(root, "proxies", &out->logins, err))
        return false;
    out->proxy = proxy ? xstrdup(proxy) : NULL;
    return true;
}
