#include "transporter/proxy/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { IPV4_AT = 12, IPV4_BITS = 96, ALL_BITS = 128 };

static void map_ipv4(const void *four, uint8_t out[static ADDRESS_LEN])
{
    memset(out, 0, ADDRESS_LEN);
    memset(out + 10, 0xff, 2);
    memcpy(out + IPV4_AT, four, 4);
}

bool address_parse(const char *text, uint8_t out[static ADDRESS_LEN])
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, text, &four) == 1) {
        map_ipv4(&four, out);
        return true;
    }
    if (inet_pton(AF_INET6, text, &six) != 1) return false;
    memcpy(out, &six, ADDRESS_LEN);
    return true;
}

bool address_split(const char *text, char host[static ADDRESS_HOST_MAX + 1], const char **port)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return false; /* an IPv6 address without brackets: where would its port begin? */
    }
    if (len < 1 || len > ADDRESS_HOST_MAX) return false;
    memcpy(host, text, len);
    host[len] = '\0';
    *port = colon + 1;
    return true;
}

bool address_port_parse(const char *text, struct address *out, struct err *err)
{
    char host[ADDRESS_HOST_MAX + 1];
    const char *port = NULL;
    struct address address = {.port = 0};
    if (!address_split(text, host, &port) || !address_parse(host, address.bytes) || strlen(port) < 1 ||
        strlen(port) > 5 || strspn(port, "0123456789") != strlen(port) ||
        strtoul(port, NULL, 10) > UINT16_MAX)
        return err_set(err, ERR_CONFIG, "'%.300s' is not an ADDRESS:PORT", text);
    address.port = (uint16_t)strtoul(port, NULL, 10);
    *out = address;
    return true;
}

void address_print(const struct address *address, char out[static ADDRESS_TEXT_LEN])
{
    char text[INET6_ADDRSTRLEN];
    bool four = address_is_ipv4(address->bytes);
    (void)inet_ntop(four ? AF_INET : AF_INET6, address->bytes + (four ? IPV4_AT : 0), text, sizeof(text));
    if (four)
        (void)snprintf(out, ADDRESS_TEXT_LEN, "%s:%u", text, address->port);
    else
        (void)snprintf(out, ADDRESS_TEXT_LEN, "[%s]:%u", text, address->port);
}

void address_from_sockaddr(const struct sockaddr_storage *from, struct address *out)
{
    *out = (struct address){.port = 0};
    if (from->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof(in));
        map_ipv4(&in.sin_addr, out->bytes);
        out->port = ntohs(in.sin_port);
    } else if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, from, sizeof(in));
        memcpy(out->bytes, &in.sin6_addr, ADDRESS_LEN);
        out->port = ntohs(in.sin6_port);
    }
}

socklen_t address_to_sockaddr(const struct address *from, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (address_is_ipv4(from->bytes)) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(from->port)};
        memcpy(&in.sin_addr, from->bytes + IPV4_AT, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(from->port)};
    memcpy(&in.sin6_addr, from->bytes, ADDRESS_LEN);
    memcpy(out, &in, sizeof(in));
    return sizeof(in);
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0) return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool network_parse(const char *text, struct network *out, struct err *err)
{
    char host[ADDRESS_HOST_MAX + 1];
    struct network network = {.bits = ALL_BITS};
    size_t len = strcspn(text, "/");
    const char *bits = text[len] ? text + len + 1 : NULL;
    bool sound = len <= ADDRESS_HOST_MAX;
    if (sound) {
        memcpy(host, text, len);
        host[len] = '\0';
        sound = address_parse(host, network.bytes);
    }
    if (sound && bits) {
        unsigned base = address_is_ipv4(network.bytes) ? IPV4_BITS : 0;
        size_t digits = strlen(bits);
        unsigned long value = strtoul(bits, NULL, 10);
        sound =
            digits >= 1 && digits <= 3 && strspn(bits, "0123456789") == digits && base + value <= ALL_BITS;
        network.bits = base + (unsigned)value;
    }
    if (!sound) return err_set(err, ERR_CONFIG, "'%.300s' is neither an address nor ADDRESS/BITS", text);
    for (unsigned i = network.bits; i < ALL_BITS; i++)
        if (network.bytes[i / 8] & 0x80 >> i % 8)
            return err_set(err, ERR_CONFIG, "'%.300s' has bits set behind its prefix", text);
    *out = network;
    return true;
}

/* This host, this link, and groups: IANA's special-purpose registries, as far as they lead to the proxy
 * itself or to nobody in particular. */
static const struct network specials[] = {
    {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 0}, .bits = 104},               /* 0.0.0.0/8 */
    {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 127}, .bits = 104},             /* 127.0.0.0/8 */
    {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 169, [13] = 254}, .bits = 112}, /* 169.254.0.0/16 */
    {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 224}, .bits = 99},              /* 224.0.0.0/3 */
    {.bytes = {0}, .bits = 128},                                                /* :: */
    {.bytes = {[15] = 1}, .bits = 128},                                         /* ::1 */
    {.bytes = {0xfe, 0x80}, .bits = 10},                                        /* fe80::/10 */
    {.bytes = {0xff}, .bits = 8},                                               /* ff00::/8 */
};

static const struct network *special_of(const uint8_t *address)
{
    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
        if (same_bits(specials[i].bytes, address, specials[i].bits)) return &specials[i];
    return NULL;
}

bool address_is_special(const uint8_t address[static ADDRESS_LEN])
{
    return special_of(address) != NULL;
}

bool network_holds(const struct network *network, const uint8_t address[static ADDRESS_LEN])
{
    const struct network *special = special_of(address);
    if (!same_bits(network->bytes, address, network->bits)) return false;
    if (address_is_ipv4(address) && network->bits < IPV4_BITS) return false;
    return !special || network->bits >= special->bits;
}
