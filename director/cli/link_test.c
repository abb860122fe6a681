#include "director/cli/link_test.h"

#include "director/cli/pair.h"

#include <stdio.h>
#include <string.h>

enum {
    WAYS_MAX = 6,
    TEST_LIMIT_MS = 30000, /* for one way: the director takes at most 20 s */
};

struct trial {
    struct way_wish way;
    bool set;   /* it is what the link says */
    bool works; /* as far as it was tried */
};

struct trials {
    struct trial items[WAYS_MAX];
    size_t count;
};

static bool same(const struct way_wish *a, const struct way_wish *b)
{
    return a->connection == b->connection && strcmp(a->proxy, b->proxy) == 0;
}

static void add(struct trials *trials, Sealift__Connection connection, const char *proxy)
{
    struct trial trial = {.way = {.connection = connection}};
    memcpy(trial.way.proxy, proxy, strlen(proxy) + 1);
    for (size_t i = 0; i < trials->count; i++)
        if (same(&trials->items[i].way, &trial.way)) return;
    trials->items[trials->count++] = trial;
}

/* Every way that makes sense, the one that is set among them. `now` without a connection: none is. */
static void plan(const struct way_wish *now, const char *proxy, struct trials *out)
{
    const Sealift__Connection direct = SEALIFT__CONNECTION__CONNECTION_DIRECT,
                              rendezvous = SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS;
    add(out, direct, "");
    if (now->connection == direct) add(out, direct, now->proxy);
    if (proxy[0]) add(out, direct, proxy);
    add(out, SEALIFT__CONNECTION__CONNECTION_REVERSE, "");
    if (now->connection == rendezvous) add(out, rendezvous, now->proxy);
    if (proxy[0]) add(out, rendezvous, proxy);
    for (size_t i = 0; i < out->count; i++)
        out->items[i].set = same(&out->items[i].way, now);
}

/* --- one way --- */

static bool ask(struct cli *cli, const struct pair *pair, const struct way_wish *way,
                Sealift__LinkTestAnswer **out, struct err *err)
{
    struct client *client = NULL;
    AUTO(client_message) struct client_message answer = {0};
    Sealift__Link link = pair_link(pair, way);
    Sealift__LinkTest body = SEALIFT__LINK_TEST__INIT;
    body.link = &link;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_LINK_TEST;
    head.link_test = &body;
    if (!access_director(cli, &client, err)) return false;
    client_limit(client, TEST_LIMIT_MS);
    bool ok = client_request(client, &head, (struct span){0}, CLIENT_REPEATABLE, &answer, err);
    client_limit(client, CLIENT_LIMIT_MS);
    return ok && (payload_link_test_decode(buf_span(&answer.payload), out, err) ||
                  err_wrap(err, "the director's answer"));
}

static json_t *row_of(const struct cli *cli, const struct trial *trial, const char *why, uint64_t rtt_us)
{
    json_t *row =
        json_pack("{s:s, s:s?, s:b, s:b, s:s, s:o}", "mode", connection_name(trial->way.connection), "proxy",
                  trial->way.proxy[0] ? trial->way.proxy : NULL, "set", trial->set, "works", trial->works,
                  "why", why, "rtt_us", trial->works ? json_count(rtt_us) : json_null());
    if (cli->output.form != OUTPUT_TEXT) return row;
    char trip[32];
    (void)snprintf(trip, sizeof(trip), "%.1f ms", (double)rtt_us / 1000);
    (void)json_object_set_new(row, "round_trip", trial->works ? json_string(trip) : json_null());
    (void)json_object_set_new(row, "mode",
                              json_sprintf("%s%s%s%s", connection_name(trial->way.connection),
                                           trial->way.proxy[0] ? " by " : "", trial->way.proxy,
                                           trial->set ? " (set)" : ""));
    return row;
}

static bool try(struct cli *cli, const struct pair *pair, struct trial *trial, json_t *rows, struct err *err)
{
    AUTO(payload_link_test) Sealift__LinkTestAnswer *answer = NULL;
    AUTO(buf) struct buf words = {0};
    pair_words(&trial->way, pair, &words);
    output_note(&cli->output, "trying %s: %s", connection_name(trial->way.connection), buf_cstr(&words));
    if (!ask(cli, pair, &trial->way, &answer, err)) return false;
    trial->works = answer->code == 0;
    (void)json_array_append_new(
        rows, row_of(cli, trial, trial->works ? buf_cstr(&words) : answer->text, answer->rtt_us));
    return true;
}

/* --- all of them --- */

static void add_untried(const struct cli *cli, json_t *rows)
{
    const struct trial trial = {.way = {.connection = SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS}};
    (void)json_array_append_new(
        rows, row_of(cli, &trial, "not tried: say --proxy HOST:PORT, where both could meet", 0));
}

/* Whether the way is what goes without a link: then the one that is there is only to be taken away. */
static bool needs_no_link(const struct way_wish *way, const struct link_table *links, const struct pair *pair)
{
    return way->connection == SEALIFT__CONNECTION__CONNECTION_DIRECT && !way->proxy[0] &&
           link_table_find(links, pair->source, pair->target) &&
           !link_table_find(links, pair->target, pair->source);
}

static void advise(struct cli *cli, const struct way_wish *way, const struct link_table *links,
                   const struct pair *pair)
{
    cli->exit_code = EXIT_WARNINGS;
    if (needs_no_link(way, links, pair))
        output_warning(&cli->output, "the way that is set does not work: 'sealift link remove %s %s'",
                       pair->source_name, pair->target_name);
    else
        output_warning(&cli->output,
                       "the way that is set does not work: 'sealift link set %s %s --connection %s%s%s'",
                       pair->source_name, pair->target_name, connection_name(way->connection),
                       way->proxy[0] ? " --proxy " : "", way->proxy);
}

/* What it ends with. */
static bool judge(struct cli *cli, const struct trials *trials, const struct link_table *links,
                  const struct pair *pair, struct err *err)
{
    const struct trial *works = NULL;
    for (size_t i = 0; i < trials->count; i++) {
        if (!trials->items[i].works) continue;
        if (trials->items[i].set) return true;
        if (!works) works = &trials->items[i];
    }
    if (!works)
        return err_set(err, ERR_UNREACHABLE, "no way from '%s' to '%s' works", pair->source_name,
                       pair->target_name);
    advise(cli, &works->way, links, pair);
    return true;
}

static bool try_all(struct cli *cli, const struct pair *pair, struct trials *trials, json_t *rows,
                    struct err *err)
{
    bool met = false;
    for (size_t i = 0; i < trials->count; i++) {
        met = met || trials->items[i].way.connection == SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS;
        if (!try(cli, pair, &trials->items[i], rows, err)) return false;
    }
    if (!met) add_untried(cli, rows);
    return true;
}

bool link_test(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"mode", "MODE", COLUMN_TEXT},
        {"works", "WORKS", COLUMN_YES},
        {"why", "WHY", COLUMN_TEXT},
        {"round_trip", "ROUND TRIP", COLUMN_TEXT},
        {0},
    };
    AUTO(link_table) struct link_table links = {0};
    AUTO(json) json_t *rows = json_array();
    struct way_wish now = {0}, wish = {0};
    struct trials trials = {0};
    struct pair pair;
    struct err none;
    const char *proxy = args_value(args, "proxy");
    if ((proxy && !way_wish_make(SEALIFT__CONNECTION__CONNECTION_DIRECT, proxy, &wish, err)) ||
        !pair_named(cli, args_operand(args, 0), args_operand(args, 1), &pair, err) ||
        !pair_links(cli, &links, err))
        return false;
    const struct way_ends ends = pair_ends(&pair);
    if (!way_decide(NULL, &links, &ends, &now, &none)) output_warning(&cli->output, "%s", none.text);
    plan(&now, wish.proxy, &trials);
    if (!try_all(cli, &pair, &trials, rows, err)) return false;
    output_table(&cli->output, "ways", columns, json_incref(rows));
    return judge(cli, &trials, &links, &pair, err);
}
