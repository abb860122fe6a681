/* What the catalog keeps of links. */
#include "director/catalog/query.h"

bool catalog_link_put(struct catalog *catalog, const struct link *link, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_LINK_PUT);
    query_blob(&query, span_of(link->source, SIGN_PK_LEN));
    query_blob(&query, span_of(link->target, SIGN_PK_LEN));
    query_u64(&query, (uint64_t)link->wish.connection);
    query_text(&query, link->wish.proxy);
    return query_run(&query, err);
}

bool catalog_link_drop(struct catalog *catalog, const uint8_t source[SIGN_PK_LEN],
                       const uint8_t target[SIGN_PK_LEN], struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_LINK_DROP);
    query_blob(&query, span_of(source, SIGN_PK_LEN));
    query_blob(&query, span_of(target, SIGN_PK_LEN));
    return query_run(&query, err);
}

static void take_link(struct query *query, struct link *out)
{
    query_take_fixed(query, out->source, SIGN_PK_LEN);
    query_take_fixed(query, out->target, SIGN_PK_LEN);
    uint64_t connection = query_take_u64(query);
    if (connection < SEALIFT__CONNECTION__CONNECTION_DIRECT ||
        connection > SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS)
        query->damaged = true;
    out->wish.connection = (Sealift__Connection)connection;
    query_take_text(query, out->wish.proxy, sizeof(out->wish.proxy));
}

bool catalog_links(struct catalog *catalog, catalog_link_fn *each, void *arg, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_LINKS);
    while (query_next(&query)) {
        struct link link = {0};
        take_link(&query, &link);
        if (!query.damaged && !each(arg, &link, err)) return false;
    }
    return query_finish(&query, err);
}
