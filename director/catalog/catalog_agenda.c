/* What the catalog keeps of the agenda. */
#include "director/catalog/query.h"

/* SQLite's integers are signed: never is the greatest of them. */
static uint64_t to_column(uint64_t time_ns)
{
    return time_ns > INT64_MAX ? INT64_MAX : time_ns;
}

static uint64_t from_column(uint64_t value)
{
    return value >= INT64_MAX ? UINT64_MAX : value;
}

bool catalog_agenda_put(struct catalog *catalog, const struct agenda_item *item, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_AGENDA_PUT);
    query_u64(&query, (uint64_t)item->kind);
    query_id(&query, &item->repository);
    query_id(&query, &item->job);
    query_text(&query, item->spec);
    query_u64(&query, to_column(item->since_ns));
    query_u64(&query, to_column(item->next_ns));
    query_u64(&query, to_column(item->good_ns));
    return query_run(&query, err);
}

bool catalog_agenda_drop(struct catalog *catalog, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_AGENDA_DROP);
    return query_run(&query, err);
}

static void take_item(struct query *query, struct agenda_item *out)
{
    uint64_t kind = query_take_u64(query);
    if (kind < AGENDA_JOB || kind > AGENDA_CHECK) query->damaged = true;
    out->kind = (enum agenda_kind)kind;
    query_take_fixed(query, out->repository.bytes, ID_LEN);
    query_take_fixed(query, out->job.bytes, ID_LEN);
    query_take_text(query, out->spec, sizeof(out->spec));
    out->since_ns = from_column(query_take_u64(query));
    out->next_ns = from_column(query_take_u64(query));
    out->good_ns = from_column(query_take_u64(query));
}

bool catalog_agenda(struct catalog *catalog, catalog_agenda_fn *each, void *arg, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_AGENDA);
    while (query_next(&query)) {
        struct agenda_item item = {0};
        take_item(&query, &item);
        if (!query.damaged && !each(arg, &item, err)) return false;
    }
    return query_finish(&query, err);
}
