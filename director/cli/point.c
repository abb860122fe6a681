#include "director/cli/point.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/crypto/frame.h"
#include "common/wire/lent.h"
#include "director/cli/keys.h"
#include "director/cli/put.h"

#include <string.h>

#define DAY_NS (UINT64_C(86400) * 1000000000)
enum { POINTS_MAX = 1000000 };

void point_free(struct point *point)
{
    if (!point) return;
    buf_deinit(&point->bytes);
    stored_point_free(point->file);
    stored_body_free(point->body);
    stored_unlock_free(point->unlock);
    free(point);
}

const char *point_holds(const Sealift__PointBody *body)
{
    return body->crash_consistent ? "image (crash-consistent)" : body->object_kind;
}

bool point_is_revoked(const struct point *point)
{
    return point->time_ns >= point->revoked_since;
}

void points_deinit(struct points *points)
{
    for (size_t i = 0; i < points->count; i++)
        point_free(points->items[i]);
    free(points->items);
    *points = (struct points){0};
}

/* --- verifying --- */

static bool open_point(const struct roster *roster, struct point *point, struct err *err)
{
    if (!stored_point_decode(buf_span(&point->bytes), &point->file, err) ||
        !stored_point_open(point->file, &point->body, err))
        return false;
    const Sealift__PointBody *body = point->body;
    if (memcmp(body->site.data, roster_site(roster)->bytes, ID_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "it is of another site");
    if (!roster_ever_admitted(roster, body->writer.data, &point->revoked_since))
        return err_set(err, ERR_NOT_AUTHENTIC, "its writer '%s' was never admitted to this site",
                       body->writer_name);
    (void)snprintf(point->writer, sizeof(point->writer), "%s",
                   roster_ever_transporter(roster, body->writer.data)->name);
    point->id = stored_id(&body->point);
    if (point->file->unlock.len == 0) return true;
    return stored_unlock_decode(span_of(point->file->unlock.data, point->file->unlock.len), &point->unlock,
                                err) ||
           err_wrap(err, "its unlock section");
}

static bool verify(const struct cli *cli, const Sealift__PointRow *row, struct point **out, struct err *err)
{
    AUTO(point) struct point *point = xcalloc(1, sizeof(*point));
    point->repository = stored_id(&row->repository);
    point->number = row->number;
    point->time_ns = row->time_ns;
    point->held = row->held != 0;
    buf_put(&point->bytes, row->point_file.data, row->point_file.len);
    point->hash = hash_of(buf_span(&point->bytes));
    if (!open_point(access_roster(cli), point, err)) return false;
    *out = point;
    point = NULL;
    return true;
}

/* The director chooses what it answers with: a point of another job or repository than was asked for would be
 * taken, and restored, under the wrong name. */
static bool was_asked_for(const Sealift__PointList *request, const struct point *point, struct err *err)
{
    if (request->repository.len && memcmp(request->repository.data, point->repository.bytes, ID_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "it is in another repository than was asked for");
    if (request->job[0] && strcmp(request->job, point->body->job) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "it is of the job '%s', not of '%s'", point->body->job,
                       request->job);
    return true;
}

static void take(struct cli *cli, const Sealift__PointList *request, struct points *points,
                 const Sealift__PointListAnswer *answer)
{
    for (size_t i = 0; i < answer->n_rows; i++) {
        struct err why = {0};
        AUTO(point) struct point *point = NULL;
        if (!verify(cli, answer->rows[i], &point, &why) || !was_asked_for(request, point, &why)) {
            output_warning(&cli->output, "point %llu of a repository is left out: %s",
                           (unsigned long long)answer->rows[i]->number, why.text);
            if (points->doubt.code == ERR_NONE) points->doubt = why;
            continue;
        }
        points->items = xreallocarray(points->items, points->count + 1, sizeof(*points->items));
        points->items[points->count++] = point;
        point = NULL;
    }
}

static bool fetch(struct cli *cli, struct client *client, const Sealift__PointList *body,
                  struct points *points, size_t *got, uint64_t *all, struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    AUTO(payload_point_list) Sealift__PointListAnswer *list = NULL;
    Sealift__PointList request = *body;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_POINT_LIST;
    head.point_list = &request;
    if (!client_request(client, &head, span_of(NULL, 0), CLIENT_REPEATABLE, &answer, err)) return false;
    if (!payload_point_list_decode(buf_span(&answer.payload), &list, err))
        return err_wrap(err, "the director's list of points");
    take(cli, body, points, list);
    *got = list->n_rows;
    *all = answer.head->done->count;
    return true;
}

bool points_get(struct cli *cli, const struct id *repository, const char *job, enum points_which which,
                struct points *out, struct err *err)
{
    struct client *client = NULL;
    AUTO(points) struct points points = {0};
    if (!access_director(cli, &client, err)) return false;
    Sealift__PointList body = SEALIFT__POINT_LIST__INIT;
    if (repository) body.repository = lent_bytes(repository->bytes, ID_LEN);
    if (job) body.job = lent_text(job);
    body.removed = which == POINTS_REMOVED;
    size_t got = 0;
    uint64_t all = 0;
    do {
        if (!fetch(cli, client, &body, &points, &got, &all, err)) return false;
        body.from += got;
    } while (got > 0 && body.from < all && body.from < POINTS_MAX);
    *out = points;
    points = (struct points){0};
    return true;
}

/* --- finding one --- */

static struct point *take_out(struct points *points, size_t index)
{
    struct point *point = points->items[index];
    points->items[index] = NULL;
    return point;
}

static bool missing(const struct points *points, const char *text, struct err *err)
{
    if (points->doubt.code != ERR_NONE)
        return err_set(err, points->doubt.code, "no point '%s' can be believed: %s", text,
                       points->doubt.text);
    return err_set(err, ERR_NOT_FOUND, "there is no point '%s'", text);
}

static bool by_prefix(struct points *points, const char *text, struct point **out, struct err *err)
{
    size_t found = points->count;
    for (size_t i = 0; i < points->count; i++) {
        char hex[2 * ID_LEN + 1];
        hex_encode(points->items[i]->id.bytes, ID_LEN, hex);
        if (strncasecmp(hex, text, strlen(text)) != 0) continue;
        /* a copy in a second repository is the same point: where it was first */
        if (found < points->count && !id_eq(&points->items[found]->id, &points->items[i]->id))
            return err_set(err, ERR_USAGE, "'%s' begins the ids of several points: give more digits", text);
        if (found == points->count || points->items[i]->time_ns < points->items[found]->time_ns) found = i;
    }
    if (found == points->count) return missing(points, text, err);
    *out = take_out(points, found);
    return true;
}

/* The id under which it was backed up: copies as stored keep it, those that were sealed anew name it. */
static struct id id_of_backup(const struct point *point)
{
    const Sealift__PointOrigin *origin = point->body->origin;
    return origin ? stored_id(&origin->point) : point->id;
}

/* Has the point a copy that lay in its repository before this one? */
static bool is_later_copy(const struct points *points, size_t index)
{
    const struct point *point = points->items[index];
    struct id backup = id_of_backup(point);
    for (size_t i = 0; i < points->count; i++) {
        struct id other = id_of_backup(points->items[i]);
        if (points->items[i]->time_ns < point->time_ns && id_eq(&other, &backup)) return true;
    }
    return false;
}

/* Within a repository its log says what came after what; between two, only their clocks do. */
static bool is_newer(const struct point *point, const struct point *than)
{
    if (id_eq(&point->repository, &than->repository)) return point->number > than->number;
    return point->time_ns > than->time_ns;
}

/* The newest one of a repository, whose first item is at `from`. They mostly come in order: the last is tried
 * first. */
static size_t newest_there(const struct points *points, size_t from, uint64_t limit_ns)
{
    size_t found = points->count;
    for (size_t i = points->count; i-- > from;) {
        const struct point *point = points->items[i];
        if (point->time_ns > limit_ns || !id_eq(&point->repository, &points->items[from]->repository))
            continue;
        if (found < points->count && !is_newer(point, points->items[found])) continue;
        if (!is_later_copy(points, i)) found = i;
    }
    return found;
}

/* Is it the first item of its repository? */
static bool begins_repository(const struct points *points, size_t index)
{
    for (size_t i = index; i > 0; i--)
        if (id_eq(&points->items[i - 1]->repository, &points->items[index]->repository)) return false;
    return true;
}

/* The newest that was made not after `limit_ns`: of the newest in each repository. */
static bool by_time(struct points *points, const char *text, uint64_t limit_ns, struct point **out,
                    struct err *err)
{
    size_t found = points->count;
    for (size_t i = 0; i < points->count; i++) {
        if (!begins_repository(points, i)) continue;
        size_t there = newest_there(points, i, limit_ns);
        if (there == points->count) continue;
        if (found == points->count || is_newer(points->items[there], points->items[found])) found = there;
    }
    if (found == points->count) return missing(points, text, err);
    *out = take_out(points, found);
    return true;
}

/* The repository's time comes through the director, the writer's is signed. */
static void doubt_times(const struct cli *cli, const struct point *point)
{
    uint64_t written_ns = point->body->writer_time_ns;
    uint64_t apart_ns =
        written_ns > point->time_ns ? written_ns - point->time_ns : point->time_ns - written_ns;
    if (written_ns == 0 || apart_ns <= DAY_NS) return;
    char written[21], listed[21];
    time_format(written_ns, written);
    time_format(point->time_ns, listed);
    output_warning(
        &cli->output,
        "the point was written at %s by its writer's clock and is listed as of %s: a copy that was "
        "made later, a wrong clock, or a director that lists it under another time",
        written, listed);
}

static bool repository_id(struct cli *cli, const char *name, struct id *out, struct err *err)
{
    AUTO(statements) struct statements repositories = {0};
    const struct statement *repository = NULL;
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_named(&repositories, name, &repository, err))
        return false;
    *out = repository->id;
    return true;
}

static bool resolve(struct cli *cli, const char *text, const char *repository, enum points_which which,
                    struct point **out, struct err *err)
{
    struct id only;
    enum point_word word;
    char job[IDENTITY_NAME_MAX + 1];
    uint64_t limit_ns = UINT64_MAX;
    AUTO(points) struct points points = {0};
    if (!point_word_parse(text, clock_real_ns(), &word, job, &limit_ns, err)) return false;
    if (repository && !repository_id(cli, repository, &only, err)) return false;
    if (!points_get(cli, repository ? &only : NULL, word == POINT_BY_PREFIX ? NULL : job, which, &points,
                    err))
        return false;
    AUTO(point) struct point *point = NULL;
    bool found = word == POINT_BY_PREFIX ? by_prefix(&points, text, &point, err)
                                         : by_time(&points, text, limit_ns, &point, err);
    if (!found) return false;
    if (word != POINT_BY_PREFIX) doubt_times(cli, point);
    *out = point;
    point = NULL;
    return true;
}

bool point_resolve(struct cli *cli, const char *text, const char *repository, struct point **out,
                   struct err *err)
{
    return resolve(cli, text, repository, POINTS_THERE, out, err);
}

bool point_resolve_removed(struct cli *cli, const char *text, const char *repository, struct point **out,
                           struct err *err)
{
    return resolve(cli, text, repository, POINTS_REMOVED, out, err);
}

void point_set_key(const struct point *point, enum output_form form, json_t *object)
{
    enum { SHOWN = 9 }; /* two groups of four, and the hyphen */
    const Sealift__PointBody *body = point->body;
    bool sealed = body->key_id.len == HASH_LEN;
    struct hash key_id = sealed ? stored_hash(&body->key_id) : (struct hash){{0}};
    char fingerprint[KEY_FINGERPRINT_LEN];
    key_fingerprint(&key_id, fingerprint);
    (void)json_object_set_new(object, "cipher", json_string(cipher_name((enum cipher)body->cipher)));
    (void)json_object_set_new(object, "key", sealed ? json_string(body->key_label) : json_null());
    (void)json_object_set_new(object, "key_fingerprint", sealed ? json_string(fingerprint) : json_null());
    if (form == OUTPUT_TEXT && sealed)
        (void)json_object_set_new(object, "fingerprint", json_stringn(fingerprint, SHOWN));
}
