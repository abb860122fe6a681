#include "director/core/way.h"

#include "common/base/alloc.h"
#include "common/base/host_port.h"

#include <stdio.h>
#include <string.h>

#define DIRECT SEALIFT__CONNECTION__CONNECTION_DIRECT
#define REVERSE SEALIFT__CONNECTION__CONNECTION_REVERSE
#define RENDEZVOUS SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS

bool way_connection_parse(const char *name, Sealift__Connection *out, struct err *err)
{
    for (int i = DIRECT; i <= RENDEZVOUS; i++) {
        if (strcmp(name, connection_name((Sealift__Connection)i)) != 0) continue;
        *out = (Sealift__Connection)i;
        return true;
    }
    return err_set(err, ERR_USAGE, "a connection is 'direct', 'reverse' or 'rendezvous', not '%s'", name);
}

bool way_wish_make(Sealift__Connection connection, const char *proxy, struct way_wish *out, struct err *err)
{
    struct way_wish wish = {.connection = connection};
    struct host_port at;
    bool named = proxy && proxy[0];
    if (named && connection == REVERSE)
        return err_set(
            err, ERR_USAGE,
            "a reverse connection takes no proxy: the target dials the source's reverse port itself");
    if (named && connection == SEALIFT__CONNECTION__CONNECTION_NONE)
        return err_set(err, ERR_USAGE, "a proxy goes with a connection that is 'direct' or 'rendezvous'");
    if (!named && connection == RENDEZVOUS)
        return err_set(err, ERR_USAGE,
                       "a rendezvous needs a proxy, HOST:PORT, that both transporters can dial");
    if (named && strlen(proxy) > WAY_PROXY_MAX)
        return err_set(err, ERR_USAGE, "the address of a proxy has at most %d bytes", WAY_PROXY_MAX);
    if (named && !host_port_parse(proxy, HOST_PORT_DIALLED, &at, err)) return err_wrap(err, "the proxy");
    if (named) memcpy(wish.proxy, proxy, strlen(proxy) + 1);
    *out = wish;
    return true;
}

/* ---- links */

void link_table_deinit(struct link_table *table)
{
    free(table->items);
    *table = (struct link_table){0};
}

static bool is_pair(const struct link *link, const uint8_t *source, const uint8_t *target)
{
    return memcmp(link->source, source, SIGN_PK_LEN) == 0 && memcmp(link->target, target, SIGN_PK_LEN) == 0;
}

static struct link *slot_of(const struct link_table *table, const uint8_t *source, const uint8_t *target)
{
    for (size_t i = 0; i < table->count; i++)
        if (is_pair(&table->items[i], source, target)) return &table->items[i];
    return NULL;
}

const struct link *link_table_find(const struct link_table *table, const uint8_t source[SIGN_PK_LEN],
                                   const uint8_t target[SIGN_PK_LEN])
{
    return slot_of(table, source, target);
}

bool link_table_put(struct link_table *table, const struct link *link, struct err *err)
{
    if (memcmp(link->source, link->target, SIGN_PK_LEN) == 0)
        return err_set(err, ERR_USAGE, "a link is between two transporters, not of one with itself");
    struct link *slot = slot_of(table, link->source, link->target);
    if (slot) {
        *slot = *link;
        return true;
    }
    if (table->count >= LINKS_MAX)
        return err_set(err, ERR_LIMIT, "there are %d links, and no room for more", LINKS_MAX);
    if (table->count == table->cap) {
        table->cap = table->cap ? table->cap * 2 : 8;
        table->items = xreallocarray(table->items, table->cap, sizeof(*table->items));
    }
    table->items[table->count++] = *link;
    return true;
}

bool link_table_remove(struct link_table *table, const uint8_t source[SIGN_PK_LEN],
                       const uint8_t target[SIGN_PK_LEN], struct err *err)
{
    struct link *slot = slot_of(table, source, target);
    if (!slot) return err_set(err, ERR_NOT_FOUND, "this pair of transporters has no link of its own");
    size_t behind = table->count - (size_t)(slot - table->items) - 1;
    memmove(slot, slot + 1, behind * sizeof(*slot));
    table->count--;
    return true;
}

/* ---- what comes of it */

static Sealift__Connection opposite(Sealift__Connection connection)
{
    return connection == DIRECT ? REVERSE : connection == REVERSE ? DIRECT : connection;
}

/* What the link of the pair wants; a direct connection where there is none. */
static bool linked(const struct link_table *links, const struct way_ends *ends, struct way_wish *out,
                   struct err *err)
{
    const struct link *there = links ? link_table_find(links, ends->source, ends->target) : NULL;
    const struct link *back = links && !there ? link_table_find(links, ends->target, ends->source) : NULL;
    struct way_wish wish = {.connection = DIRECT};
    if (there) wish = there->wish;
    if (back) {
        wish = back->wish;
        wish.connection = opposite(wish.connection);
    }
    if (wish.connection == REVERSE && wish.proxy[0])
        return err_set(
            err, ERR_UNREACHABLE,
            "the link of '%s' and '%s' goes through the proxy %s, and runs in the opposite direction "
            "cannot: 'sealift link set %s %s --connection …' says how those go",
            ends->target_name, ends->source_name, wish.proxy, ends->source_name, ends->target_name);
    *out = wish;
    return true;
}

bool way_decide(const struct way_wish *own, const struct link_table *links, const struct way_ends *ends,
                struct way_wish *out, struct err *err)
{
    struct way_wish link = {0}, way = {0};
    struct err no_link;
    bool known = linked(links, ends, &link, &no_link);
    if (own) way = *own;
    if (way.connection == SEALIFT__CONNECTION__CONNECTION_NONE) {
        if (!known) *err = no_link;
        if (!known) return false;
        way = link;
    } else if (known && way.connection == link.connection && !way.proxy[0]) {
        way = link;
    }
    if (way.connection == RENDEZVOUS && !way.proxy[0])
        return err_set(err, ERR_UNREACHABLE,
                       "'%s' and '%s' are to meet, and no proxy is known where: 'sealift link set %s %s "
                       "--connection rendezvous --proxy HOST:PORT'",
                       ends->source_name, ends->target_name, ends->source_name, ends->target_name);
    *out = way;
    return true;
}

bool way_check_ends(const struct way_wish *way, const struct way_ends *ends, const char *reverse_endpoint,
                    struct err *err)
{
    if (way->connection != REVERSE || reverse_endpoint[0]) return true;
    return err_set(err, ERR_UNREACHABLE,
                   "'%s' is to dial '%s', which has no reverse port: set data.reverse.listen and "
                   "data.reverse.advertise in the configuration of '%s'",
                   ends->target_name, ends->source_name, ends->source_name);
}

struct way_word way_word_for(const struct way_wish *way, Sealift__RunSide side, const char *endpoint)
{
    bool source = side == SEALIFT__RUN_SIDE__SIDE_SOURCE;
    struct way_word word = {.endpoint = "", .proxy = ""};
    switch (way->connection) {
    case SEALIFT__CONNECTION__CONNECTION_DIRECT:
        if (source) word = (struct way_word){.endpoint = endpoint, .proxy = way->proxy};
        break;
    case SEALIFT__CONNECTION__CONNECTION_REVERSE:
        if (!source) word.endpoint = endpoint;
        word.named = true;
        break;
    case SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS:
        word.proxy = way->proxy;
        word.named = true;
        break;
    default:
        break; /* one host */
    }
    return word;
}

void way_endpoint(const char *endpoint, const char *seen, char *out, size_t size)
{
    static const char *const everywhere[] = {"tcp://0.0.0.0:", "tcp://[::]:", "tcp://*:"};
    static const char mapped[] = "::ffff:"; /* IPv4 within IPv6 */
    if (strncmp(seen, mapped, strlen(mapped)) == 0) seen += strlen(mapped);
    for (size_t i = 0; i < sizeof(everywhere) / sizeof(everywhere[0]) && seen[0]; i++) {
        size_t len = strlen(everywhere[i]);
        if (strncmp(endpoint, everywhere[i], len) != 0) continue;
        char host[HOST_PORT_TEXT_MAX];
        host_port_host_text(seen, host);
        int written = snprintf(out, size, "tcp://%s:%s", host, endpoint + len);
        if (written > 0 && (size_t)written < size) return;
    }
    (void)snprintf(out, size, "%s", endpoint);
}
