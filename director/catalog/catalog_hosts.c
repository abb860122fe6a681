/* Transporters: those that wait for approval, and what is remembered of the others. */
#include "director/catalog/query.h"

#include <string.h>

static bool others_pending(struct catalog *catalog, const uint8_t curve_pk[32], uint64_t *out,
                           struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_JOIN_COUNT);
    query_blob(&query, span_of(curve_pk, 32));
    uint64_t count = query_next(&query) ? query_take_u64(&query) : 0;
    if (!query_finish(&query, err)) return false;
    *out = count;
    return true;
}

bool catalog_join_put(struct catalog *catalog, const uint8_t curve_pk[32], struct span identity,
                      uint64_t now_s, struct err *err)
{
    uint64_t others = 0;
    if (!others_pending(catalog, curve_pk, &others, err)) return false;
    if (others >= CATALOG_PENDING_MAX)
        return err_set(err, ERR_LIMIT, "%d transporters wait for approval already", CATALOG_PENDING_MAX);
    AUTO(query) struct query query = query_of(catalog, QUERY_JOIN_PUT);
    query_blob(&query, span_of(curve_pk, 32));
    query_blob(&query, identity);
    query_u64(&query, now_s);
    return query_run(&query, err);
}

bool catalog_joins(struct catalog *catalog, catalog_bytes_fn *each, void *arg, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_JOINS);
    while (query_next(&query)) {
        struct span identity = query_take_blob(&query);
        if (!query.damaged && !each(arg, identity, err)) return false;
    }
    return query_finish(&query, err);
}

bool catalog_join_drop(struct catalog *catalog, const uint8_t curve_pk[32], struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_JOIN_DROP);
    query_blob(&query, span_of(curve_pk, 32));
    return query_run(&query, err);
}

bool catalog_joins_forget(struct catalog *catalog, uint64_t before_s, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_JOINS_FORGET);
    query_u64(&query, before_s);
    return query_run(&query, err);
}

bool catalog_host_put(struct catalog *catalog, const struct catalog_host *host, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_HOST_PUT);
    query_blob(&query, span_of(host->sign_pk, SIGN_PK_LEN));
    query_u64(&query, host->last_seen_ns);
    query_text(&query, host->version);
    if (host->has_own_key) {
        query_blob(&query, span_of(host->own_key_id, 32));
        query_blob(&query, span_of(host->own_domain_id, 32));
    } else {
        query_null(&query);
        query_null(&query);
    }
    return query_run(&query, err);
}

bool catalog_host_get(struct catalog *catalog, const uint8_t sign_pk[SIGN_PK_LEN], struct catalog_host *out,
                      struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_HOST_GET);
    query_blob(&query, span_of(sign_pk, SIGN_PK_LEN));
    bool found = query_next(&query);
    struct catalog_host host = {0};
    memcpy(host.sign_pk, sign_pk, SIGN_PK_LEN);
    if (found) {
        host.last_seen_ns = query_take_u64(&query);
        query_take_text(&query, host.version, sizeof(host.version));
        host.has_own_key = sqlite3_column_type(query.statement, query.column) != SQLITE_NULL;
        if (host.has_own_key) {
            query_take_fixed(&query, host.own_key_id, 32);
            query_take_fixed(&query, host.own_domain_id, 32);
        }
    }
    if (!query_finish(&query, err)) return false;
    if (!found) return err_set(err, ERR_NOT_FOUND, "the transporter was never here");
    *out = host;
    return true;
}
