#include "transporter/proxy/allow.h"

#include "common/base/alloc.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void allow_deinit(struct allow *allow)
{
    for (size_t i = 0; i < allow->count; i++)
        free(allow->rules[i].name);
    free(allow->rules);
    free(allow->within);
    *allow = (struct allow){0};
}

/* One port; *text goes behind it. */
static bool take_port(const char **text, uint16_t *out)
{
    size_t len = strspn(*text, "0123456789");
    unsigned long port = len >= 1 && len <= 5 ? strtoul(*text, NULL, 10) : 0;
    if (port < 1 || port > UINT16_MAX) return false;
    *out = (uint16_t)port;
    *text += len;
    return true;
}

static bool parse_ports(const char *text, struct allow_rule *rule)
{
    if (!take_port(&text, &rule->first_port)) return false;
    rule->last_port = rule->first_port;
    if (*text == '-') {
        text++;
        if (!take_port(&text, &rule->last_port)) return false;
    }
    return *text == '\0' && rule->first_port <= rule->last_port;
}

/* Something that a name server can have: with a letter, so that a misspelt address is no name. */
static bool is_host_name(const char *host)
{
    size_t len = strlen(host);
    if (strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != len)
        return false;
    return len <= 253 && host[0] != '.' && host[0] != '-' &&
           strpbrk(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

bool allow_add(struct allow *allow, const char *text, struct err *err)
{
    char host[ADDRESS_HOST_MAX + 1];
    const char *ports = NULL;
    struct allow_rule rule = {.name = NULL};
    struct err why;
    if (!address_split(text, host, &ports) || !parse_ports(ports, &rule))
        return err_set(err, ERR_CONFIG, "'%.300s' is not WHERE:PORT or WHERE:PORT-PORT", text);
    if (!network_parse(host, &rule.network, &why)) {
        if (strchr(host, '/')) return err_set(err, ERR_CONFIG, "%s", why.text);
        if (!is_host_name(host))
            return err_set(err, ERR_CONFIG, "'%.300s' is neither an address nor a host's name", host);
        rule.name = xstrdup(host);
    }
    allow->rules = xreallocarray(allow->rules, allow->count + 1, sizeof(*allow->rules));
    allow->rules[allow->count++] = rule;
    return true;
}

bool allow_add_within(struct allow *allow, const char *text, struct err *err)
{
    struct network network;
    if (!network_parse(text, &network, err)) return false;
    allow->within = xreallocarray(allow->within, allow->within_count + 1, sizeof(*allow->within));
    allow->within[allow->within_count++] = network;
    return true;
}

static bool may_be_meant(const struct allow *allow, const uint8_t address[static ADDRESS_LEN])
{
    for (size_t i = 0; i < allow->within_count; i++)
        if (network_holds(&allow->within[i], address)) return true;
    return allow->within_count == 0 && !address_is_special(address);
}

void allow_found(const struct allow *allow, struct allow_rule *rule, const uint8_t (*addresses)[ADDRESS_LEN],
                 size_t count)
{
    rule->found_count = 0;
    for (size_t i = 0; i < count && rule->found_count < ALLOW_ADDRESSES_MAX; i++)
        if (may_be_meant(allow, addresses[i]))
            memcpy(rule->found[rule->found_count++], addresses[i], ADDRESS_LEN);
}

static void resolve(const struct allow *allow, struct allow_rule *rule,
                    void (*tell)(const char *name, const char *why))
{
    enum { MOST = 64 };
    uint8_t addresses[MOST][ADDRESS_LEN];
    size_t count = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int status = getaddrinfo(rule->name, NULL, &hints, &found);
    for (const struct addrinfo *at = status == 0 ? found : NULL; at && count < MOST; at = at->ai_next) {
        struct sockaddr_storage storage = {0};
        struct address address;
        memcpy(&storage, at->ai_addr, at->ai_addrlen);
        address_from_sockaddr(&storage, &address);
        memcpy(addresses[count++], address.bytes, ADDRESS_LEN);
    }
    if (status == 0) freeaddrinfo(found);
    allow_found(allow, rule, (const uint8_t(*)[ADDRESS_LEN])addresses, count);
    if (rule->found_count > 0) return;
    tell(rule->name,
         status != 0 ? gai_strerror(status) : "none of its addresses may be used: see resolve_within");
}

void allow_resolve(struct allow *allow, void (*tell)(const char *name, const char *why))
{
    for (size_t i = 0; i < allow->count; i++)
        if (allow->rules[i].name) resolve(allow, &allow->rules[i], tell);
}

static bool has_port(const struct allow_rule *rule, uint16_t port)
{
    return port >= rule->first_port && port <= rule->last_port;
}

bool allow_has_address(const struct allow *allow, const struct address *address)
{
    for (size_t i = 0; i < allow->count; i++) {
        const struct allow_rule *rule = &allow->rules[i];
        if (!rule->name && has_port(rule, address->port) && network_holds(&rule->network, address->bytes))
            return true;
    }
    return false;
}

const struct allow_rule *allow_name(const struct allow *allow, struct span name, uint16_t port)
{
    for (size_t i = 0; i < allow->count; i++) {
        const struct allow_rule *rule = &allow->rules[i];
        if (rule->name && has_port(rule, port) && strlen(rule->name) == name.len &&
            strncasecmp(rule->name, (const char *)name.data, name.len) == 0)
            return rule;
    }
    return NULL;
}
