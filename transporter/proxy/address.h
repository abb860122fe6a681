/* An address with a port, and a network of addresses, as text and as the kernel has them. IPv4 is held as
 * IPv6 holds it, ::ffff:a.b.c.d, so that one address has one form however it was written. */
#ifndef SEALIFT_PROXY_ADDRESS_H
#define SEALIFT_PROXY_ADDRESS_H

#include "common/base/err.h"
#include "transporter/proxy/core/address_count.h"

#include <sys/socket.h>

struct address {
    uint8_t bytes[ADDRESS_LEN];
    uint16_t port;
};

/* "192.0.2.1" or "2001:db8::1", without brackets and zone */
bool address_parse(const char *text, uint8_t out[static ADDRESS_LEN]) __attribute__((warn_unused_result));
/* "192.0.2.1:1080", "[2001:db8::1]:1080", port 0 to 65535. ERR_CONFIG. */
bool address_port_parse(const char *text, struct address *out, struct err *err) MUST_CHECK;
/* the same printed */
#define ADDRESS_TEXT_LEN 64
void address_print(const struct address *address, char out[static ADDRESS_TEXT_LEN]);
/* HOST:PORT and [HOST]:PORT taken apart at the last colon, both parts copied; false if there are no two. */
#define ADDRESS_HOST_MAX 255
bool address_split(const char *text, char host[static ADDRESS_HOST_MAX + 1], const char **port)
    __attribute__((warn_unused_result));

void address_from_sockaddr(const struct sockaddr_storage *from, struct address *out);
socklen_t address_to_sockaddr(const struct address *from, struct sockaddr_storage *out);

/* All addresses with the same first bits. */
struct network {
    uint8_t bytes[ADDRESS_LEN];
    unsigned bits; /* 0 to 128; of IPv4 96 to 128 */
};

/* "10.0.0.0/8", "2001:db8::/32", or one address. ERR_CONFIG, also where bits behind the prefix are set. */
bool network_parse(const char *text, struct network *out, struct err *err) MUST_CHECK;
/* IPv4 lies in networks of IPv4 only. An address that means this host, its link or a group (loopback,
 * unspecified, link-local, multicast, reserved) lies in those networks only that hold nothing else: what is
 * opened to everywhere is not opened to the proxy's own host. */
bool network_holds(const struct network *network, const uint8_t address[static ADDRESS_LEN]);
/* whether it is one of those addresses */
bool address_is_special(const uint8_t address[static ADDRESS_LEN]);

#endif
