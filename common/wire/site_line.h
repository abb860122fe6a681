/* The two lines that people carry from host to host: where a director is (`KEY@HOST:PORT`), and the
 * site line that pins a site (`sealift1:SITE:ADMIN:DIRECTOR@HOST:PORT`); docs/protocol.md, Enrolment.
 * SITE is 32 hex digits, KEY, ADMIN and DIRECTOR are 64. */
#ifndef SEALIFT_WIRE_SITE_LINE_H
#define SEALIFT_WIRE_SITE_LINE_H

#include "common/base/host_port.h"
#include "common/crypto/hash.h"
#include "common/crypto/sign.h"

#define DEFAULT_OPERATOR_PORT 9446
#define DEFAULT_CONTROL_PORT 9447
#define HOST_MAX HOST_PORT_HOST_MAX
#define SITE_LINE_MAX 512 /* text of either line, with the NUL */

struct director_address {
    uint8_t curve_pk[32];
    char host[HOST_MAX + 1]; /* name, IPv4, or IPv6 without brackets */
    uint16_t port;
};
/* A missing port becomes `default_port`. IPv6 addresses stand in brackets. ERR_USAGE names the part. */
bool director_address_parse(const char *text, uint16_t default_port, struct director_address *out,
                            struct err *err) MUST_CHECK;
/* "tcp://HOST:PORT" for a socket; `out` gets at most SITE_LINE_MAX bytes */
void director_address_endpoint(const struct director_address *address, char out[static SITE_LINE_MAX]);

struct site_line {
    struct id site;
    uint8_t admin[SIGN_PK_LEN];       /* signing key of the first admin */
    struct director_address director; /* control port */
};
bool site_line_parse(const char *text, struct site_line *out, struct err *err) MUST_CHECK;
void site_line_format(const struct site_line *line, char out[static SITE_LINE_MAX]);

#endif
