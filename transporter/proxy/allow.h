/* The list of what the proxy may dial. What is not on it is not dialled.
 *
 * A rule is WHERE:PORT or WHERE:PORT-PORT (ports 1 to 65535), WHERE being
 *   ADDRESS, [ADDRESS]   one address
 *   ADDRESS/BITS         a network (network_holds); of IPv6 [ADDRESS/BITS]
 *   NAME                 a host's name
 *
 * - Who asks for an address gets it if a rule with an address or a network holds it and the port.
 * - Who asks for a name gets it if a rule has the very name (upper and lower case are the same) and the port.
 *   No other name is looked up, and a name's rule does not open its addresses to who asks for those.
 * - Names are looked up when the list is made, not when somebody asks. Of the addresses found, those stay
 * that `within` holds; without any `within` those that are not special (address_is_special). A name server
 * can thus not lead the proxy to where its operator did not mean it to go. */
#ifndef SEALIFT_PROXY_ALLOW_H
#define SEALIFT_PROXY_ALLOW_H

#include "common/base/bytes.h"
#include "transporter/proxy/address.h"

#define ALLOW_ADDRESSES_MAX 8

struct allow_rule {
    char *name; /* NULL: `network` */
    struct network network;
    uint16_t first_port, last_port;
    uint8_t found[ALLOW_ADDRESSES_MAX][ADDRESS_LEN]; /* of a name */
    size_t found_count;
};

struct allow {
    struct allow_rule *rules;
    size_t count;
    struct network *within;
    size_t within_count;
};

void allow_deinit(struct allow *allow);
/* ERR_CONFIG */
bool allow_add(struct allow *allow, const char *text, struct err *err) MUST_CHECK;
bool allow_add_within(struct allow *allow, const char *text, struct err *err) MUST_CHECK;

/* Looks the names up again. It may take as long as the system's resolver waits. `tell` is called for each
 * without any address that may be used. */
void allow_resolve(struct allow *allow, void (*tell)(const char *name, const char *why));
/* Keeps of what was looked up (`count` addresses) what the name may mean. */
void allow_found(const struct allow *allow, struct allow_rule *rule, const uint8_t (*addresses)[ADDRESS_LEN],
                 size_t count);

bool allow_has_address(const struct allow *allow, const struct address *address);
/* The rule of a name, NULL if there is none. It may have found nothing. */
const struct allow_rule *allow_name(const struct allow *allow, struct span name, uint16_t port);

#endif
