#include "common/wire/site_line.h"

#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

static bool host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':' || c == '%';
}

static bool host_set(struct director_address *out, const char *host, size_t len, struct err *err)
{
    if (len == 0 || len > HOST_MAX)
        return err_set(err, ERR_USAGE, "the address needs a host of 1 to %d characters", HOST_MAX);
    for (size_t i = 0; i < len; i++)
        if (!host_char(host[i]))
            return err_set(err, ERR_USAGE, "the host has a character that no host name has");
    memcpy(out->host, host, len);
    out->host[len] = '\0';
    return true;
}

static bool port_set(struct director_address *out, const char *text, struct err *err)
{
    uint32_t port = 0;
    size_t len = strlen(text);
    bool digits = len >= 1 && len <= 5;
    for (size_t i = 0; digits && i < len; i++) {
        digits = text[i] >= '0' && text[i] <= '9';
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (!digits || port == 0 || port > 65535)
        return err_set(err, ERR_USAGE, "'%s' is not a port from 1 to 65535", text);
    out->port = (uint16_t)port;
    return true;
}

static bool host_and_port(const char *text, struct director_address *out, struct err *err)
{
    const char *end; /* of the host */
    size_t host_len;
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end) return err_set(err, ERR_USAGE, "the address has '[' without ']'");
        host_len = (size_t)(end - text) - 1;
        text++;
        end++;
    } else {
        end = text + strcspn(text, ":");
        host_len = (size_t)(end - text);
        if (*end && strchr(end + 1, ':'))
            return err_set(err, ERR_USAGE, "write an IPv6 address in brackets: [ADDRESS]:PORT");
    }
    if (!host_set(out, text, host_len, err)) return false;
    if (*end == '\0') return true;
    if (*end != ':') return err_set(err, ERR_USAGE, "after the host comes ':PORT' or nothing");
    return port_set(out, end + 1, err);
}

/* `len` hex digits at the start of *text, then `after`; moves *text behind. */
static bool hex_part(const char **text, void *out, size_t len, char after, const char *what, struct err *err)
{
    char digits[2 * 32 + 1];
    const char *end = strchr(*text, after);
    if (!end || (size_t)(end - *text) != 2 * len)
        return err_set(err, ERR_USAGE, "%s has %zu hex digits before '%c'", what, 2 * len, after);
    memcpy(digits, *text, 2 * len);
    digits[2 * len] = '\0';
    struct err why = {0};
    if (!hex_decode(digits, out, len, &why)) return err_set(err, ERR_USAGE, "%s: %s", what, why.text);
    *text = end + 1;
    return true;
}

bool host_port_check(const char *text, struct err *err)
{
    struct director_address address = {0};
    if (!host_and_port(text, &address, err)) return err_wrap(err, "'%.255s'", text);
    return address.port != 0 || err_set(err, ERR_USAGE, "'%.255s' has no port: HOST:PORT", text);
}

bool director_address_parse(const char *text, uint16_t default_port, struct director_address *out,
                            struct err *err)
{
    struct director_address address = {.port = default_port};
    if (!hex_part(&text, address.curve_pk, 32, '@', "the director's key", err)) return false;
    if (!host_and_port(text, &address, err)) return false;
    *out = address;
    return true;
}

static void host_text(const struct director_address *address, char *out, size_t len)
{
    unsigned port = address->port;
    if (strchr(address->host, ':'))
        (void)snprintf(out, len, "[%s]:%u", address->host, port);
    else
        (void)snprintf(out, len, "%s:%u", address->host, port);
}

void director_address_endpoint(const struct director_address *address, char out[static SITE_LINE_MAX])
{
    memcpy(out, "tcp://", 7);
    host_text(address, out + 6, SITE_LINE_MAX - 6);
}

bool site_line_parse(const char *text, struct site_line *out, struct err *err)
{
    static const char start[] = "sealift1:";
    if (strncmp(text, start, sizeof(start) - 1) != 0)
        return err_set(err, ERR_USAGE, "a site line begins with '%s'", start);
    struct site_line line = {0};
    text += sizeof(start) - 1;
    if (!hex_part(&text, line.site.bytes, ID_LEN, ':', "the site id", err)) return false;
    if (!hex_part(&text, line.admin, SIGN_PK_LEN, ':', "the admin's key", err)) return false;
    if (!director_address_parse(text, DEFAULT_CONTROL_PORT, &line.director, err)) return false;
    *out = line;
    return true;
}

void site_line_format(const struct site_line *line, char out[static SITE_LINE_MAX])
{
    char site[2 * ID_LEN + 1], admin[2 * SIGN_PK_LEN + 1], director[65], host[HOST_MAX + 16];
    hex_encode(line->site.bytes, ID_LEN, site);
    hex_encode(line->admin, SIGN_PK_LEN, admin);
    hex_encode(line->director.curve_pk, 32, director);
    host_text(&line->director, host, sizeof(host));
    (void)snprintf(out, SITE_LINE_MAX, "sealift1:%s:%s:%s@%s", site, admin, director, host);
}
