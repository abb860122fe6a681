/* sealift status: what needs somebody first. */
#include "common/base/clock.h"
#include "common/base/text.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/config_status.h"
#include "director/cli/follow.h"
#include "director/cli/key_protectors.h"
#include "director/cli/member.h"
#include "director/cli/site_begin.h"
#include "director/cli/statements.h"
#include "director/cli/time_word.h"
#include "director/cli/upkeep.h"
#include "director/cli/verbs.h"
#include "director/core/run_state.h"

#include <stdio.h>
#include <string.h>

#define STALE_DEFAULT_MS (UINT64_C(2) * 86400 * 1000)
enum { RUNS_MAX = 1000 };

/* Everything that the answer is made of. */
struct picture {
    struct statements jobs, repositories;
    Sealift__StatusAnswer *status;
    struct pending_list pending;
    uint64_t now_ns, stale_ns;
};
static void picture_deinit(struct picture *picture)
{
    statements_deinit(&picture->jobs);
    statements_deinit(&picture->repositories);
    payload_status_free(picture->status);
    free(picture->pending.items);
}
DEFINE_AUTO_IN_PLACE(picture, struct picture, picture_deinit)

static bool get_picture(struct cli *cli, const struct args *args, struct picture *out, struct err *err)
{
    uint64_t stale_ms = STALE_DEFAULT_MS;
    if (args_value(args, "stale") && !duration_parse(args_value(args, "stale"), &stale_ms, err))
        return err_wrap(err, "--stale");
    out->stale_ns = stale_ms > UINT64_MAX / 1000000 ? UINT64_MAX : stale_ms * 1000000;
    out->now_ns = clock_real_ns();
    return statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &out->jobs, err) &&
           statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &out->repositories, err) &&
           ask_status(cli, &out->status, err) && ask_pending(cli, &out->pending, err);
}

/* --- jobs --- */

static void put_age(json_t *object, const char *key, uint64_t then_ns, uint64_t now_ns)
{
    char text[24];
    if (!then_ns || then_ns > now_ns) return;
    time_word_age(now_ns - then_ns, text);
    (void)json_object_set_new(object, key, json_string(text));
}

static json_t *job_row(struct cli *cli, const struct picture *picture, const struct statement *job,
                       struct err *err)
{
    AUTO(payload_run_list) Sealift__RunListAnswer *runs = NULL;
    uint64_t good_ns = 0;
    if (!ask_runs(cli, &job->id, RUNS_MAX, &runs, err)) return NULL;
    for (size_t i = 0; i < runs->n_rows && !good_ns; i++)
        if (runs->rows[i]->state == SEALIFT__RUN_STATE__RUN_OK) good_ns = runs->rows[i]->ended_ns;
    const Sealift__RunRow *newest = runs->n_rows ? runs->rows[0] : NULL;
    bool stale = !good_ns || (picture->now_ns > good_ns && picture->now_ns - good_ns > picture->stale_ns);
    json_t *object = json_pack("{s:s, s:b, s:o}", "job", statement_name(job), "stale", stale, "last_good",
                               json_time(good_ns));
    put_age(object, "age", good_ns, picture->now_ns);
    (void)json_object_set_new(object, "last_state",
                              newest ? json_string(run_state_name(newest->state)) : json_string("never ran"));
    (void)json_object_set_new(object, "last_text",
                              newest && newest->text[0] ? json_string(newest->text) : json_null());
    return object;
}

/* Those without a good point for longest first. */
static void sort_in(json_t *rows, json_t *row)
{
    const char *mine = json_string_value(json_object_get(row, "last_good"));
    size_t at = 0;
    for (; at < json_array_size(rows); at++) {
        const char *other = json_string_value(json_object_get(json_array_get(rows, at), "last_good"));
        if (other && (!mine || strcmp(mine, other) < 0)) break;
    }
    (void)json_array_insert_new(rows, at, row);
}

static json_t *job_rows(struct cli *cli, const struct picture *picture, struct err *err)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < picture->jobs.count; i++) {
        if (statement_is_deleted(picture->jobs.items[i])) continue;
        json_t *row = job_row(cli, picture, picture->jobs.items[i], err);
        if (!row) {
            json_decref(rows);
            return NULL;
        }
        sort_in(rows, row);
    }
    return rows;
}

/* --- the rest --- */

static json_t *transporter_rows(struct cli *cli, const struct picture *picture)
{
    json_t *rows = json_array();
    const Sealift__RosterBody *roster = roster_body(access_roster(cli));
    for (size_t i = 0; i < roster->n_transporters; i++) {
        const Sealift__Member *member = roster->transporters[i];
        const Sealift__TransporterStatus *host = status_of_transporter(picture->status, member->sign_pk.data);
        json_t *row = json_pack("{s:s, s:s, s:b, s:o}", "transporter", member->name, "zone",
                                zone_name(member->zone), "connected", host && host->connected, "last_seen",
                                json_time(host ? host->last_seen_ns : 0));
        put_age(row, "age", host && !host->connected ? host->last_seen_ns : 0, picture->now_ns);
        (void)json_object_set_new(row, "address",
                                  host && host->address[0] ? json_string(host->address) : json_null());
        (void)json_object_set_new(row, "reverse_port",
                                  host && host->reverse_endpoint[0] ? json_string(host->reverse_endpoint)
                                                                    : json_null());
        (void)json_array_append_new(rows, row);
    }
    return rows;
}

static bool add_upkeep(struct cli *cli, const struct picture *picture, const struct statement *repository,
                       json_t *row, struct err *err)
{
    AUTO(payload_run_list) Sealift__RunListAnswer *runs = NULL;
    if (!ask_runs(cli, &repository->id, RUNS_MAX, &runs, err)) return false;
    upkeep_json(repository, picture->status, runs, picture->now_ns, row);
    upkeep_warn(cli, statement_name(repository), row);
    return true;
}

static json_t *repository_rows(struct cli *cli, const struct picture *picture, struct err *err)
{
    AUTO(json) json_t *rows = json_array();
    for (size_t i = 0; i < picture->repositories.count; i++) {
        const struct statement *repository = picture->repositories.items[i];
        const Sealift__RepositoryState *state = status_of_repository(picture->status, &repository->id);
        char owner[IDENTITY_NAME_MAX + 1];
        bool missed = repository_is_missed(repository, &picture->jobs);
        if (statement_is_deleted(repository) && !missed) continue;
        access_name_of(cli, repository->body.repository->owner.data, owner);
        const char *condition = missed        ? "detached"
                                : !state      ? "not seen yet"
                                : state->code ? output_error_name(client_code(state->code))
                                              : "open";
        json_t *row = json_pack("{s:s, s:s, s:s}", "repository", statement_name(repository), "transporter",
                                owner, "state", condition);
        (void)json_object_set_new(row, "points", state ? json_count(state->points) : json_null());
        (void)json_object_set_new(row, "free_bytes", state ? json_count(state->free_bytes) : json_null());
        (void)json_object_set_new(row, "text",
                                  missed ? json_string("jobs use it: 'sealift repository attach'")
                                  : state && state->code ? json_string(state->text)
                                                         : json_null());
        (void)json_array_append_new(rows, row);
        if (!missed && !add_upkeep(cli, picture, repository, row, err)) return NULL;
    }
    return json_incref(rows);
}

static json_t *run_rows(const struct picture *picture)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < picture->status->n_running; i++) {
        const Sealift__RunRow *row = picture->status->running[i];
        struct id job = {{0}};
        if (row->run.len != ID_LEN || row->job.len != ID_LEN) continue;
        memcpy(job.bytes, row->job.data, ID_LEN);
        const struct statement *statement = statements_with_id(&picture->jobs, &job);
        json_t *object = json_pack("{s:o, s:s, s:s, s:o}", "run", json_hex(row->run.data, ID_LEN), "job",
                                   statement ? statement_name(statement) : "an order", "state",
                                   run_state_name(row->state), "started", json_time(row->started_ns));
        (void)json_object_set_new(object, "content_bytes",
                                  json_count(row->counters ? row->counters->content_bytes : 0));
        (void)json_object_set_new(object, "text",
                                  row->text[0] ? json_lossy(span_str(row->text)) : json_null());
        put_age(object, "running_for", row->started_ns, picture->now_ns);
        (void)json_array_append_new(rows, object);
    }
    return rows;
}

/* One table with a title over it; with --json it becomes a member of the document. */
static void part(const struct cli *cli, json_t *document, const char *name, const char *title,
                 const struct column *columns, json_t *rows)
{
    if (cli->output.form == OUTPUT_JSON) {
        (void)json_object_set_new(document, name, rows);
        return;
    }
    if (json_array_size(rows) == 0) {
        json_decref(rows);
        return;
    }
    (void)printf("%s\n", title);
    output_table(&cli->output, name, columns, rows);
    (void)puts("");
}

static void say(struct cli *cli, const struct picture *picture, json_t *jobs, json_t *repositories)
{
    static const struct column job_columns[] = {
        {"job", "JOB", COLUMN_TEXT},        {"stale", "STALE", COLUMN_YES},
        {"age", "LAST GOOD", COLUMN_TEXT},  {"last_state", "LAST RUN", COLUMN_TEXT},
        {"last_text", "TEXT", COLUMN_TEXT}, {0},
    };
    static const struct column run_columns[] = {
        {"run", "RUN", COLUMN_ID},
        {"job", "JOB", COLUMN_TEXT},
        {"state", "STATE", COLUMN_TEXT},
        {"running_for", "SINCE", COLUMN_TEXT},
        {"content_bytes", "DONE", COLUMN_SIZE},
        {"text", "TEXT", COLUMN_TEXT},
        {0},
    };
    static const struct column transporter_columns[] = {
        {"transporter", "TRANSPORTER", COLUMN_TEXT},
        {"zone", "ZONE", COLUMN_TEXT},
        {"connected", "CONNECTED", COLUMN_YES},
        {"age", "AWAY FOR", COLUMN_TEXT},
        {"address", "ADDRESS", COLUMN_TEXT},
        {"reverse_port", "REVERSE PORT", COLUMN_TEXT},
        {0},
    };
    static const struct column repository_columns[] = {
        {"repository", "REPOSITORY", COLUMN_TEXT},
        {"transporter", "ON", COLUMN_TEXT},
        {"state", "STATE", COLUMN_TEXT},
        {"points", "POINTS", COLUMN_NUMBER},
        {"free_bytes", "FREE", COLUMN_SIZE},
        {"checked_percent_30d", "% CHECKED IN 30 D", COLUMN_NUMBER},
        {"swept", "SWEPT", COLUMN_TEXT},
        {"text", "TEXT", COLUMN_TEXT},
        {0},
    };
    json_t *document = json_object();
    part(cli, document, "jobs", "Jobs, the longest without a good run first", job_columns, jobs);
    part(cli, document, "transporters", "Transporters", transporter_columns, transporter_rows(cli, picture));
    part(cli, document, "repositories", "Repositories", repository_columns, repositories);
    part(cli, document, "runs", "Running now", run_columns, run_rows(picture));
    (void)json_object_set_new(document, "pending", json_integer((json_int_t)picture->pending.count));
    config_status_say(cli, picture->status, picture->now_ns, document);
    (void)json_object_set_new(document, "director_version", json_string(picture->status->director_version));
    if (cli->output.form == OUTPUT_JSON)
        output_record(&cli->output, job_columns, document);
    else
        json_decref(document);
    access_note_pending(cli, picture->pending.count);
    site_warn_if_alone(cli);
    keys_warn_of_jobs(cli, &picture->jobs);
}

/* What the director remembers of a log: it lists the repository as not authentic. */
static bool logs_believed(const struct picture *picture, struct err *err)
{
    for (size_t i = 0; i < picture->status->n_repositories; i++) {
        const Sealift__RepositoryState *state = picture->status->repositories[i];
        if (client_code(state->code) != ERR_NOT_AUTHENTIC) continue;
        struct id id = stored_id(&state->repository);
        char name[IDENTITY_NAME_MAX + 1];
        statements_name_of(&picture->repositories, &id, name);
        return err_set(err, ERR_NOT_AUTHENTIC, "repository '%s': %s", name, state->text);
    }
    return true;
}

static bool status(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(picture) struct picture picture = {0};
    if (!get_picture(cli, args, &picture, err)) return false;
    json_t *jobs = job_rows(cli, &picture, err);
    if (!jobs) return false;
    json_t *repositories = repository_rows(cli, &picture, err);
    if (!repositories) {
        json_decref(jobs);
        return false;
    }
    say(cli, &picture, jobs, repositories);
    return witness_heads(cli, picture.status, &picture.repositories, err) && logs_believed(&picture, err) &&
           statements_believed(&picture.jobs, err) && statements_believed(&picture.repositories, err);
}

static const struct option_spec status_options[] = {
    {"stale", "TIME", "a job whose last good run is older is stale (default 48h)"},
    {0},
};

const struct command status_commands[] = {
    {"status", NULL, "[--stale TIME]",
     "Shows the site, what needs somebody first.\n"
     "The jobs that went longest without a good run stand at the top; then come transporters, repositories "
     "and what\n"
     "runs now. A repository whose log stepped back or was rewritten ends it with exit code 26.",
     "$ sealift status\n"
     "Jobs, the longest without a good run first\n"
     "JOB  STALE  LAST GOOD  LAST RUN  TEXT\n"
     "db   yes    9 d        failed    cannot reach 'vault'\n"
     "web  -      5 h        ok        -",
     status_options, 0, 0, status},
    {0},
};
