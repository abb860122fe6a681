/* What the catalog keeps of runs. */
#include "director/catalog/query.h"
#include "director/catalog/run_record.h"

bool catalog_run_put(struct catalog *catalog, const struct run *run, struct err *err)
{
    AUTO(buf) struct buf record = {0};
    run_record_encode(run, &record);
    AUTO(query) struct query query = query_of(catalog, QUERY_RUN_PUT);
    query_id(&query, &run->id);
    query_id(&query, &run->subject_id);
    query_u64(&query, !run_state_final(run->state));
    query_blob(&query, buf_span(&record));
    return query_run(&query, err);
}

static bool take_run(struct query *query, struct run *out, struct err *err)
{
    struct span record = query_take_blob(query);
    if (run_record_decode(record, out, err)) return true;
    return err_wrap(err, "'%s'", query->catalog->path);
}

bool catalog_run_get(struct catalog *catalog, const struct id *run, struct run *out, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_RUN_GET);
    query_id(&query, run);
    if (query_next(&query)) return take_run(&query, out, err);
    if (!query_finish(&query, err)) return false;
    return err_set(err, ERR_NOT_FOUND, "there is no such run");
}

static bool each_run(struct query *query, catalog_run_fn *each, void *arg, struct err *err)
{
    while (query_next(query)) {
        struct run run;
        if (!take_run(query, &run, err) || !each(arg, &run, err)) return false;
    }
    return query_finish(query, err);
}

bool catalog_runs_open(struct catalog *catalog, catalog_run_fn *each, void *arg, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_RUNS_OPEN);
    return each_run(&query, each, arg, err);
}

bool catalog_runs(struct catalog *catalog, const struct id *subject, uint32_t limit, catalog_run_fn *each,
                  void *arg, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, subject ? QUERY_RUNS_OF : QUERY_RUNS);
    if (subject) query_id(&query, subject);
    query_u64(&query, limit);
    return each_run(&query, each, arg, err);
}

bool catalog_runs_forget(struct catalog *catalog, uint32_t keep, struct err *err)
{
    AUTO(query) struct query runs = query_of(catalog, QUERY_RUNS_FORGET);
    AUTO(query) struct query warnings = query_of(catalog, QUERY_WARNINGS_FORGET);
    query_u64(&runs, keep);
    return query_run(&runs, err) && query_run(&warnings, err);
}

bool catalog_warnings_put(struct catalog *catalog, const struct id *run, Sealift__RunSide side,
                          struct span bytes, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_WARNINGS_PUT);
    query_id(&query, run);
    query_u64(&query, (uint64_t)side);
    query_blob(&query, bytes);
    return query_run(&query, err);
}

bool catalog_warnings(struct catalog *catalog, const struct id *run, catalog_bytes_fn *each, void *arg,
                      struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_WARNINGS);
    query_id(&query, run);
    while (query_next(&query)) {
        struct span bytes = query_take_blob(&query);
        if (!query.damaged && !each(arg, bytes, err)) return false;
    }
    return query_finish(&query, err);
}
