/* sealift repository … */
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/inspect.h"
#include "director/cli/member.h"
#include "director/cli/mend.h"
#include "director/cli/point.h"
#include "director/cli/put.h"
#include "director/cli/statements.h"
#include "director/cli/upkeep.h"
#include "director/cli/verbs.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    CREATE_LIMIT_MS = 60000,
    CREATE_STEP_MS = 100,
    CONNECT_LIMIT_MS = 10000, /* who was just let in connects anew: its pauses are 5 s at most */
    PATH_LIMIT = 4096,
    RUNS_MAX = 500,
};

/* --- create --- */

static bool check_path(const char *path, struct err *err)
{
    if (!path) return err_set(err, ERR_USAGE, "--path DIR is needed: the directory on the transporter");
    if (path[0] != '/' || strlen(path) >= PATH_LIMIT)
        return err_set(err, ERR_USAGE, "--path takes an absolute path, not '%s'", path);
    return true;
}

static bool fill_retention(const struct args *args, Sealift__RepositoryBody *body, struct err *err)
{
    uint64_t age_ms = 0;
    unsigned least = 0;
    if (!args_number(args, "keep-least", 0, 1000000, &least, err)) return false;
    if (args_value(args, "keep-age") && !duration_parse(args_value(args, "keep-age"), &age_ms, err))
        return err_wrap(err, "--keep-age");
    body->keep_least = least;
    body->keep_age_s = age_ms / 1000;
    return true;
}

/* Said once it is not there. */
static bool owner_is_there(struct cli *cli, const Sealift__Member *owner, const Sealift__StatusAnswer *status,
                           bool *said)
{
    const Sealift__TransporterStatus *host = status_of_transporter(status, owner->sign_pk.data);
    if (host && host->connected) return true;
    if (!*said)
        output_note(&cli->output, "'%s' is not connected to the director: waiting up to %d s for it",
                    owner->name, CONNECT_LIMIT_MS / 1000);
    *said = true;
    return false;
}

/* Waits until the owner says that it has it open, or why not. */
static bool wait_for_owner(struct cli *cli, const Sealift__Member *owner, const struct id *id,
                           struct err *err)
{
    uint64_t begun_ms = clock_steady_ms();
    for (bool said = false;;) {
        AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
        if (!ask_status(cli, &status, err)) return false;
        const Sealift__RepositoryState *state = status_of_repository(status, id);
        if (state && state->code == 0) return true;
        if (state) return err_set(err, client_code(state->code), "'%s' says: %s", owner->name, state->text);
        bool there = owner_is_there(cli, owner, status, &said);
        if (clock_steady_ms() - begun_ms >= (there ? CREATE_LIMIT_MS : CONNECT_LIMIT_MS))
            return err_set(err, ERR_UNREACHABLE,
                           "'%s' %s: is it running, what does its log say? It makes the repository by itself "
                           "once it %s, and 'sealift repository list' says 'open' then",
                           owner->name, there ? "does not answer" : "is not connected to the director",
                           there ? "answers" : "is connected");
        struct timespec pause = {.tv_nsec = CREATE_STEP_MS * 1000000};
        (void)nanosleep(&pause, NULL);
    }
}

static void take_back(struct cli *cli, const struct put_request *request, const Sealift__RepositoryBody *body)
{
    Sealift__RepositoryBody gone = *body;
    struct put_request again = *request;
    struct err why = {0};
    statement_take_back(&gone);
    again.body = &gone;
    if (put_statement(cli, &again, NULL, NULL, &why))
        output_note(&cli->output, "repository '%s' was not made, and its name is free", body->name);
    else
        output_warning(&cli->output,
                       "the statement of repository '%s' could not be taken back ('sealift repository detach "
                       "%s' does): %s",
                       body->name, body->name, why.text);
}

static bool put_repository(struct cli *cli, const Sealift__Member *owner, const char *path,
                           Sealift__RepositoryBody *body, struct id *id, struct err *err)
{
    AUTO(sealed_copies) struct sealed_copies copies = {0};
    if (!sealed_copies_make(access_roster(cli), "repository", id, &owner, 1, span_str(path), &copies, err))
        return false;
    body->path = copies.list;
    body->n_path = copies.count;
    const struct put_request request = {
        .type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, .id = *id, .body = body};
    if (!put_statement(cli, &request, NULL, NULL, err)) return false;
    if (wait_for_owner(cli, owner, id, err)) return true;
    /* a refusal is final, and its name would be taken; a host that is away may still make it */
    if (err->code != ERR_UNREACHABLE) take_back(cli, &request, body);
    return false;
}

static bool create(struct cli *cli, const struct args *args, struct err *err)
{
    struct client *client = NULL;
    const Sealift__Member *owner = NULL;
    const char *name = args_operand(args, 0), *path = args_value(args, "path");
    Sealift__RepositoryBody body = SEALIFT__REPOSITORY_BODY__INIT;
    if (!identity_name_check(name, err) || !check_path(path, err) || !fill_retention(args, &body, err) ||
        !upkeep_read(args, &body, err))
        return false;
    if (!args_value(args, "on"))
        return err_set(err, ERR_USAGE, "--on TRANSPORTER is needed: who keeps the repository");
    if (!access_director(cli, &client, err) || !access_transporter(cli, args_value(args, "on"), &owner, err))
        return false;
    bool plain = args_flag(args, "plaintext");
    if (plain && owner->zone != SEALIFT__ZONE__ZONE_TRUSTED)
        return err_set(err, ERR_POLICY,
                       "a plaintext repository is kept in the trusted zone only: '%s' is not in it",
                       owner->name);
    body.name = lent_text(name);
    body.owner = owner->sign_pk;
    body.kind = plain ? SEALIFT__STORE_KIND__STORE_PLAINTEXT : SEALIFT__STORE_KIND__STORE_ENCRYPTED;
    struct id id = id_random();
    if (!put_repository(cli, owner, path, &body, &id, err)) return false;
    output_line(&cli->output,
                json_pack("{s:s, s:o, s:s, s:s}", "repository", name, "id", json_hex(id.bytes, ID_LEN),
                          "transporter", args_value(args, "on"), "kind", plain ? "plaintext" : "encrypted"),
                "%s is %s repository on %s", name, plain ? "a plaintext" : "an encrypted-only",
                args_value(args, "on"));
    return true;
}

/* --- list, show --- */

static json_t *repository_json(struct cli *cli, const struct statement *statement,
                               const Sealift__StatusAnswer *status)
{
    const Sealift__RepositoryBody *body = statement->body.repository;
    const Sealift__RepositoryState *state = status_of_repository(status, &statement->id);
    char owner[IDENTITY_NAME_MAX + 1];
    access_name_of(cli, body->owner.data, owner);
    json_t *object =
        json_pack("{s:s, s:o, s:s, s:s}", "name", body->name, "id", json_hex(statement->id.bytes, ID_LEN),
                  "transporter", owner, "kind",
                  body->kind == SEALIFT__STORE_KIND__STORE_PLAINTEXT ? "plaintext" : "encrypted");
    const char *condition = body->deleted ? "detached"
                            : !state      ? "not seen yet"
                            : state->code ? output_error_name(client_code(state->code))
                                          : "open";
    (void)json_object_set_new(object, "state", json_string(condition));
    (void)json_object_set_new(object, "text", state && state->code ? json_string(state->text) : json_null());
    (void)json_object_set_new(object, "points", state ? json_count(state->points) : json_null());
    (void)json_object_set_new(object, "pack_bytes", state ? json_count(state->pack_bytes) : json_null());
    (void)json_object_set_new(object, "free_bytes", state ? json_count(state->free_bytes) : json_null());
    (void)json_object_set_new(object, "head_number", state ? json_count(state->head_number) : json_null());
    (void)json_object_set_new(
        object, "head_hash",
        state && state->head_hash.len ? json_hex(state->head_hash.data, state->head_hash.len) : json_null());
    (void)json_object_set_new(object, "keep_least", json_count(body->keep_least));
    (void)json_object_set_new(object, "keep_age_s", json_count(body->keep_age_s));
    return object;
}

static bool list(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"name", "NAME", COLUMN_TEXT},       {"transporter", "ON", COLUMN_TEXT},
        {"kind", "KIND", COLUMN_TEXT},       {"state", "STATE", COLUMN_TEXT},
        {"points", "POINTS", COLUMN_NUMBER}, {"pack_bytes", "STORED", COLUMN_SIZE},
        {"free_bytes", "FREE", COLUMN_SIZE}, {0},
    };
    AUTO(statements) struct statements repositories = {0}, jobs = {0};
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err) ||
        !ask_status(cli, &status, err))
        return false;
    json_t *rows = json_array();
    for (size_t i = 0; i < repositories.count; i++)
        if (!statement_is_deleted(repositories.items[i]) || args_flag(args, "detached") ||
            repository_is_missed(repositories.items[i], &jobs))
            (void)json_array_append_new(rows, repository_json(cli, repositories.items[i], status));
    output_table(&cli->output, "repositories", columns, rows);
    return witness_heads(cli, status, &repositories, err) && statements_believed(&repositories, err);
}

static void add_path(struct cli *cli, const struct statement *statement, json_t *object)
{
    const Sealift__RepositoryBody *body = statement->body.repository;
    AUTO(secret) struct secret *path = NULL;
    struct err err = {0};
    if (!access_identity_is_free(cli) && !secret_terminal()) return;
    if (sealed_copies_open(cli, body->path, body->n_path, "repository", &statement->id, &path, &err))
        json_set_path(object, "path", span_of(path->data, path->len));
    else
        output_note(&cli->output, "the path is not shown: %s", err.text);
}

/* The label of the points that a job writes into the repository; "" for a copy of all jobs. NULL: it writes
 * to another. */
static const char *label_in(const struct statement *job, const struct id *repository)
{
    const Sealift__JobBody *body = job->body.job;
    if (memcmp(body->repository.data, repository->bytes, ID_LEN) != 0) return NULL;
    return statement_job_label(body);
}

/* Points of this label; with "" those that no job of its own, perhaps deleted, writes there. */
static uint64_t count_points(const struct points *points, const struct statements *jobs,
                             const struct id *repository, const char *label)
{
    uint64_t count = 0;
    for (size_t i = 0; i < points->count; i++) {
        const char *found = points->items[i]->body->job;
        bool taken = false;
        for (size_t at = 0; !*label && !taken && at < jobs->count; at++) {
            const char *other = label_in(jobs->items[at], repository);
            taken = other && strcmp(other, found) == 0;
        }
        count += *label ? strcmp(found, label) == 0 : !taken;
    }
    return count;
}

/* Of each job that writes there: its points, and what its runs have stored, as far as the director remembers
 * them. What a sweep took is not subtracted. */
static bool add_jobs(struct cli *cli, const struct statement *repository, json_t *object, struct err *err)
{
    AUTO(statements) struct statements jobs = {0};
    AUTO(points) struct points points = {0};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err) ||
        !points_get(cli, &repository->id, NULL, POINTS_THERE, &points, err))
        return false;
    AUTO(json) json_t *rows = json_array();
    AUTO(json) json_t *lines = json_array();
    for (size_t i = 0; i < jobs.count; i++) {
        const Sealift__JobBody *job = jobs.items[i]->body.job;
        AUTO(payload_run_list) Sealift__RunListAnswer *runs = NULL;
        const char *label = label_in(jobs.items[i], &repository->id);
        uint64_t stored = 0;
        char size[16];
        if (job->deleted || !label) continue;
        if (!ask_runs(cli, &jobs.items[i]->id, RUNS_MAX, &runs, err)) return false;
        for (size_t at = 0; at < runs->n_rows; at++)
            if (runs->rows[at]->counters) stored += runs->rows[at]->counters->stored_bytes;
        uint64_t count = count_points(&points, &jobs, &repository->id, label);
        size_format(stored, size);
        (void)json_array_append_new(rows, json_pack("{s:s, s:o, s:o}", "job", job->name, "points",
                                                    json_count(count), "stored_bytes", json_count(stored)));
        (void)json_array_append_new(lines,
                                    json_sprintf("%s: %llu %s, %s", job->name, (unsigned long long)count,
                                                 plural(count, "point", "points"), size));
    }
    bool text = cli->output.form == OUTPUT_TEXT;
    (void)json_object_set(object, "jobs", text ? lines : rows);
    return true;
}

/* For people the share that a scheduled check reads stands beside its schedule. */
static void say_sample(json_t *object)
{
    const char *spec = json_string_value(json_object_get(object, "check_schedule"));
    double percent = json_real_value(json_object_get(object, "check_sample_percent"));
    if (!spec || strcmp(spec, "none") == 0) return;
    char words[96];
    (void)snprintf(words, sizeof(words), "%.48s, %.4g %% of the packs each time", spec, percent);
    (void)json_object_set_new(object, "check_schedule", json_string(words));
}

static bool show(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"name", "name", COLUMN_TEXT},
        {"id", "id", COLUMN_TEXT},
        {"transporter", "kept by", COLUMN_TEXT},
        {"path", "path", COLUMN_TEXT},
        {"kind", "kind", COLUMN_TEXT},
        {"state", "state", COLUMN_TEXT},
        {"text", "reported", COLUMN_TEXT},
        {"points", "points", COLUMN_NUMBER},
        {"pack_bytes", "stored", COLUMN_SIZE},
        {"free_bytes", "free", COLUMN_SIZE},
        {"head_number", "log entries", COLUMN_NUMBER},
        {"head_hash", "log head", COLUMN_TEXT},
        {"keep_least", "keeps at least", COLUMN_NUMBER},
        {"check_presence", "last check", COLUMN_WHEN},
        {"check_hash", "last check of packs' bytes", COLUMN_WHEN},
        {"damage_found", "damage found", COLUMN_TEXT},
        {"damage_text", "what was found", COLUMN_TEXT},
        {"checked_percent_30d", "percent checked in 30 days", COLUMN_NUMBER},
        {"swept", "last sweep", COLUMN_WHEN},
        {"check_schedule", "is checked", COLUMN_TEXT},
        {"sweep_schedule", "is swept and pruned", COLUMN_TEXT},
        {"jobs", "stored by the job", COLUMN_TEXT},
        {0},
    };
    AUTO(statements) struct statements repositories = {0};
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    AUTO(payload_run_list) Sealift__RunListAnswer *runs = NULL;
    const struct statement *statement = NULL;
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_named(&repositories, args_operand(args, 0), &statement, err) ||
        !ask_status(cli, &status, err) || !ask_runs(cli, &statement->id, RUNS_MAX, &runs, err))
        return false;
    json_t *object = repository_json(cli, statement, status);
    upkeep_json(statement, status, runs, clock_real_ns(), object);
    upkeep_warn(cli, statement_name(statement), object);
    if (!add_jobs(cli, statement, object, err)) {
        json_decref(object);
        return false;
    }
    add_path(cli, statement, object);
    if (cli->output.form == OUTPUT_TEXT) say_sample(object);
    output_record(&cli->output, columns, object);
    return witness_heads(cli, status, &repositories, err);
}

static const struct option_spec create_options[] = {
    {"on", "TRANSPORTER", "who keeps it"},
    {"path", "DIR",
     "the directory on that host; made if it is not there, and sealed in what the director sees"},
    {"plaintext", NULL, "store without encryption (trusted zone only; for backups with --encrypt none)"},
    {"keep-least", "N", "so many points of a job stay, whatever is asked later"},
    {"keep-age", "TIME", "a point stays at least that long, as 30d"},
    UPKEEP_OPTIONS,
    WAITS_ANYWAY_OPTION,
    {0},
};

static const struct option_spec list_options[] = {
    {"detached", NULL, "all that were ever detached, too"},
    {0},
};

const struct command repository_commands[] = {
    {"repository", "create", "NAME --on TRANSPORTER --path DIR [--plaintext]",
     "Creates a repository and waits until its transporter has made it. The director has it swept weekly and "
     "a\n"
     "thirtieth of it checked daily, unless other schedules are signed with it.",
     "$ sealift repository create offsite --on vault --path /srv/backup\n"
     "offsite is an encrypted-only repository on vault",
     create_options, 1, 1, create},
    {"repository", "list", "[--detached]",
     "Lists the repositories.\n"
     "Among them those that are detached and that jobs would use.",
     "$ sealift repository list\n"
     "NAME     ON     KIND       STATE  POINTS    STORED     FREE\n"
     "offsite  vault  encrypted  open       12  41.2 GiB  1.3 TiB",
     list_options, 0, 0, list},
    {"repository", "show", "NAME", "Shows one repository.",
     "$ sealift repository show offsite\n"
     "name:     offsite\n"
     "kept by:  vault\n"
     "path:     /srv/backup",
     NULL, 1, 1, show},
    {"repository", "set",
     "NAME [--sweep SPEC] [--check SPEC] [--check-sample PERCENT] [--no-maintenance] "
     "[--accept-log]",
     "Signs other schedules for the maintenance of a repository. What is not given stays as it is.",
     "$ sealift repository set offsite --sweep 'weekly sat 22:00' --check 'daily 04:00'\n"
     "offsite: sweeps weekly sat 22:00, checks daily 04:00",
     upkeep_set_options, 1, 1, upkeep_set},
    {"repository", "check", "NAME [--level presence|hash|decrypt|restore] [--sample PERCENT] [--wait]",
     "Checks a repository beside backups and restores. Presence and hash are checked where it is kept, "
     "without "
     "a\nkey; decrypt and restore by a trusted transporter, which opens every point. Ends with 22 (damaged), "
     "23\n(truncated) or 26 (not authentic) if it finds anything, with 20 or 21 if points could not be "
     "opened; what\nis damaged is brought again by the next run of the job. Files are named by restore, and "
     "by decrypt with\n--names: sealed to you alone.",
     "$ sealift repository check offsite --sample 5% --wait\n"
     "repository:      offsite\n"
     "level:           hash\n"
     "verdict:         sound\n"
     "packs checked:   66\n"
     "packs in all:    1318",
     inspect_options, 1, 1, inspect_repository},
    {"repository", "repair", "NAME --from REPOSITORY [--wait]",
     "Brings back what a check found damaged or lost, from a copy. The signed job that copies from there "
     "does "
     "it.\nWithout a copy the next run of the backup job brings back what the source still has.",
     "$ sealift repository repair offsite --from second --wait\n"
     "back: ok: sent 1.2 MiB, stored 1.2 MiB; 0.3 s",
     mend_options, 1, 1, mend_repository},
    {0},
};
