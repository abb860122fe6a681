#include "transporter/repository/care.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "transporter/repository/reserve.h"

#include <string.h>

bool care_begin(struct repository *repository, struct repository **out, struct err *err)
{
    if (!repository->owner) return err_set(err, ERR_POLICY, "the repository is open for reading only");
    if (pthread_mutex_trylock(&repository->care_lock) != 0)
        return err_set(err, ERR_BUSY, "the repository is being pruned or swept");
    reserve_spend(repository, RESERVE_MARGIN);
    *out = repository;
    return true;
}

void care_end(struct repository *repository)
{
    if (!repository) return;
    reserve_renew(repository);
    (void)pthread_mutex_unlock(&repository->care_lock);
}

/* --- entries --- */

/* Under commit_lock. */
static bool append(struct repository *repository, Sealift__LogKind kind, const struct id *point,
                   struct span statement, struct err *err)
{
    Sealift__LogEntry entry = SEALIFT__LOG_ENTRY__INIT;
    entry.kind = kind;
    entry.object = stored_bytes(span_of(point->bytes, ID_LEN));
    entry.statement = stored_bytes(statement);
    return load_append(repository, &entry, err);
}

/* A hold may have come since the point was judged. */
static bool remove_point(struct repository *repository, const struct id *point, struct span statement,
                         struct err *err)
{
    struct repository_point known;
    enum index_mark mark;
    LOCK_HERE(&repository->commit_lock);
    if (!index_point_find(repository->index, point, &known, &mark, err)) return false;
    if (mark != INDEX_THERE) return err_set(err, ERR_NOT_FOUND, "the point has been removed");
    if (known.hold == REPOSITORY_HELD) return err_set(err, ERR_POLICY, "the point is held: release it first");
    return append(repository, SEALIFT__LOG_KIND__LOG_REMOVED, point, statement, err);
}

/* --- the points of a job --- */

struct job_points {
    struct repository_point *points;
    struct retention_point *judged;
    size_t count, cap;
    struct buf lines; /* struct care_line, each once: its place is its number */
};

static void job_points_deinit(struct job_points *points)
{
    free(points->points);
    free(points->judged);
    buf_deinit(&points->lines);
}
DEFINE_AUTO_IN_PLACE(job_points, struct job_points, job_points_deinit)

static uint32_t number_of(struct buf *lines, const struct care_line *line)
{
    uint32_t count = (uint32_t)(lines->len / sizeof(*line));
    for (uint32_t i = 0; i < count; i++)
        if (memcmp(lines->data + i * sizeof(*line), line, sizeof(*line)) == 0) return i;
    buf_put(lines, line, sizeof(*line));
    return count;
}

static void add_point(struct job_points *points, const struct repository_point *point,
                      const struct care_rule *rule, struct care_line *line)
{
    if (points->count == points->cap) {
        points->cap = points->cap ? 2 * points->cap : 64;
        points->points = xreallocarray(points->points, points->cap, sizeof(*points->points));
        points->judged = xreallocarray(points->judged, points->cap, sizeof(*points->judged));
    }
    if (!rule->line) *line = (struct care_line){0};
    struct care_line heir = *line;
    if (rule->line) rule->line(rule->line_arg, point->time_ns, line, &heir);
    points->points[points->count] = *point;
    points->judged[points->count++] =
        (struct retention_point){.time_ns = point->time_ns,
                                 .hold = point->hold == REPOSITORY_HELD ? RETENTION_HELD : RETENTION_FREE,
                                 .line = number_of(&points->lines, line),
                                 .heir = number_of(&points->lines, &heir)};
}

/* The label of the point's job, and whose it is. */
static bool read_job(struct repository *repository, const struct id *point, struct buf *out,
                     struct care_line *line, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(stored_point) Sealift__PointFile *file = NULL;
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    if (!repository_point_read(repository, point, &bytes, err) ||
        !stored_point_decode(buf_span(&bytes), &file, err) || !stored_point_open(file, &body, err))
        return false;
    buf_put_str(out, body->job);
    *line = (struct care_line){0};
    memcpy(line->signer, body->writer.data, SIGN_PK_LEN);
    if (body->origin) memcpy(line->origin, body->origin->writer.data, SIGN_PK_LEN);
    return true;
}

bool repository_point_job(struct repository *repository, const struct id *point, struct buf *out,
                          struct err *err)
{
    struct repository_point known;
    struct care_line line;
    return repository_point_find(repository, point, &known, err) &&
           read_job(repository, point, out, &line, err);
}

bool repository_job_point(struct repository *repository, const char *job, uint64_t *number, struct err *err)
{
    struct repository_point point = {0};
    for (uint64_t from = 0; index_point_from(repository->index, from, &point, err); from = point.number + 1) {
        struct err ignored;
        struct care_line line;
        AUTO(buf) struct buf label = {0};
        if (!read_job(repository, &point.point, &label, &line, &ignored)) continue;
        if (!span_eq(buf_span(&label), span_str(job))) continue;
        *number = point.number;
        return true;
    }
    if (err->code != ERR_NOT_FOUND) return false;
    *number = 0;
    return true;
}

static bool gather(struct repository *repository, const struct care_rule *rule, struct job_points *out,
                   struct err *err)
{
    struct repository_point point = {0};
    for (uint64_t number = 0; index_point_from(repository->index, number, &point, err);
         number = point.number + 1) {
        struct err why;
        struct care_line line;
        AUTO(buf) struct buf label = {0};
        if (read_job(repository, &point.point, &label, &line, &why)) {
            if (span_eq(buf_span(&label), span_str(rule->job))) add_point(out, &point, rule, &line);
        } else if (why.code == ERR_SYSTEM) { /* a disk that cannot be read is no reason to forget points */
            *err = why;
            return false;
        }
    }
    return err->code == ERR_NOT_FOUND;
}

static uint64_t now_of(struct repository *repository)
{
    return retention_now(clock_real_ns(), repository_head(repository).time_ns);
}

/* --- the acts --- */

bool repository_prune(struct repository *repository, const struct care_rule *rule, enum prune_mode mode,
                      prune_fn *each, void *arg, struct prune_result *result, struct err *err)
{
    AUTO(care) struct repository *care = NULL;
    AUTO(job_points) struct job_points points = {0};
    struct prune_result done = {0};
    if (mode == PRUNE_REMOVE && !care_begin(repository, &care, err)) return false;
    if (!gather(repository, rule, &points, err)) return false;
    AUTO(free) enum retention_reason *reasons = xcalloc(points.count + 1, sizeof(*reasons));
    if (points.count)
        retention_judge(points.judged, points.count, &rule->retention, &rule->floor, now_of(repository),
                        reasons);
    for (size_t i = 0; i < points.count; i++) {
        bool goes = reasons[i] == RETENTION_REMOVE;
        if (each) each(arg, &points.points[i], reasons[i]);
        if (goes && mode == PRUNE_REMOVE &&
            !remove_point(repository, &points.points[i].point, rule->statement, err))
            return false;
        done.removed += goes;
        done.kept += !goes;
    }
    *result = done;
    return true;
}

bool repository_delete(struct repository *repository, const struct id *point, const struct care_rule *rule,
                       struct err *err)
{
    AUTO(care) struct repository *care = NULL;
    AUTO(job_points) struct job_points points = {0};
    if (!care_begin(repository, &care, err) || !gather(repository, rule, &points, err)) return false;
    size_t at = 0;
    while (at < points.count && !id_eq(&points.points[at].point, point))
        at++;
    if (at == points.count) return err_set(err, ERR_NOT_FOUND, "the job has no such point here");
    return retention_may_delete(points.judged, points.count, at, &rule->retention, &rule->floor,
                                now_of(repository), err) &&
           remove_point(repository, point, rule->statement, err);
}

bool repository_undelete(struct repository *repository, const struct id *point, struct span statement,
                         struct err *err)
{
    AUTO(care) struct repository *care = NULL;
    struct repository_point known;
    enum index_mark mark;
    if (!care_begin(repository, &care, err) ||
        !index_point_find(repository->index, point, &known, &mark, err))
        return false;
    if (mark == INDEX_THERE) return err_set(err, ERR_EXISTS, "the point was not removed");
    if (mark == INDEX_VOID)
        return err_set(err, ERR_POLICY, "the point was removed, and a sweep has taken its data");
    LOCK_HERE(&repository->commit_lock);
    return append(repository, SEALIFT__LOG_KIND__LOG_UNDELETED, point, statement, err);
}

bool repository_hold(struct repository *repository, const struct id *point, enum repository_hold hold,
                     struct span statement, struct err *err)
{
    struct repository_point known;
    enum index_mark mark;
    if (!repository->owner) return err_set(err, ERR_POLICY, "the repository is open for reading only");
    LOCK_HERE(&repository->commit_lock);
    if (!index_point_find(repository->index, point, &known, &mark, err)) return false;
    if (mark != INDEX_THERE) return err_set(err, ERR_NOT_FOUND, "the point has been removed");
    if (known.hold == hold) return true;
    reserve_spend(repository, RESERVE_MARGIN);
    bool held = hold == REPOSITORY_HELD;
    return append(repository, held ? SEALIFT__LOG_KIND__LOG_HELD : SEALIFT__LOG_KIND__LOG_RELEASED, point,
                  statement, err);
}
