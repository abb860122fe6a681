/* sealift link …: how pairs of transporters meet. */
#include "director/cli/link_test.h"
#include "director/cli/pair.h"
#include "director/cli/put.h"
#include "director/cli/verbs.h"

#include <string.h>

/* --- list --- */

/* Everything that the answer is made of. */
struct picture {
    struct statements jobs, repositories;
    struct link_table links;
};
static void picture_deinit(struct picture *picture)
{
    statements_deinit(&picture->jobs);
    statements_deinit(&picture->repositories);
    link_table_deinit(&picture->links);
}
DEFINE_AUTO_IN_PLACE(picture, struct picture, picture_deinit)

/* The job at `index`, if its runs have these two sides. */
static const Sealift__JobBody *job_of(const struct cli *cli, const struct picture *picture, size_t index,
                                      const struct pair *pair)
{
    struct pair its;
    const struct statement *job = picture->jobs.items[index];
    if (statement_is_deleted(job) || !pair_of_job(cli, job->body.job, &picture->repositories, &its))
        return NULL;
    return pair_same(&its, pair) ? job->body.job : NULL;
}

static json_t *own_json(const struct cli *cli, const Sealift__JobBody *job)
{
    const char *connection = connection_name(job->connection);
    if (cli->output.form == OUTPUT_TEXT) return json_sprintf("%s (%s)", job->name, connection);
    return json_pack("{s:s, s:s, s:s?}", "job", job->name, "connection", connection, "proxy",
                     job->proxy[0] ? job->proxy : NULL);
}

static json_t *row_of(const struct cli *cli, const struct picture *picture, const struct pair *pair)
{
    bool set = link_table_find(&picture->links, pair->source, pair->target) != NULL;
    json_t *object =
        json_pack("{s:s, s:s, s:b}", "source", pair->source_name, "target", pair->target_name, "set", set);
    json_t *by_link = json_array(), *own = json_array();
    pair_json(&picture->links, NULL, pair, object);
    for (size_t i = 0; i < picture->jobs.count; i++) {
        const Sealift__JobBody *job = job_of(cli, picture, i, pair);
        if (!job) continue;
        if (job->connection == SEALIFT__CONNECTION__CONNECTION_NONE)
            (void)json_array_append_new(by_link, json_string(job->name));
        else
            (void)json_array_append_new(own, own_json(cli, job));
    }
    (void)json_object_set_new(object, "jobs", by_link);
    (void)json_object_set_new(object, "own", own);
    return object;
}

/* Was this pair listed already, as a link or for an earlier job? */
static bool listed(const struct cli *cli, const struct picture *picture, size_t index,
                   const struct pair *pair)
{
    if (link_table_find(&picture->links, pair->source, pair->target)) return true;
    for (size_t i = 0; i < index; i++)
        if (job_of(cli, picture, i, pair)) return true;
    return false;
}

static json_t *rows_of(const struct cli *cli, const struct picture *picture)
{
    json_t *rows = json_array();
    struct pair pair;
    for (size_t i = 0; i < picture->links.count; i++) {
        const struct link *link = &picture->links.items[i];
        memcpy(pair.source, link->source, SIGN_PK_LEN);
        memcpy(pair.target, link->target, SIGN_PK_LEN);
        access_name_of(cli, link->source, pair.source_name);
        access_name_of(cli, link->target, pair.target_name);
        (void)json_array_append_new(rows, row_of(cli, picture, &pair));
    }
    for (size_t i = 0; i < picture->jobs.count; i++) {
        const struct statement *job = picture->jobs.items[i];
        if (!statement_is_deleted(job) && pair_of_job(cli, job->body.job, &picture->repositories, &pair) &&
            !listed(cli, picture, i, &pair))
            (void)json_array_append_new(rows, row_of(cli, picture, &pair));
    }
    return rows;
}

static bool list(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"source", "FROM", COLUMN_TEXT},
        {"target", "TO", COLUMN_TEXT},
        {"set", "SET", COLUMN_YES},
        {"connection", "CONNECTION", COLUMN_TEXT},
        {"dials", "WHO DIALS", COLUMN_TEXT},
        {"jobs", "JOBS", COLUMN_TEXT},
        {"own", "JOBS WITH THEIR OWN", COLUMN_TEXT},
        {0},
    };
    AUTO(picture) struct picture picture = {0};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &picture.jobs, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &picture.repositories, err) ||
        !pair_links(cli, &picture.links, err))
        return false;
    output_table(&cli->output, "links", columns, rows_of(cli, &picture));
    return statements_believed(&picture.jobs, err) && statements_believed(&picture.repositories, err);
}

/* --- set, remove --- */

static bool put(struct cli *cli, const struct pair *pair, const struct way_wish *wish, struct err *err)
{
    Sealift__Link link = pair_link(pair, wish);
    Sealift__LinkPut body = SEALIFT__LINK_PUT__INIT;
    body.link = &link;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_LINK_PUT;
    head.link_put = &body;
    return put_request(cli, &head, (struct span){0}, CLIENT_REPEATABLE, NULL, err);
}

static void say_set(struct cli *cli, const struct link_table *links, const struct pair *pair)
{
    json_t *object = json_pack("{s:s, s:s}", "source", pair->source_name, "target", pair->target_name);
    pair_json(links, NULL, pair, object);
    AUTO(json) json_t *shown = json_deep_copy(object);
    output_line(&cli->output, object, "runs from %s to %s: %s, %s", pair->source_name, pair->target_name,
                json_is_string(json_object_get(shown, "connection"))
                    ? json_string_value(json_object_get(shown, "connection"))
                    : "no way",
                json_string_value(json_object_get(shown, "dials")));
}

/* How runs go in the opposite direction, which the link of this one may rule, too. */
static void note_opposite(struct cli *cli, const struct link_table *links, const struct pair *pair)
{
    struct pair opposite = {0};
    memcpy(opposite.source, pair->target, SIGN_PK_LEN);
    memcpy(opposite.target, pair->source, SIGN_PK_LEN);
    memcpy(opposite.source_name, pair->target_name, sizeof(opposite.source_name));
    memcpy(opposite.target_name, pair->source_name, sizeof(opposite.target_name));
    AUTO(json) json_t *object = json_object();
    pair_json(links, NULL, &opposite, object);
    output_note(&cli->output, "runs from %s to %s: %s", opposite.source_name, opposite.target_name,
                json_string_value(json_object_get(object, "dials")));
}

/* Restores go the other way. */
static void warn_of_way_back(struct cli *cli, const struct link_table *links, const struct way_wish *wish,
                             const struct pair *pair)
{
    const struct way_wish reverse = {.connection = SEALIFT__CONNECTION__CONNECTION_REVERSE};
    struct pair back = {0};
    struct way_wish way = {0};
    struct err err;
    memcpy(back.source, pair->target, SIGN_PK_LEN);
    memcpy(back.target, pair->source, SIGN_PK_LEN);
    memcpy(back.source_name, pair->target_name, sizeof(back.source_name));
    memcpy(back.target_name, pair->source_name, sizeof(back.target_name));
    const struct way_ends ends = pair_ends(&back);
    const struct way_wish none = {0};
    bool by_this_link = wish->connection == SEALIFT__CONNECTION__CONNECTION_DIRECT &&
                        way_decide(&none, links, &ends, &way, &err) && way.connection == reverse.connection;
    if (by_this_link) pair_warn(cli, &reverse, &back);
}

static bool set(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(link_table) struct link_table links = {0};
    struct way_wish wish = {0};
    struct pair pair;
    if (!pair_read(args, PAIR_NEEDS_CONNECTION, NULL, NULL, &wish, err) ||
        !pair_named(cli, args_operand(args, 0), args_operand(args, 1), &pair, err) ||
        !put(cli, &pair, &wish, err) || !pair_links(cli, &links, err))
        return false;
    say_set(cli, &links, &pair);
    note_opposite(cli, &links, &pair);
    pair_warn(cli, &wish, &pair);
    warn_of_way_back(cli, &links, &wish, &pair);
    return true;
}

static bool remove_link(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(link_table) struct link_table links = {0};
    const struct way_wish none = {0};
    struct pair pair;
    if (!pair_named(cli, args_operand(args, 0), args_operand(args, 1), &pair, err) ||
        !put(cli, &pair, &none, err) || !pair_links(cli, &links, err))
        return false;
    say_set(cli, &links, &pair);
    return true;
}

static const struct option_spec set_options[] = {
    {"connection", "HOW",
     "direct: A dials B; reverse: B dials A, at its reverse port; rendezvous: both dial a proxy"},
    {"proxy", "HOST:PORT",
     "rendezvous: where both meet; direct: a SOCKS5 proxy that A dials through (default: its own)"},
    {0},
};
static const struct option_spec test_options[] = {
    {"proxy", "HOST:PORT", "where a rendezvous is tried, and what a direct connection is tried through"},
    {0},
};

const struct command link_commands[] = {
    {"link", "list", "",
     "Lists how transporters meet: each link, and each pair of a job without one.\n"
     "A pair without a link of its own goes by that of the opposite direction, so that the same host dials, "
     "and\n"
     "without any the source of a run dials its target.",
     "$ sealift link list\n"
     "FROM  TO     SET  CONNECTION  WHO DIALS         JOBS  JOBS WITH THEIR OWN\n"
     "web1  vault  yes  reverse     vault dials web1  web   db (direct)",
     NULL, 0, 0, list},
    {"link", "set", "A B --connection direct|reverse|rendezvous [--proxy HOST:PORT]",
     "Says how A, the source of runs, and B, their target, meet. Jobs may say otherwise for themselves.\n"
     "It holds from the next attempt of each run on, and rules nothing but who dials: keys do the rest.",
     "$ sealift link set web1 vault --connection reverse\n"
     "runs from web1 to vault: reverse, vault dials web1",
     set_options, 2, 2, set},
    {"link", "remove", "A B", "Removes the link of two transporters, in this direction.",
     "$ sealift link remove web1 vault\n"
     "runs from web1 to vault: direct, web1 dials vault",
     NULL, 2, 2, remove_link},
    {"link", "test", "A B [--proxy HOST:PORT]",
     "Tries every way from A to B, and says which work and why the others do not.\n"
     "A is the source of runs, B their target. No repository is touched, and what runs goes on. It ends with "
     "0 if the\n"
     "way that is set works, with 1 if only another does, and with 7 if none does. A way takes at most 20 "
     "seconds.",
     "$ sealift link test web1 vault --proxy meet.example:9449\n"
     "MODE                             WORKS  WHY                                             ROUND TRIP\n"
     "direct (set)                     -      web1: 'tcp://vault.example:9448': no answer     -\n"
     "                                        within 2 s: a firewall may drop it, …\n"
     "reverse                          yes    vault dials web1                                0.8 ms\n"
     "rendezvous by meet.example:9449  yes    web1 and vault dial meet.example:9449           1.7 ms\n"
     "warning: the way that is set does not work: 'sealift link set web1 vault --connection reverse'",
     test_options, 2, 2, link_test},
    {0},
};
