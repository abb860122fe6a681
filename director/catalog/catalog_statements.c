/* What operators signed: rosters, statements, which versions were seen, orders carried out, unlock
 * sections. */
#include "director/catalog/query.h"

#include <string.h>

/* Hands out the first column of each row. */
static bool each_blob(struct query *query, catalog_bytes_fn *each, void *arg, struct err *err)
{
    while (query_next(query)) {
        struct span bytes = query_take_blob(query);
        if (!query->damaged && !each(arg, bytes, err)) return false;
    }
    return query_finish(query, err);
}

/* The first column of the one row. */
static bool take_blob(struct query *query, struct buf *out, const char *what, struct err *err)
{
    bool found = query_next(query);
    struct span bytes = found ? query_take_blob(query) : (struct span){0};
    if (!query_finish(query, err)) return false;
    if (!found) return err_set(err, ERR_NOT_FOUND, "there is no such %s", what);
    buf_clear(out);
    buf_put_span(out, bytes);
    return true;
}

bool catalog_roster_put(struct catalog *catalog, uint64_t version, struct span bytes, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_ROSTER_PUT);
    query_u64(&query, version);
    query_blob(&query, bytes);
    return query_run(&query, err);
}

bool catalog_rosters(struct catalog *catalog, uint64_t from, catalog_bytes_fn *each, void *arg,
                     struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_ROSTERS);
    query_u64(&query, from > INT64_MAX ? INT64_MAX : from);
    return each_blob(&query, each, arg, err);
}

static bool put_seen(struct catalog *catalog, const struct statement *statement, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_SEEN_PUT);
    query_u64(&query, (uint64_t)statement->type);
    query_id(&query, &statement->id);
    query_u64(&query, statement->version);
    query_blob(&query, span_of(statement->hash.bytes, HASH_LEN));
    return query_run(&query, err);
}

bool catalog_statement_put(struct catalog *catalog, const struct statement *statement, struct err *err)
{
    if (!put_seen(catalog, statement, err)) return false;
    AUTO(query) struct query query = query_of(catalog, QUERY_STATEMENT_PUT);
    query_u64(&query, (uint64_t)statement->type);
    query_id(&query, &statement->id);
    query_blob(&query, buf_span(&statement->bytes));
    return query_run(&query, err);
}

bool catalog_statements(struct catalog *catalog, Sealift__StatementType type, catalog_bytes_fn *each,
                        void *arg, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_STATEMENTS);
    query_u64(&query, (uint64_t)type);
    return each_blob(&query, each, arg, err);
}

bool catalog_statement_get(struct catalog *catalog, Sealift__StatementType type, const struct id *id,
                           struct buf *out, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_STATEMENT_GET);
    query_u64(&query, (uint64_t)type);
    query_id(&query, id);
    return take_blob(&query, out, "statement", err);
}

bool catalog_statement_drop(struct catalog *catalog, Sealift__StatementType type, const struct id *id,
                            struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_STATEMENT_DROP);
    query_u64(&query, (uint64_t)type);
    query_id(&query, id);
    return query_run(&query, err);
}

bool catalog_seen(struct catalog *catalog, catalog_seen_fn *each, void *arg, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_SEEN);
    while (query_next(&query)) {
        struct id id;
        struct hash hash;
        Sealift__StatementType type = (Sealift__StatementType)query_take_u64(&query);
        query_take_fixed(&query, id.bytes, ID_LEN);
        uint64_t version = query_take_u64(&query);
        query_take_fixed(&query, hash.bytes, HASH_LEN);
        if (!query.damaged && !each(arg, type, &id, version, &hash, err)) return false;
    }
    return query_finish(&query, err);
}

bool catalog_executed_put(struct catalog *catalog, const struct id *order, const struct id *run,
                          const struct hash *order_hash, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_EXECUTED_PUT);
    query_id(&query, order);
    query_id(&query, run);
    query_blob(&query, span_of(order_hash->bytes, HASH_LEN));
    return query_run(&query, err);
}

bool catalog_executed_get(struct catalog *catalog, const struct id *order, struct id *run,
                          struct hash *order_hash, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_EXECUTED_GET);
    query_id(&query, order);
    bool found = query_next(&query);
    struct id found_run = {0};
    struct hash found_hash = {0};
    if (found) {
        query_take_fixed(&query, found_run.bytes, ID_LEN);
        query_take_fixed(&query, found_hash.bytes, HASH_LEN);
    }
    if (!query_finish(&query, err)) return false;
    if (!found) return err_set(err, ERR_NOT_FOUND, "the order was never carried out");
    *run = found_run;
    *order_hash = found_hash;
    return true;
}

bool catalog_unlock_put(struct catalog *catalog, const struct hash *hash, const struct hash *key_id,
                        struct span bytes, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_UNLOCK_PUT);
    query_blob(&query, span_of(hash->bytes, HASH_LEN));
    query_blob(&query, span_of(key_id->bytes, HASH_LEN));
    query_blob(&query, bytes);
    return query_run(&query, err);
}

bool catalog_unlock_get(struct catalog *catalog, const struct hash *hash, struct buf *out, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_UNLOCK_GET);
    query_blob(&query, span_of(hash->bytes, HASH_LEN));
    return take_blob(&query, out, "unlock section", err);
}

bool catalog_unlocks(struct catalog *catalog, catalog_unlock_fn *each, void *arg, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_UNLOCKS);
    while (query_next(&query)) {
        struct hash hash, key;
        query_take_fixed(&query, hash.bytes, HASH_LEN);
        query_take_fixed(&query, key.bytes, HASH_LEN);
        if (!query.damaged && !each(arg, &hash, &key, err)) return false;
    }
    return query_finish(&query, err);
}
