#include "director/cli/job_run.h"

#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/follow.h"
#include "director/cli/inspect.h"
#include "director/cli/key_protectors.h"
#include "director/cli/point.h"
#include "director/cli/put.h"
#include "director/cli/statements.h"

#include <stdio.h>
#include <string.h>

enum { STATS_S = 10, RUNS_MAX = 1000, PREFIX_MIN = 4 };

static bool find_job(struct cli *cli, const char *name, struct statements *jobs, const struct statement **out,
                     struct err *err)
{
    return statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, jobs, err) &&
           statements_named(jobs, name, out, err);
}

/* --- run --- */

static bool start(struct cli *cli, const struct id *job, struct id *run, struct err *err)
{
    Sealift__RunStart body = SEALIFT__RUN_START__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.job = lent_bytes(job->bytes, ID_LEN);
    head.kind_case = SEALIFT__HEAD__KIND_RUN_START;
    head.run_start = &body;
    return put_request(cli, &head, span_of(NULL, 0), CLIENT_ONCE, run, err);
}

static void say_result(struct cli *cli, const char *name, const struct id *run,
                       const struct follow_result *result)
{
    if (result->interrupted) return;
    if (cli->output.form == OUTPUT_JSON) {
        json_t *object = follow_json(run, result);
        (void)json_object_set_new(object, "job", json_string(name));
        output_line(&cli->output, object, "%s", "");
        return;
    }
    if (result->state != SEALIFT__RUN_STATE__RUN_OK) return; /* the error says it */
    AUTO(buf) struct buf summary = {0};
    char point[2 * ID_LEN + 1];
    hex_encode(result->point.bytes, ID_LEN, point);
    follow_summary(result, &summary);
    output_line(&cli->output, NULL, "%s: ok%s%.12s: %s", name, result->has_point ? ", point " : "",
                result->has_point ? point : "", buf_cstr(&summary));
}

static void warn_of_key(struct cli *cli, const Sealift__JobBody *job)
{
    AUTO(keys) struct keys keys = {0};
    struct err ignored = {0};
    if (job->key_id.len != HASH_LEN || !keys_get(cli, &keys, &ignored)) return;
    struct hash key_id = stored_hash(&job->key_id);
    const struct key_entry *key = keys_with_id(&keys, &key_id);
    if (key) key_warn_unprotected(cli, key);
}

bool job_run(struct cli *cli, const struct args *args, struct err *err)
{
    return job_run_named(cli, args, args_operand(args, 0), err);
}

bool job_run_named(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
    AUTO(statements) struct statements jobs = {0};
    const struct statement *job = NULL;
    struct id run;
    unsigned stats_s = STATS_S;
    if (!args_number(args, "stats", 0, 86400, &stats_s, err) || !find_job(cli, name, &jobs, &job, err) ||
        !start(cli, &job->id, &run, err))
        return false;
    char hex[2 * ID_LEN + 1], what[IDENTITY_NAME_MAX + 16], stop[IDENTITY_NAME_MAX + 32];
    hex_encode(run.bytes, ID_LEN, hex);
    if (!args_flag(args, "wait")) {
        output_line(&cli->output, json_pack("{s:s, s:s}", "job", name, "run", hex), "%s: run %.12s is queued",
                    name, hex);
        warn_of_key(cli, job->body.job);
        return true;
    }
    (void)snprintf(what, sizeof(what), "the run of '%s'", name);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %s", name);
    const struct follow_request request = {
        .run = run, .from = FOLLOW_STARTED, .what = what, .stop = stop, .stats_s = stats_s};
    AUTO(follow_result) struct follow_result result = {0};
    if (!follow_run(cli, &request, &result, err)) return false;
    say_result(cli, name, &run, &result);
    if (!result.interrupted) warn_of_key(cli, job->body.job);
    return follow_conclude(cli, &request, &result, err);
}

/* --- finding runs --- */

static bool is_active(const Sealift__RunRow *row)
{
    return row->state == SEALIFT__RUN_STATE__RUN_QUEUED || row->state == SEALIFT__RUN_STATE__RUN_ASSIGNED ||
           row->state == SEALIFT__RUN_STATE__RUN_RUNNING || row->state == SEALIFT__RUN_STATE__RUN_COMMITTING;
}

/* A run by the start of its id, else the newest run (or the active one) of the job with that name. */
static bool find_run(struct cli *cli, const char *word, bool active, Sealift__RunListAnswer **list,
                     const Sealift__RunRow **out, struct err *err)
{
    AUTO(statements) struct statements jobs = {0};
    const struct statement *job = NULL;
    struct err no_job = {0};
    const Sealift__RunRow *found = NULL;
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err)) return false;
    bool by_job = statements_named(&jobs, word, &job, &no_job);
    if (!ask_runs(cli, by_job ? &job->id : NULL, RUNS_MAX, list, err)) return false;
    for (size_t i = 0; i < (*list)->n_rows; i++) {
        const Sealift__RunRow *row = (*list)->rows[i];
        char hex[2 * ID_LEN + 1] = "";
        if (row->run.len != ID_LEN) continue;
        hex_encode(row->run.data, ID_LEN, hex);
        if (by_job ? active && !is_active(row)
                   : strlen(word) < PREFIX_MIN || strncmp(hex, word, strlen(word)) != 0)
            continue;
        if (found && !by_job)
            return err_set(err, ERR_USAGE, "'%s' begins several runs: give more digits", word);
        if (!found) found = row;
    }
    if (!found && by_job)
        return err_set(err, ERR_NOT_FOUND, "the job '%s' has no %srun", word, active ? "active " : "");
    if (!found) return err_set(err, ERR_NOT_FOUND, "there is neither a job nor a run '%s'", word);
    *out = found;
    return true;
}

bool job_stop(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(payload_run_list) Sealift__RunListAnswer *list = NULL;
    const Sealift__RunRow *row = NULL;
    const char *word = args_operand(args, 0);
    if (!find_run(cli, word, true, &list, &row, err)) return false;
    AUTO(client_message) struct client_message answer = {0};
    Sealift__RunStop body = SEALIFT__RUN_STOP__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    char hex[2 * ID_LEN + 1];
    body.run = row->run;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_STOP;
    head.run_stop = &body;
    if (!client_request(cli->client, &head, span_of(NULL, 0), CLIENT_REPEATABLE, &answer, err)) return false;
    hex_encode(row->run.data, ID_LEN, hex);
    output_line(&cli->output, json_pack("{s:s, s:b}", "run", hex, "stopping", 1),
                "%s: the run %.12s is being stopped", word, hex);
    return true;
}

/* --- history, log --- */

static json_t *row_json(const Sealift__RunRow *row)
{
    struct id id = stored_id(&row->run);
    AUTO(follow_result) struct follow_result result = {0};
    follow_take_row(&result, row);
    return follow_json(&id, &result);
}

/* For people: seconds as text. */
static void add_took(json_t *object)
{
    const json_t *took = json_object_get(object, "took_s");
    if (json_is_real(took))
        (void)json_object_set_new(object, "took", json_sprintf("%.1f s", json_real_value(took)));
}

static void mark(const struct cli *cli, json_t *run, const struct points *points)
{
    char hex[2 * ID_LEN + 1];
    const char *made = json_string_value(json_object_get(run, "point"));
    for (size_t i = 0; made && i < points->count; i++) {
        const struct point *point = points->items[i];
        hex_encode(point->id.bytes, ID_LEN, hex);
        if (strcmp(made, hex) != 0) continue;
        point_set_key(point, cli->output.form, run);
        (void)json_object_set_new(run, "crash_consistent", json_boolean(point->body->crash_consistent));
        const char *text = json_string_value(json_object_get(run, "text"));
        if (cli->output.form == OUTPUT_TEXT && point->body->crash_consistent && (!text || !*text))
            (void)json_object_set_new(run, "text", json_string("crash-consistent only"));
        return;
    }
}

/* What only the points say, as far as they are there still. Without them the runs are told all the same. */
static void mark_runs(struct cli *cli, const char *job, json_t *runs)
{
    AUTO(points) struct points points = {0};
    struct err why = {0};
    if (json_array_size(runs) == 0) return;
    if (!points_get(cli, NULL, job, POINTS_THERE, &points, &why)) {
        output_warning(&cli->output, "what the points say (cipher, key, crash-consistent) cannot be told: %s",
                       why.text);
        return;
    }
    for (size_t i = 0; i < json_array_size(runs); i++)
        mark(cli, json_array_get(runs, i), &points);
}

bool job_history(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"run", "RUN", COLUMN_ID},
        {"state", "STATE", COLUMN_TEXT},
        {"started", "STARTED", COLUMN_TEXT},
        {"took", "TOOK", COLUMN_TEXT},
        {"files", "FILES", COLUMN_NUMBER},
        {"content_bytes", "SIZE", COLUMN_SIZE},
        {"stored_bytes", "STORED", COLUMN_SIZE},
        {"warnings", "WARNINGS", COLUMN_NUMBER},
        {"point", "POINT", COLUMN_ID},
        {"cipher", "CIPHER", COLUMN_TEXT},
        {"key", "KEY", COLUMN_TEXT},
        {"fingerprint", "FINGERPRINT", COLUMN_TEXT},
        {"text", "TEXT", COLUMN_TEXT},
        {0},
    };
    AUTO(statements) struct statements jobs = {0};
    AUTO(payload_run_list) Sealift__RunListAnswer *list = NULL;
    const struct statement *job = NULL;
    unsigned limit = 20;
    if (!args_number(args, "limit", 1, 10000, &limit, err) ||
        !find_job(cli, args_operand(args, 0), &jobs, &job, err) ||
        !ask_runs(cli, &job->id, limit, &list, err))
        return false;
    json_t *rows = json_array();
    for (size_t i = 0; i < list->n_rows; i++) {
        json_t *object = row_json(list->rows[i]);
        if (cli->output.form == OUTPUT_TEXT) add_took(object);
        (void)json_array_append_new(rows, object);
    }
    mark_runs(cli, job->body.job->name, rows);
    output_table(&cli->output, "runs", columns, rows);
    return true;
}

bool job_log(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"run", "run", COLUMN_TEXT},
        {"state", "state", COLUMN_TEXT},
        {"text", "text", COLUMN_TEXT},
        {"attempt", "attempt", COLUMN_NUMBER},
        {"started", "started", COLUMN_TEXT},
        {"ended", "ended", COLUMN_TEXT},
        {"point", "point", COLUMN_TEXT},
        {"entries", "entries", COLUMN_NUMBER},
        {"files", "files", COLUMN_NUMBER},
        {"content_bytes", "content", COLUMN_SIZE},
        {"read_bytes", "read", COLUMN_SIZE},
        {"deduplicated_bytes", "deduplicated", COLUMN_SIZE},
        {"sent_bytes", "sent", COLUMN_SIZE},
        {"stored_bytes", "stored", COLUMN_SIZE},
        {"warnings", "warnings", COLUMN_NUMBER},
        {"failed", "failed", COLUMN_NUMBER},
        {0},
    };
    AUTO(payload_run_list) Sealift__RunListAnswer *list = NULL;
    const Sealift__RunRow *row = NULL;
    AUTO(follow_result) struct follow_result result = {0};
    if (!find_run(cli, args_operand(args, 0), false, &list, &row, err)) return false;
    const struct follow_request request = {
        .run = stored_id(&row->run), .from = FOLLOW_ASK, .what = "the run"};
    bool ended = !is_active(row);
    if (ended && !follow_run(cli, &request, &result, err)) return false;
    json_t *object = row_json(row);
    inspect_show(cli, &result, object);
    output_record(&cli->output, columns, object);
    if (ended) (void)follow_name_warnings(cli, &request, &result);
    return true;
}
