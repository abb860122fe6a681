#include "transporter/session/data_path.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "common/conf/conf_address.h"
#include "common/net/net_reach.h"
#include "transporter/proxy/core/rendezvous_name.h"
#include "transporter/session/stripe_growth.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(DATA_PATH_NAME_LEN == RENDEZVOUS_ID_LEN, "the name is the id of a rendezvous");
_Static_assert(STRIPES_MAX == RENDEZVOUS_STRIPES, "as many as a rendezvous can tell apart");

enum {
    DIRECT_PATIENCE_MS = 20000,
    MEETING_PATIENCE_MS = 60000,
};
#define TCP "tcp://"
#define MEETING_PORT ":1" /* a rendezvous takes any */

static bool is_tcp(const char *text)
{
    return strncmp(text, TCP, strlen(TCP)) == 0 && conf_is_host_port(text + strlen(TCP));
}

enum need { NEEDS, MAY_HAVE, HAS_NONE };

static bool text_fits(const char *text, enum need need, bool (*is_good)(const char *), const char *what,
                      struct err *err)
{
    if (text[0] == '\0')
        return need != NEEDS || err_set(err, ERR_PROTOCOL, "the assignment does not say %s", what);
    if (need == HAS_NONE)
        return err_set(err, ERR_PROTOCOL, "the assignment says %s, which such a connection has not", what);
    return is_good(text) ||
           err_set(err, ERR_PROTOCOL, "the assignment says %s, and '%.300s' is no address", what, text);
}

static bool words_fit(const struct data_path_words *words, struct err *err)
{
    bool source = words->side == SEALIFT__RUN_SIDE__SIDE_SOURCE;
    bool direct = words->connection == SEALIFT__CONNECTION__CONNECTION_DIRECT;
    enum need endpoint = HAS_NONE, proxy = HAS_NONE;
    bool (*endpoint_is_good)(const char *) = conf_is_host_port;
    if (words->connection == SEALIFT__CONNECTION__CONNECTION_NONE)
        return err_set(err, ERR_PROTOCOL, "the assignment does not say how the two hosts connect");
    if (direct) {
        endpoint = source ? NEEDS : HAS_NONE;
        endpoint_is_good = is_tcp;
        proxy = source ? MAY_HAVE : HAS_NONE;
    } else if (words->connection == SEALIFT__CONNECTION__CONNECTION_REVERSE) {
        endpoint = source ? HAS_NONE : NEEDS;
    } else {
        proxy = NEEDS;
    }
    if (words->rendezvous.len != (direct ? 0 : DATA_PATH_NAME_LEN))
        return err_set(err, ERR_PROTOCOL,
                       direct ? "the assignment names a rendezvous for a direct connection"
                              : "the assignment does not say under which name the two hosts meet");
    return text_fits(words->endpoint, endpoint, endpoint_is_good, "where the other side listens", err) &&
           text_fits(words->proxy, proxy, conf_is_host_port, "through which proxy the connection goes", err);
}

static char *copy_or_null(const char *text)
{
    return text[0] ? xstrdup(text) : NULL;
}

bool data_path_read(const struct data_path_words *words, const struct data_ways *ways,
                    const struct data_reverse *reverse, struct data_path *out, struct err *err)
{
    struct data_path path = {.side = words->side, .connection = words->connection, .ways = ways};
    assert(words->side == SEALIFT__RUN_SIDE__SIDE_SOURCE || words->side == SEALIFT__RUN_SIDE__SIDE_TARGET);
    if (!words_fit(words, err)) return false;
    if (words->rendezvous.len > 0) memcpy(path.name, words->rendezvous.data, DATA_PATH_NAME_LEN);
    if (words->connection == SEALIFT__CONNECTION__CONNECTION_REVERSE &&
        words->side == SEALIFT__RUN_SIDE__SIDE_SOURCE) {
        if (!reverse->expect)
            return err_set(err, ERR_CONFIG,
                           "the source of a reverse connection needs a reverse port, and "
                           "none is configured there (data.reverse)");
        reverse->expect(reverse->port, path.name, path.meets_at);
        path.reverse = reverse;
    }
    path.endpoint = copy_or_null(words->endpoint);
    path.proxy = copy_or_null(words->proxy);
    *out = path;
    return true;
}

void data_path_deinit(struct data_path *path)
{
    if (path->reverse) path->reverse->forget(path->reverse->port, path->name);
    free(path->endpoint);
    free(path->proxy);
    *path = (struct data_path){0};
}

static bool is_source(const struct data_path *path)
{
    return path->side == SEALIFT__RUN_SIDE__SIDE_SOURCE;
}

bool data_path_dials(const struct data_path *path)
{
    return is_source(path) || path->connection != SEALIFT__CONNECTION__CONNECTION_DIRECT;
}

/* The SOCKS5 server that this host asks; NULL: none */
static const char *socks5_of(const struct data_path *path)
{
    switch (path->connection) {
    case SEALIFT__CONNECTION__CONNECTION_REVERSE:
        return path->endpoint;
    case SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS:
        return path->proxy;
    default:
        return path->proxy ? path->proxy : path->ways->proxy;
    }
}

_Static_assert(STRIPES_MAX <= RENDEZVOUS_STRIPES, "each connection of a run has a name at a rendezvous");

static void print_name(const struct data_path *path, unsigned stripe, char out[static DATA_PATH_ADDRESS_MAX])
{
    struct rendezvous_name name = {.stripe = (uint8_t)stripe,
                                   .side = is_source(path) ? RENDEZVOUS_A : RENDEZVOUS_B};
    char text[RENDEZVOUS_NAME_LEN + 1];
    memcpy(name.id, path->name, RENDEZVOUS_ID_LEN);
    rendezvous_name_print(&name, text);
    (void)snprintf(out, DATA_PATH_ADDRESS_MAX, TCP "%s" MEETING_PORT, text);
}

/* The SOCKS5 proxy before the joiner. One that is itself the joiner is not asked for itself; NULL: none */
static const char *way_out_of(const struct data_path *path, const char *joiner)
{
    const char *own = path->ways->proxy;
    const bool meets_outside = path->connection != SEALIFT__CONNECTION__CONNECTION_DIRECT && joiner;
    return meets_outside && own && strcmp(own, joiner) != 0 ? own : NULL;
}

void data_path_endpoint(const struct data_path *path, unsigned stripe, struct data_endpoint *out)
{
    assert(data_path_dials(path) && stripe < STRIPES_MAX);
    struct net_endpoint *net = &out->net;
    *net = (struct net_endpoint){.side = NET_CONNECT, .address = out->address, .socks5 = socks5_of(path)};
    net->way_out = way_out_of(path, net->socks5);
    out->inside = path->meets_at[0] != '\0';
    if (path->connection != SEALIFT__CONNECTION__CONNECTION_DIRECT)
        out->net.socks5_patience_ms = NET_PATIENCE_FOR_EVER;
    if (path->connection == SEALIFT__CONNECTION__CONNECTION_DIRECT)
        (void)snprintf(out->address, sizeof(out->address), "%s", path->endpoint);
    else if (out->inside)
        (void)snprintf(out->address, sizeof(out->address), "%s%u", path->meets_at, stripe);
    else
        print_name(path, stripe, out->address);
}

uint64_t data_path_patience_ms(const struct data_path *path)
{
    return path->connection == SEALIFT__CONNECTION__CONNECTION_DIRECT ? DIRECT_PATIENCE_MS
                                                                      : MEETING_PATIENCE_MS;
}

void data_path_text(const struct data_path *path, char out[static DATA_PATH_TEXT_MAX])
{
    switch (path->connection) {
    case SEALIFT__CONNECTION__CONNECTION_REVERSE:
        if (is_source(path))
            (void)snprintf(out, DATA_PATH_TEXT_MAX, "the target at the reverse port here");
        else
            (void)snprintf(out, DATA_PATH_TEXT_MAX, "reverse port '%s'", path->endpoint);
        return;
    case SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS:
        (void)snprintf(out, DATA_PATH_TEXT_MAX, "rendezvous at '%s'", path->proxy);
        return;
    default:
        (void)snprintf(out, DATA_PATH_TEXT_MAX, "'%s'", path->endpoint ? path->endpoint : "the data port");
    }
}

void data_path_trouble(const struct data_path *path, const char *text, char out[static DATA_PATH_TROUBLE_MAX])
{
    char proxy[DATA_PATH_TEXT_MAX];
    bool meeting = path->connection != SEALIFT__CONNECTION__CONNECTION_DIRECT;
    (void)snprintf(proxy, sizeof(proxy), "proxy '%s': ", meeting ? socks5_of(path) : "");
    size_t len = strlen(proxy);
    bool same = meeting && strncmp(text, proxy, len) == 0;
    (void)snprintf(out, DATA_PATH_TROUBLE_MAX, "%s", same ? text + len : text);
}

bool data_path_why_not(const struct data_path *path, int timeout_ms, const struct net_wake *give_up,
                       const char *trouble, char out[static DATA_PATH_TROUBLE_MAX])
{
    struct net_reach_result result = {.reason = NET_REACHED};
    struct data_endpoint at;
    if (path->connection == SEALIFT__CONNECTION__CONNECTION_DIRECT && is_source(path)) {
        data_path_endpoint(path, 0, &at);
        const struct net_reach_try try = {
            .address = at.address + strlen(TCP), .timeout_ms = timeout_ms, .give_up = give_up};
        if (!at.net.socks5) result = net_reach(&try);
    }
    bool told = result.reason != NET_REACHED && result.reason != NET_REACH_GIVEN_UP;
    if (told)
        net_reach_text(&result, out);
    else if (out != trouble)
        (void)snprintf(out, DATA_PATH_TROUBLE_MAX, "%s", trouble);
    return told;
}

bool data_path_waits(const struct data_path *path)
{
    return path->connection == SEALIFT__CONNECTION__CONNECTION_REVERSE
               ? is_source(path)
               : path->connection == SEALIFT__CONNECTION__CONNECTION_DIRECT && !is_source(path);
}

static void dialled_text(const struct data_path *path, char out[static DATA_PATH_TEXT_MAX])
{
    out[0] = '\0';
    if (path && data_path_dials(path)) data_path_text(path, out);
}

void data_path_absent(const struct data_path *path, const char *trouble,
                      char out[static DATA_PATH_ABSENT_MAX])
{
    char at[DATA_PATH_TEXT_MAX];
    dialled_text(path, at);
    (void)snprintf(out, DATA_PATH_ABSENT_MAX, "waiting for the other side%s%s%s%s", at[0] ? ": " : "", at,
                   trouble[0] ? ": " : "", trouble);
}

void data_path_gone(const struct data_path *path, uint64_t lease_ms, const char *trouble, struct err *err)
{
    char at[DATA_PATH_TEXT_MAX];
    dialled_text(path, at);
    (void)err_set(err, ERR_UNREACHABLE, DATA_PATH_GONE "%" PRIu64 " s%s%s%s%s", lease_ms / 1000,
                  at[0] ? ": " : "", at, trouble[0] ? ": " : "", trouble);
}
