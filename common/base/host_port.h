/* HOST:PORT, as people write it: a name, an IPv4 address, or an IPv6 address in brackets, and a port. Every
 * program reads it here, so that what one of them takes no other refuses. */
#ifndef SEALIFT_BASE_HOST_PORT_H
#define SEALIFT_BASE_HOST_PORT_H

#include "common/base/err.h"

#include <stdint.h>

#define HOST_PORT_HOST_MAX 253 /* characters; the longest name of the DNS */

struct host_port {
    char host[HOST_PORT_HOST_MAX + 1]; /* without brackets */
    uint16_t port;
};

/* Who listens may also listen everywhere ('*'), and at any free port (0). */
enum host_port_use { HOST_PORT_DIALLED, HOST_PORT_LISTENS };

/* Both parts must be there. ERR_USAGE says what is wrong with them. */
bool host_port_parse(const char *text, enum host_port_use use, struct host_port *out,
                     struct err *err) MUST_CHECK;
/* The same of what is dialled; a missing port becomes `default_port`. */
bool host_port_parse_or(const char *text, uint16_t default_port, struct host_port *out,
                        struct err *err) MUST_CHECK;

/* The host as it stands before ":PORT": an IPv6 address in brackets. What is too long is cut. */
#define HOST_PORT_TEXT_MAX (HOST_PORT_HOST_MAX + 3)
void host_port_host_text(const char *host, char out[static HOST_PORT_TEXT_MAX]);

#endif
