#include "common/base/host_port.h"

#include <stdio.h>
#include <string.h>

static bool host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':' || c == '%';
}

static bool host_set(struct host_port *out, enum host_port_use use, const char *host, size_t len,
                     struct err *err)
{
    bool everywhere = use == HOST_PORT_LISTENS && len == 1 && host[0] == '*';
    if (len == 0 || len > HOST_PORT_HOST_MAX)
        return err_set(err, ERR_USAGE, "the address needs a host of 1 to %d characters", HOST_PORT_HOST_MAX);
    for (size_t i = 0; i < len && !everywhere; i++)
        if (!host_char(host[i]))
            return err_set(err, ERR_USAGE, "the host has a character that no host name has");
    memcpy(out->host, host, len);
    out->host[len] = '\0';
    return true;
}

static bool port_set(struct host_port *out, enum host_port_use use, const char *text, struct err *err)
{
    const uint32_t least = use == HOST_PORT_LISTENS ? 0 : 1;
    uint32_t port = 0;
    size_t len = strlen(text);
    bool digits = len >= 1 && len <= 5;
    for (size_t i = 0; digits && i < len; i++) {
        digits = text[i] >= '0' && text[i] <= '9';
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (!digits || port < least || port > UINT16_MAX)
        return err_set(err, ERR_USAGE, "'%.255s' is not a port from %u to 65535", text, least);
    out->port = (uint16_t)port;
    return true;
}

/* *port: where its text begins; NULL: there is none */
static bool take_host(const char *text, enum host_port_use use, struct host_port *out, const char **port,
                      struct err *err)
{
    const char *end; /* of the host */
    size_t len;
    if (strstr(text, "://"))
        return err_set(err, ERR_USAGE, "write HOST:PORT, without '%.*s'",
                       (int)(strstr(text, "://") + 3 - text), text);
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end) return err_set(err, ERR_USAGE, "the address has '[' without ']'");
        len = (size_t)(end - text) - 1;
        text++;
        end++;
    } else {
        end = text + strcspn(text, ":");
        len = (size_t)(end - text);
        if (*end && strchr(end + 1, ':'))
            return err_set(err, ERR_USAGE, "write an IPv6 address in brackets: [ADDRESS]:PORT");
    }
    if (*end && *end != ':') return err_set(err, ERR_USAGE, "after the host comes ':PORT' or nothing");
    *port = *end ? end + 1 : NULL;
    return host_set(out, use, text, len, err);
}

bool host_port_parse(const char *text, enum host_port_use use, struct host_port *out, struct err *err)
{
    struct host_port parsed = {.port = 0};
    const char *port = NULL;
    if (!take_host(text, use, &parsed, &port, err)) return err_wrap(err, "'%.255s'", text);
    if (!port) return err_set(err, ERR_USAGE, "'%.255s' has no port: HOST:PORT", text);
    if (!port_set(&parsed, use, port, err)) return err_wrap(err, "'%.255s'", text);
    *out = parsed;
    return true;
}

bool host_port_parse_or(const char *text, uint16_t default_port, struct host_port *out, struct err *err)
{
    struct host_port parsed = {.port = default_port};
    const char *port = NULL;
    if (!take_host(text, HOST_PORT_DIALLED, &parsed, &port, err)) return false;
    if (port && !port_set(&parsed, HOST_PORT_DIALLED, port, err)) return false;
    *out = parsed;
    return true;
}

void host_port_host_text(const char *host, char out[static HOST_PORT_TEXT_MAX])
{
    bool bracket = strchr(host, ':') != NULL;
    (void)snprintf(out, HOST_PORT_TEXT_MAX, bracket ? "[%.*s]" : "%.*s", HOST_PORT_HOST_MAX, host);
}
