#include "director/cli/pair.h"

#include "common/wire/lent.h"
#include "director/cli/catalog_ask.h"

#include <string.h>

struct way_ends pair_ends(const struct pair *pair)
{
    return (struct way_ends){.source = pair->source,
                             .target = pair->target,
                             .source_name = pair->source_name,
                             .target_name = pair->target_name};
}

static void set_ends(const struct cli *cli, const uint8_t *source, const uint8_t *target, struct pair *out)
{
    memcpy(out->source, source, SIGN_PK_LEN);
    memcpy(out->target, target, SIGN_PK_LEN);
    access_name_of(cli, source, out->source_name);
    access_name_of(cli, target, out->target_name);
}

bool pair_named(struct cli *cli, const char *source, const char *target, struct pair *out, struct err *err)
{
    const Sealift__Member *a = NULL, *b = NULL;
    struct client *client = NULL;
    if (!access_director(cli, &client, err) || !access_transporter(cli, source, &a, err) ||
        !access_transporter(cli, target, &b, err))
        return false;
    if (a == b)
        return err_set(err, ERR_USAGE, "a link is between two transporters, not of '%s' with itself", source);
    set_ends(cli, a->sign_pk.data, b->sign_pk.data, out);
    return true;
}

bool pair_of_job(const struct cli *cli, const Sealift__JobBody *job, const struct statements *repositories,
                 struct pair *out)
{
    struct id id;
    memcpy(id.bytes, job->repository.data, ID_LEN);
    const struct statement *repository = statements_with_id(repositories, &id);
    if (!repository) return false;
    const uint8_t *owner = repository->body.repository->owner.data;
    if (memcmp(job->source.data, owner, SIGN_PK_LEN) == 0) return false;
    set_ends(cli, job->source.data, owner, out);
    return true;
}

bool pair_same(const struct pair *a, const struct pair *b)
{
    return memcmp(a->source, b->source, SIGN_PK_LEN) == 0 && memcmp(a->target, b->target, SIGN_PK_LEN) == 0;
}

/* ---- links */

static bool take_links(const Sealift__LinkListAnswer *answer, struct link_table *out, struct err *err)
{
    for (size_t i = 0; i < answer->n_links; i++) {
        const Sealift__Link *row = answer->links[i];
        struct link link = {0};
        memcpy(link.source, row->source.data, SIGN_PK_LEN);
        memcpy(link.target, row->target.data, SIGN_PK_LEN);
        if (row->connection == SEALIFT__CONNECTION__CONNECTION_NONE)
            return err_set(err, ERR_PROTOCOL, "the director's list of links has one without a connection");
        if (!way_wish_make(row->connection, row->proxy, &link.wish, err) || !link_table_put(out, &link, err))
            return err_wrap(err, "the director's list of links");
    }
    return true;
}

bool pair_links(struct cli *cli, struct link_table *out, struct err *err)
{
    AUTO(payload_link_list) Sealift__LinkListAnswer *answer = NULL;
    AUTO(link_table) struct link_table links = {0};
    if (!ask_links(cli, &answer, err) || !take_links(answer, &links, err)) return false;
    *out = links;
    links = (struct link_table){0};
    return true;
}

struct way_wish pair_job_wish(const Sealift__JobBody *job)
{
    struct way_wish wish = {.connection = job->connection};
    size_t len = strlen(job->proxy);
    if (len <= WAY_PROXY_MAX) memcpy(wish.proxy, job->proxy, len + 1);
    return wish;
}

/* ---- options */

static bool link_says_where(const struct link_table *links, const struct pair *pair)
{
    const struct way_wish own = {.connection = SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS};
    struct way_wish way;
    struct err none;
    if (!links || !pair) return false;
    const struct way_ends ends = pair_ends(pair);
    return way_decide(&own, links, &ends, &way, &none);
}

bool pair_read(const struct args *args, enum pair_default choice, const struct link_table *links,
               const struct pair *pair, struct way_wish *out, struct err *err)
{
    const char *name = args_value(args, "connection"), *proxy = args_value(args, "proxy");
    struct way_wish wish = *out;
    if (name) {
        wish = (struct way_wish){0};
        bool by_link = choice == PAIR_MAY_SAY_LINK && strcmp(name, "link") == 0;
        if (!by_link && !way_connection_parse(name, &wish.connection, err))
            return choice == PAIR_MAY_SAY_LINK
                       ? err_set(err, ERR_USAGE,
                                 "a connection is 'direct', 'reverse', 'rendezvous' or 'link', not '%s'",
                                 name)
                       : false;
    } else if (choice == PAIR_NEEDS_CONNECTION) {
        return err_set(err, ERR_USAGE, "--connection direct, reverse or rendezvous is needed");
    }
    if (!proxy && wish.connection == SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS && !wish.proxy[0] &&
        link_says_where(links, pair)) {
        *out = wish;
        return true;
    }
    return way_wish_make(wish.connection, proxy ? proxy : wish.proxy, out, err);
}

/* ---- what people read */

Sealift__Link pair_link(const struct pair *pair, const struct way_wish *way)
{
    Sealift__Link link = SEALIFT__LINK__INIT;
    link.source = lent_bytes(pair->source, SIGN_PK_LEN);
    link.target = lent_bytes(pair->target, SIGN_PK_LEN);
    link.connection = way->connection;
    link.proxy = lent_text(way->proxy);
    return link;
}

void pair_words(const struct way_wish *way, const struct pair *pair, struct buf *out)
{
    const char *through = way->proxy[0] ? " through " : "";
    switch (way->connection) {
    case SEALIFT__CONNECTION__CONNECTION_DIRECT:
        buf_printf(out, "%s dials %s%s%s", pair->source_name, pair->target_name, through, way->proxy);
        break;
    case SEALIFT__CONNECTION__CONNECTION_REVERSE:
        buf_printf(out, "%s dials %s", pair->target_name, pair->source_name);
        break;
    case SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS:
        buf_printf(out, "%s and %s dial %s", pair->source_name, pair->target_name, way->proxy);
        break;
    default:
        buf_put_str(out, "-");
    }
}

void pair_json(const struct link_table *links, const struct way_wish *own, const struct pair *pair,
               json_t *object)
{
    const struct way_ends ends = pair_ends(pair);
    struct way_wish way;
    struct err why;
    AUTO(buf) struct buf words = {0};
    bool known = way_decide(own, links, &ends, &way, &why);
    if (known) pair_words(&way, pair, &words);
    (void)json_object_set_new(object, "connection",
                              known ? json_string(connection_name(way.connection)) : json_null());
    (void)json_object_set_new(object, "proxy", known && way.proxy[0] ? json_string(way.proxy) : json_null());
    (void)json_object_set_new(object, "dials", json_string(known ? buf_cstr(&words) : why.text));
}

void pair_warn(struct cli *cli, const struct way_wish *way, const struct pair *pair)
{
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    struct err err;
    if (way->connection != SEALIFT__CONNECTION__CONNECTION_REVERSE || !ask_status(cli, &status, &err)) return;
    const Sealift__TransporterStatus *source = status_of_transporter(status, pair->source);
    if (!source || !source->connected || source->reverse_endpoint[0]) return;
    output_warning(
        &cli->output,
        "%s has no reverse port that %s could dial: its configuration needs data.reverse.listen and "
        "data.reverse.advertise",
        pair->source_name, pair->target_name);
}
