/* sealift point … */
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/crypto/frame.h"
#include "director/cli/inspect.h"
#include "director/cli/keys.h"
#include "director/cli/point.h"
#include "director/cli/verbs.h"

#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

/* Until when no order and no rule removes it: what the jobs that write such points there have promised. */
static uint64_t immutable_until(const struct point *point, const struct statements *jobs)
{
    uint64_t longest_s = 0;
    for (size_t i = 0; i < jobs->count; i++) {
        const Sealift__JobBody *job = jobs->items[i]->body.job;
        const char *label = statement_job_label(job);
        bool writes = job->retention && job->repository.len == ID_LEN &&
                      memcmp(job->repository.data, point->repository.bytes, ID_LEN) == 0 &&
                      (!label[0] || strcmp(label, point->body->job) == 0);
        if (writes && job->retention->immutable_s > longest_s) longest_s = job->retention->immutable_s;
    }
    uint64_t most_s = (UINT64_MAX - point->time_ns) / NS_PER_S;
    return longest_s == 0 ? 0 : point->time_ns + (longest_s < most_s ? longest_s : most_s) * NS_PER_S;
}

static void add_kept(const struct point *point, const struct statements *jobs, json_t *object)
{
    uint64_t until_ns = immutable_until(point, jobs);
    bool immutable = until_ns > clock_real_ns();
    (void)json_object_set_new(object, "held", json_boolean(point->held));
    (void)json_object_set_new(object, "immutable_until", json_time(immutable ? until_ns : 0));
    char until[21] = "";
    if (immutable) time_format(until_ns, until);
    (void)json_object_set_new(object, "kept",
                              point->held ? json_string("held")
                              : immutable ? json_sprintf("until %s", until)
                                          : json_null());
}

/* Of a point that a copy sealed anew: what it was before. */
static json_t *origin_json(const Sealift__PointOrigin *origin)
{
    if (!origin) return json_null();
    json_t *object =
        json_pack("{s:o, s:o, s:s}", "id", json_hex(origin->point.data, origin->point.len), "run",
                  json_hex(origin->run.data, origin->run.len), "writer", origin->writer_name);
    (void)json_object_set_new(object, "written",
                              origin->writer_time_ns ? json_time(origin->writer_time_ns) : json_null());
    (void)json_object_set_new(object, "key",
                              origin->key_label[0] ? json_string(origin->key_label) : json_null());
    return object;
}

/* When what it holds was backed up, by the clock of who did. */
static uint64_t written_ns(const Sealift__PointBody *body)
{
    return body->origin ? body->origin->writer_time_ns : body->writer_time_ns;
}

static json_t *point_json(const struct point *point, const struct statements *repositories)
{
    const Sealift__PointBody *body = point->body;
    char repository[IDENTITY_NAME_MAX + 1];
    statements_name_of(repositories, &point->repository, repository);
    json_t *object =
        json_pack("{s:o, s:s, s:s, s:o, s:o, s:s}", "id", json_hex(point->id.bytes, ID_LEN), "job", body->job,
                  "repository", repository, "number", json_count(point->number), "time",
                  json_time(point->time_ns), "writer", point->writer);
    (void)json_object_set_new(object, "written",
                              written_ns(body) ? json_time(written_ns(body)) : json_null());
    (void)json_object_set_new(object, "origin", origin_json(body->origin));
    const Sealift__PointCounts *counts = body->counts;
    (void)json_object_set_new(object, "entries", json_count(counts ? counts->entries : 0));
    (void)json_object_set_new(object, "files", json_count(counts ? counts->files : 0));
    (void)json_object_set_new(object, "directories", json_count(counts ? counts->directories : 0));
    (void)json_object_set_new(object, "content_bytes", json_count(counts ? counts->content_bytes : 0));
    (void)json_object_set_new(object, "warnings", json_count(counts ? counts->warnings : 0));
    (void)json_object_set_new(object, "object", json_string(body->object_kind));
    (void)json_object_set_new(object, "crash_consistent", json_boolean(body->crash_consistent));
    (void)json_object_set_new(object, "trusted", json_boolean(!point_is_revoked(point)));
    return object;
}

/* For people one column says what it holds. */
static json_t *point_row(const struct cli *cli, const struct point *point,
                         const struct statements *repositories)
{
    json_t *object = point_json(point, repositories);
    point_set_key(point, cli->output.form, object);
    if (cli->output.form == OUTPUT_TEXT)
        (void)json_object_set_new(object, "object", json_string(point_holds(point->body)));
    return object;
}

static const struct column list_columns[] = {
    {"id", "POINT", COLUMN_ID},
    {"job", "JOB", COLUMN_TEXT},
    {"repository", "REPOSITORY", COLUMN_TEXT},
    {"number", "NUMBER", COLUMN_NUMBER},
    {"time", "TIME", COLUMN_TEXT},
    {"written", "WRITTEN", COLUMN_TEXT},
    {"writer", "WRITER", COLUMN_TEXT},
    {"object", "HOLDS", COLUMN_TEXT},
    {"files", "FILES", COLUMN_NUMBER},
    {"content_bytes", "SIZE", COLUMN_SIZE},
    {"warnings", "WARNINGS", COLUMN_NUMBER},
    {"cipher", "CIPHER", COLUMN_TEXT},
    {"key", "KEY", COLUMN_TEXT},
    {"fingerprint", "FINGERPRINT", COLUMN_TEXT},
    {"trusted", "TRUSTED", COLUMN_YES},
    {"kept", "KEPT", COLUMN_TEXT},
    {0},
};
enum { LIST_COLUMNS = sizeof(list_columns) / sizeof(list_columns[0]) };

/* Than the point of the same job before it in the repository. */
static bool has_another_writer(const struct points *points, size_t at)
{
    const struct point *point = points->items[at];
    for (size_t i = at; i > 0; i--) {
        const struct point *before = points->items[i - 1];
        if (!id_eq(&before->repository, &point->repository)) return false;
        if (strcmp(before->body->job, point->body->job) == 0)
            return strcmp(before->writer, point->writer) != 0;
    }
    return false;
}

/* A point that a copy sealed anew came into its repository later than it was written; of others the one time
 * says enough. Where a job's points are of several hosts it matters whose each is. */
static void choose_columns(const struct points *points, struct column out[static LIST_COLUMNS])
{
    bool anew = false, several = false;
    for (size_t i = 0; i < points->count; i++) {
        anew = anew || points->items[i]->body->origin;
        several = several || has_another_writer(points, i);
    }
    for (size_t i = 0; i < LIST_COLUMNS; i++) {
        const char *key = list_columns[i].key;
        bool left_out =
            key && ((!anew && strcmp(key, "written") == 0) || (!several && strcmp(key, "writer") == 0));
        if (!left_out) *out++ = list_columns[i];
    }
}

static bool list(struct cli *cli, const struct args *args, struct err *err)
{
    struct column columns[LIST_COLUMNS];
    AUTO(statements) struct statements repositories = {0}, jobs = {0};
    AUTO(points) struct points points = {0};
    enum points_which which = args_flag(args, "removed") ? POINTS_REMOVED : POINTS_THERE;
    const struct statement *repository = NULL;
    const char *name = args_value(args, "repository");
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err))
        return false;
    if (name && !statements_named(&repositories, name, &repository, err)) return false;
    if (!points_get(cli, repository ? &repository->id : NULL, args_value(args, "job"), which, &points, err))
        return false;
    json_t *rows = json_array();
    for (size_t i = 0; i < points.count; i++) {
        json_t *row = point_row(cli, points.items[i], &repositories);
        add_kept(points.items[i], &jobs, row);
        (void)json_array_append_new(rows, row);
    }
    choose_columns(&points, columns);
    output_table(&cli->output, "points", columns, rows);
    if (points.doubt.code == ERR_NONE) return true;
    *err = points.doubt;
    return err_wrap(err, "not every point can be believed");
}

static json_t *unlock_lines(const struct point *point)
{
    json_t *lines = json_array();
    const Sealift__UnlockSection *unlock = point->unlock;
    if (!unlock) return lines;
    if (unlock->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD)
        (void)json_array_append_new(lines, json_string(unlock->kdf && unlock->kdf->salt.len
                                                           ? "the password"
                                                           : "the password, but its salt is missing"));
    for (size_t i = 0; i < unlock->n_kms; i++)
        (void)json_array_append_new(lines, json_sprintf("KMS '%s'", unlock->kms[i]->entry));
    for (size_t i = 0; i < unlock->n_passwords; i++)
        (void)json_array_append_new(lines, json_sprintf("password '%s'", unlock->passwords[i]->description));
    (void)json_array_append_new(lines, json_string("a copy of the key"));
    return lines;
}

static void add_key(const struct point *point, json_t *object)
{
    const Sealift__PointBody *body = point->body;
    if (body->key_id.len != HASH_LEN) return;
    struct hash key_id = stored_hash(&body->key_id);
    (void)json_object_set_new(object, "key_id", json_hex(key_id.bytes, HASH_LEN));
    (void)json_object_set_new(object, "dedup_domain", json_string(body->domain));
    (void)json_object_set_new(object, "opened_by", unlock_lines(point));
    if (point->unlock)
        (void)json_object_set_new(object, "key_description",
                                  json_lossy(span_str(point->unlock->description)));
}

/* For people in lines of their own; of a point that nobody sealed anew writer and sealer are one. */
static void add_origin(const struct point *point, json_t *object)
{
    const Sealift__PointOrigin *origin = point->body->origin;
    (void)json_object_set_new(object, "origin_writer",
                              json_string(origin ? origin->writer_name : point->writer));
    if (!origin) {
        (void)json_object_del(object, "writer");
        return;
    }
    (void)json_object_set_new(object, "origin_id", json_hex(origin->point.data, origin->point.len));
    (void)json_object_set_new(object, "origin_key",
                              json_string(origin->key_label[0] ? origin->key_label : "none"));
}

static bool show(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"id", "point", COLUMN_TEXT},
        {"job", "job", COLUMN_TEXT},
        {"repository", "repository", COLUMN_TEXT},
        {"number", "number", COLUMN_NUMBER},
        {"time", "time", COLUMN_TEXT},
        {"written", "written at", COLUMN_TEXT},
        {"origin_writer", "written by", COLUMN_TEXT},
        {"origin_id", "as point", COLUMN_TEXT},
        {"origin_key", "under the key", COLUMN_TEXT},
        {"writer", "sealed by", COLUMN_TEXT},
        {"trusted", "writer trusted", COLUMN_TEXT},
        {"object", "holds", COLUMN_TEXT},
        {"entries", "entries", COLUMN_NUMBER},
        {"files", "files", COLUMN_NUMBER},
        {"directories", "directories", COLUMN_NUMBER},
        {"content_bytes", "content", COLUMN_SIZE},
        {"warnings", "warnings", COLUMN_NUMBER},
        {"cipher", "cipher", COLUMN_TEXT},
        {"key", "key", COLUMN_TEXT},
        {"key_description", "its description", COLUMN_TEXT},
        {"key_fingerprint", "its fingerprint", COLUMN_TEXT},
        {"dedup_domain", "dedup domain", COLUMN_TEXT},
        {"opened_by", "opened by", COLUMN_TEXT},
        {"run", "run", COLUMN_TEXT},
        {"hash", "hash of the file", COLUMN_TEXT},
        {"kept", "is kept", COLUMN_TEXT},
        {0},
    };
    AUTO(statements) struct statements repositories = {0}, jobs = {0};
    AUTO(point) struct point *point = NULL;
    if (!point_resolve(cli, args_operand(args, 0), args_value(args, "repository"), &point, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err))
        return false;
    json_t *object = point_row(cli, point, &repositories);
    add_kept(point, &jobs, object);
    if (cli->output.form == OUTPUT_TEXT) add_origin(point, object);
    (void)json_object_set_new(object, "run", json_hex(point->body->run.data, point->body->run.len));
    (void)json_object_set_new(object, "hash", json_hex(point->hash.bytes, HASH_LEN));
    add_key(point, object);
    output_record(&cli->output, columns, object);
    if (point_is_revoked(point)) {
        char since[21];
        time_format(point->revoked_since, since);
        output_warning(&cli->output, "its writer is not trusted since %s: it was written after that", since);
    }
    return true;
}

static const struct option_spec list_options[] = {
    {"job", "J", "only the points of this job"},
    {"repository", "R", "only those in this repository"},
    {"removed", NULL, "those that were removed and can still be undeleted"},
    {0},
};

static const struct option_spec show_options[] = {
    {"repository", "R", "as it lies in this repository (default: where it was first)"},
    {0},
};

const struct command point_commands[] = {
    {"point", "list", "[--job J] [--repository R] [--removed]",
     "Lists recovery points. Each is verified: who wrote it, and that the writer was admitted to the site.",
     "$ sealift point list --job web\n"
     "POINT         JOB  REPOSITORY  NUMBER  TIME                  HOLDS  FILES     SIZE  WARNINGS  "
     "CIPHER       KEY   FINGERPRINT  TRUSTED  KEPT\n"
     "3f2a91c0d4e7  web  offsite         12  2026-11-20T03:00:02Z  tree    1180  1.2 GiB         0  "
     "aes-256-gcm  main  ABCD-EFGH    yes      held",
     list_options, 0, 0, list},
    {"point", "show", "ID [--repository R]",
     "Shows one recovery point. ID is the start of its id, JOB@latest, or JOB@2026-11-20.",
     "$ sealift point show web@latest\n"
     "point:  3f2a91c0d4e7…\n"
     "job:    web",
     show_options, 1, 1, show},
    {"point", "verify", "ID [--level presence|hash|decrypt|restore]",
     "Checks one recovery point and waits for it. The first two levels are checked where it is kept, without "
     "a\nkey; the others by a trusted transporter, which opens it. Ends with 22 (damaged), 23 (truncated) or "
     "26 (not\nauthentic) if anything is found, with 20 or 21 if nobody can open it.",
     "$ sealift point verify web@latest --level restore\n"
     "point:               3f2a91c0d4e7…\n"
     "level:               restore\n"
     "verdict:             sound\n"
     "files put together:  1180",
     inspect_point_options, 1, 1, inspect_point},
    {0},
};
