#include "common/wire/site_line.h"

#include "common/base/host_port.h"
#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

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

bool director_address_parse(const char *text, uint16_t default_port, struct director_address *out,
                            struct err *err)
{
    struct director_address address;
    struct host_port at;
    if (!hex_part(&text, address.curve_pk, 32, '@', "the director's key", err)) return false;
    if (!host_port_parse_or(text, default_port, &at, err)) return false;
    memcpy(address.host, at.host, sizeof(address.host));
    address.port = at.port;
    *out = address;
    return true;
}

static void host_text(const struct director_address *address, char *out, size_t len)
{
    char host[HOST_PORT_TEXT_MAX];
    host_port_host_text(address->host, host);
    (void)snprintf(out, len, "%s:%u", host, (unsigned)address->port);
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
