/* What the catalog keeps of repositories: their points and the newest heads of their logs. */
#include "director/catalog/query.h"

#include <string.h>

/* The point that stands under a number already: true if there is none; else *same says whether it is
 * this one. */
static bool number_taken(struct catalog *catalog, const struct catalog_point *point, bool *taken, bool *same,
                         struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_POINT_AT);
    query_id(&query, &point->repository);
    query_u64(&query, point->number);
    *taken = query_next(&query);
    if (*taken) {
        struct id id;
        struct hash log_hash;
        query_take_fixed(&query, id.bytes, ID_LEN);
        query_take_fixed(&query, log_hash.bytes, HASH_LEN);
        *same = !query.damaged && id_eq(&id, &point->point) && hash_eq(&log_hash, &point->log_hash) &&
                span_eq(query_take_blob(&query), point->file);
    }
    return query_finish(&query, err);
}

bool catalog_point_put(struct catalog *catalog, const struct catalog_point *point, struct err *err)
{
    bool taken = false, same = false;
    if (!number_taken(catalog, point, &taken, &same, err)) return false;
    if (taken && same) return true;
    if (taken)
        return err_set(err, ERR_EXISTS, "the repository has reported another point as number %llu",
                       (unsigned long long)point->number);
    AUTO(query) struct query query = query_of(catalog, QUERY_POINT_PUT);
    query_id(&query, &point->repository);
    query_u64(&query, point->number);
    query_id(&query, &point->point);
    query_id(&query, &point->run);
    query_text(&query, point->job);
    query_u64(&query, point->time_ns);
    query_blob(&query, span_of(point->log_hash.bytes, HASH_LEN));
    query_blob(&query, point->file);
    return query_run(&query, err);
}

static void take_point(struct query *query, struct catalog_point *out)
{
    query_take_fixed(query, out->repository.bytes, ID_LEN);
    out->number = query_take_u64(query);
    query_take_fixed(query, out->point.bytes, ID_LEN);
    query_take_fixed(query, out->run.bytes, ID_LEN);
    out->job = query_borrow_text(query);
    out->time_ns = query_take_u64(query);
    query_take_fixed(query, out->log_hash.bytes, HASH_LEN);
    out->file = query_take_blob(query);
    out->held = query_take_u64(query) != 0;
}

bool catalog_points(struct catalog *catalog, const struct id *repository, const char *job,
                    enum catalog_points_which which, catalog_point_fn *each, void *arg, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_POINTS);
    if (repository)
        query_id(&query, repository);
    else
        query_null(&query);
    query_text(&query, job);
    query_u64(&query, which == CATALOG_POINTS_REMOVED);
    while (query_next(&query)) {
        struct catalog_point point = {0};
        take_point(&query, &point);
        if (!query.damaged && !each(arg, &point, err)) return false;
    }
    return query_finish(&query, err);
}

bool catalog_points_drop(struct catalog *catalog, const struct id *repository, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_POINTS_DROP);
    AUTO(query) struct query marks = query_of(catalog, QUERY_MARKS_DROP);
    query_id(&query, repository);
    query_id(&marks, repository);
    return query_run(&query, err) && query_run(&marks, err);
}

bool catalog_point_mark(struct catalog *catalog, const struct id *repository, const struct id *point,
                        enum catalog_hold hold, uint64_t removed, struct err *err)
{
    bool plain = hold == CATALOG_NOT_HELD && removed == 0;
    AUTO(query) struct query query = query_of(catalog, plain ? QUERY_POINT_UNMARK : QUERY_POINT_MARK);
    query_id(&query, repository);
    query_id(&query, point);
    if (!plain) query_u64(&query, hold == CATALOG_HELD);
    if (!plain) query_u64(&query, removed);
    return query_run(&query, err);
}

bool catalog_points_void(struct catalog *catalog, const struct id *repository, uint64_t number,
                         struct err *err)
{
    AUTO(query) struct query points = query_of(catalog, QUERY_POINTS_VOID);
    AUTO(query) struct query marks = query_of(catalog, QUERY_MARKS_VOID);
    query_id(&points, repository);
    query_u64(&points, number);
    query_id(&marks, repository);
    query_u64(&marks, number);
    return query_run(&points, err) && query_run(&marks, err);
}

bool catalog_point_get(struct catalog *catalog, const struct id *point, struct buf *out, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_POINT_GET);
    query_id(&query, point);
    bool found = query_next(&query);
    struct span file = found ? query_take_blob(&query) : (struct span){0};
    if (!query_finish(&query, err)) return false;
    if (!found) return err_set(err, ERR_NOT_FOUND, "there is no such point");
    buf_clear(out);
    buf_put_span(out, file);
    return true;
}

/* ---- heads */

bool catalog_head_put(struct catalog *catalog, const struct catalog_head *head, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_HEAD_PUT);
    query_id(&query, &head->repository);
    query_u64(&query, head->number);
    query_blob(&query, span_of(head->hash.bytes, HASH_LEN));
    query_u64(&query, head->read);
    query_u64(&query, head->points);
    query_u64(&query, head->pack_bytes);
    query_u64(&query, head->free_bytes);
    query_u64(&query, head->code);
    query_text(&query, head->text);
    query_text(&query, head->alarm);
    return query_run(&query, err);
}

bool catalog_head_get(struct catalog *catalog, const struct id *repository, struct catalog_head *out,
                      struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_HEAD_GET);
    query_id(&query, repository);
    bool found = query_next(&query);
    struct catalog_head head = {.repository = *repository};
    if (found) {
        head.number = query_take_u64(&query);
        query_take_fixed(&query, head.hash.bytes, HASH_LEN);
        head.read = query_take_u64(&query);
        head.points = query_take_u64(&query);
        head.pack_bytes = query_take_u64(&query);
        head.free_bytes = query_take_u64(&query);
        head.code = (uint32_t)query_take_u64(&query);
        query_take_text(&query, head.text, sizeof(head.text));
        query_take_text(&query, head.alarm, sizeof(head.alarm));
    }
    if (!query_finish(&query, err)) return false;
    if (!found) return err_set(err, ERR_NOT_FOUND, "the repository has never reported");
    *out = head;
    return true;
}
