/* sealift job … */
#include "common/base/text.h"
#include "common/crypto/frame.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/confirm.h"
#include "director/cli/job_create.h"
#include "director/cli/job_edit.h"
#include "director/cli/job_keys.h"
#include "director/cli/job_pace.h"
#include "director/cli/job_rules.h"
#include "director/cli/job_run.h"
#include "director/cli/pair.h"
#include "director/cli/put.h"
#include "director/cli/statements.h"
#include "director/cli/time_word.h"
#include "director/cli/verbs.h"

#include <stdio.h>
#include <string.h>

static const char *placement_name(Sealift__Placement placement)
{
    switch (placement) {
    case SEALIFT__PLACEMENT__PLACE_SOURCE:
        return "source";
    case SEALIFT__PLACEMENT__PLACE_TARGET:
        return "target";
    case SEALIFT__PLACEMENT__PLACE_PLAIN:
        return "none";
    case SEALIFT__PLACEMENT__PLACE_AS_STORED:
        return "as stored";
    default:
        return "?";
    }
}

/* --- list, show --- */

struct job_tables {
    struct statements jobs, repositories;
    struct link_table links;
};
static void job_tables_deinit(struct job_tables *tables)
{
    statements_deinit(&tables->jobs);
    statements_deinit(&tables->repositories);
    link_table_deinit(&tables->links);
}
DEFINE_AUTO_IN_PLACE(job_tables, struct job_tables, job_tables_deinit)

static bool get_tables(struct cli *cli, struct job_tables *out, struct err *err)
{
    return statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &out->jobs, err) &&
           statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &out->repositories, err) &&
           pair_links(cli, &out->links, err);
}

/* What the job says of how its hosts meet, and how they do. */
static void add_way(const struct cli *cli, const Sealift__JobBody *body, const struct job_tables *tables,
                    json_t *object)
{
    struct way_wish own = pair_job_wish(body);
    struct pair pair;
    json_t *way = json_object();
    if (pair_of_job(cli, body, &tables->repositories, &pair)) pair_json(&tables->links, &own, &pair, way);
    (void)json_object_set_new(object, "connection", json_string(connection_name(own.connection)));
    (void)json_object_set_new(object, "proxy", own.proxy[0] ? json_string(own.proxy) : json_null());
    job_pace_json(body, object);
    (void)json_object_set(object, "dials", json_object_get(way, "dials"));
    (void)json_object_set_new(object, "way", way);
}

static json_t *job_json(const struct cli *cli, const struct statement *job, const struct job_tables *tables)
{
    const struct statements *repositories = &tables->repositories;
    const Sealift__JobBody *body = job->body.job;
    char source[IDENTITY_NAME_MAX + 1], repository[IDENTITY_NAME_MAX + 1], from[IDENTITY_NAME_MAX + 1] = "";
    struct id to_id, from_id;
    bool copy = body->kind == SEALIFT__JOB_KIND__JOB_COPY;
    memcpy(to_id.bytes, body->repository.data, ID_LEN);
    access_name_of(cli, body->source.data, source);
    statements_name_of(repositories, &to_id, repository);
    if (copy) {
        memcpy(from_id.bytes, body->from_repository.data, ID_LEN);
        statements_name_of(repositories, &from_id, from);
    }
    json_t *object =
        json_pack("{s:s, s:o, s:s, s:s, s:s}", "name", body->name, "id", json_hex(job->id.bytes, ID_LEN),
                  "kind", copy ? "copy" : "backup", "source", source, "repository", repository);
    (void)json_object_set_new(object, "encrypt", json_string(placement_name(body->placement)));
    (void)json_object_set_new(object, "reencrypt", json_boolean(body->reencrypt));
    (void)json_object_set_new(object, "key", body->key_label[0] ? json_string(body->key_label) : json_null());
    (void)json_object_set_new(object, "dedup_domain",
                              body->domain[0] ? json_string(body->domain) : json_null());
    (void)json_object_set_new(object, "cipher", json_string(cipher_name((enum cipher)body->cipher)));
    (void)json_object_set_new(object, "compress", json_string(body->compressor));
    add_way(cli, body, tables, object);
    job_rules_json(body, object);
    (void)json_object_set_new(object, "from_repository", copy ? json_string(from) : json_null());
    (void)json_object_set_new(object, "from_job",
                              body->from_job[0] ? json_string(body->from_job) : json_null());
    return object;
}

static bool list(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"name", "NAME", COLUMN_TEXT},         {"kind", "KIND", COLUMN_TEXT},
        {"source", "SOURCE", COLUMN_TEXT},     {"repository", "REPOSITORY", COLUMN_TEXT},
        {"encrypt", "ENCRYPT", COLUMN_TEXT},   {"key", "KEY", COLUMN_TEXT},
        {"compress", "COMPRESS", COLUMN_TEXT}, {"connection", "CONNECTION", COLUMN_TEXT},
        {"schedule", "SCHEDULE", COLUMN_TEXT}, {0},
    };
    AUTO(job_tables) struct job_tables tables = {0};
    if (!get_tables(cli, &tables, err)) return false;
    json_t *rows = json_array();
    for (size_t i = 0; i < tables.jobs.count; i++)
        if (!statement_is_deleted(tables.jobs.items[i]))
            (void)json_array_append_new(rows, job_json(cli, tables.jobs.items[i], &tables));
    output_table(&cli->output, "jobs", columns, rows);
    return statements_believed(&tables.jobs, err);
}

/* Appends the paths; where one is not UTF-8, also as hex. */
static void set_paths(json_t *object, const char *key, const ProtobufCBinaryData *items, size_t count)
{
    json_t *list = json_array(), *hex = json_array();
    bool exact = true;
    for (size_t i = 0; i < count; i++) {
        json_t *text = json_stringn((const char *)items[i].data, items[i].len);
        if (!text) exact = false;
        (void)json_array_append_new(list, text ? text : json_lossy(span_of(items[i].data, items[i].len)));
        (void)json_array_append_new(hex, json_hex(items[i].data, items[i].len));
    }
    (void)json_object_set_new(object, key, list);
    char name[32];
    (void)snprintf(name, sizeof(name), "%s_hex", key);
    if (exact)
        json_decref(hex);
    else
        (void)json_object_set_new(object, name, hex);
}

static void add_plan(struct cli *cli, const struct statement *job, json_t *object)
{
    const Sealift__JobBody *body = job->body.job;
    AUTO(secret) struct secret *bytes = NULL;
    AUTO(plan_backup) Sealift__BackupPlan *plan = NULL;
    struct err err = {0};
    if (body->n_plan == 0 || (!access_identity_is_free(cli) && !secret_terminal())) return;
    if (!sealed_copies_open(cli, body->plan, body->n_plan, "job", &job->id, &bytes, &err) ||
        !plan_backup_decode(span_of(bytes->data, bytes->len), &plan, &err)) {
        output_note(&cli->output, "the paths are not shown: %s", err.text);
        return;
    }
    (void)json_object_set_new(object, "object", json_string(plan->object[0] ? plan->object : "tree"));
    if (plan->stream[0]) (void)json_object_set_new(object, "stream", json_string(plan->stream));
    (void)json_object_set_new(object, "before", plan->before[0] ? json_string(plan->before) : json_null());
    (void)json_object_set_new(object, "after", plan->after[0] ? json_string(plan->after) : json_null());
    set_paths(object, "paths", plan->paths, plan->n_paths);
    set_paths(object, "excludes", plan->excludes, plan->n_excludes);
    (void)json_object_set_new(object, "one_file_system", json_boolean(plan->one_file_system != 0));
}

/* Which of the key's protectors the points carry. */
static void add_subset(struct cli *cli, const Sealift__JobBody *body, const struct statements *repositories,
                       json_t *object)
{
    AUTO(keys) struct keys keys = {0};
    AUTO(buf) struct buf words = {0};
    struct err err = {0};
    if (body->key_id.len != HASH_LEN) return;
    if (!keys_get(cli, &keys, &err)) {
        output_note(&cli->output, "which protectors its points carry is not shown: %s", err.text);
        return;
    }
    json_t *kms = job_keys_subset_json(&keys, body, repositories);
    key_subset_words(kms, &words);
    (void)json_object_set_new(object, "kms", kms);
    if (cli->output.form == OUTPUT_TEXT && json_is_array(kms))
        (void)json_object_set_new(object, "protectors", json_string(buf_cstr(&words)));
}

static bool show(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"name", "name", COLUMN_TEXT},
        {"kind", "kind", COLUMN_TEXT},
        {"source", "source", COLUMN_TEXT},
        {"object", "object", COLUMN_TEXT},
        {"paths", "paths", COLUMN_TEXT},
        {"stream", "stream", COLUMN_TEXT},
        {"before", "before", COLUMN_TEXT},
        {"after", "after", COLUMN_TEXT},
        {"excludes", "excludes", COLUMN_TEXT},
        {"from_repository", "copies from", COLUMN_TEXT},
        {"from_job", "of the job", COLUMN_TEXT},
        {"repository", "repository", COLUMN_TEXT},
        {"encrypt", "encrypt", COLUMN_TEXT},
        {"key", "key", COLUMN_TEXT},
        {"protectors", "points carry", COLUMN_TEXT},
        {"dedup_domain", "dedup domain", COLUMN_TEXT},
        {"cipher", "cipher", COLUMN_TEXT},
        {"compress", "compress", COLUMN_TEXT},
        {"connection", "connection", COLUMN_TEXT},
        {"proxy", "proxy", COLUMN_TEXT},
        {"dials", "who dials", COLUMN_TEXT},
        {"bandwidth", "bandwidth", COLUMN_TEXT},
        {"priority", "priority", COLUMN_NUMBER},
        {"schedule", "schedule", COLUMN_SOME},
        {"keep", "keeps", COLUMN_TEXT},
        {"id", "id", COLUMN_TEXT},
        {0},
    };
    AUTO(job_tables) struct job_tables tables = {0};
    const struct statement *job = NULL;
    if (!get_tables(cli, &tables, err) || !statements_named(&tables.jobs, args_operand(args, 0), &job, err))
        return false;
    json_t *object = job_json(cli, job, &tables);
    add_plan(cli, job, object);
    add_subset(cli, job->body.job, &tables.repositories, object);
    if (cli->output.form == OUTPUT_TEXT)
        (void)json_object_set_new(object, "keep", job_rules_keep_words(job->body.job));
    output_record(&cli->output, columns, object);
    return true;
}

/* --- delete --- */

static bool delete_job(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(statements) struct statements jobs = {0};
    const struct statement *job = NULL;
    char question[256];
    const char *name = args_operand(args, 0);
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err) ||
        !statements_named(&jobs, name, &job, err))
        return false;
    (void)snprintf(question, sizeof(question), "delete the job '%s' (its points stay)", name);
    if (!confirm(args, question, err)) return false;
    Sealift__JobBody body = *job->body.job;
    body.deleted = 1;
    const struct put_request request = {
        .type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, .id = job->id, .body = &body};
    if (!put_statement(cli, &request, NULL, NULL, err)) return false;
    output_line(&cli->output, json_pack("{s:s, s:b}", "job", name, "deleted", 1),
                "%s is deleted; its points stay", name);
    return true;
}

/* --- rebuild-cache --- */

static bool rebuild_cache(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(statements) struct statements jobs = {0};
    const struct statement *job = NULL;
    const char *name = args_operand(args, 0);
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err) ||
        !statements_named(&jobs, name, &job, err))
        return false;
    Sealift__JobBody body = *job->body.job;
    if (body.kind == SEALIFT__JOB_KIND__JOB_COPY)
        return err_set(err, ERR_USAGE, "'%s' is a copy: it reads no files and has no cache", name);
    body.cache_epoch++;
    const struct put_request request = {
        .type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, .id = job->id, .body = &body};
    if (!put_statement(cli, &request, NULL, NULL, err)) return false;
    output_line(&cli->output, json_pack("{s:s, s:b}", "job", name, "cache_dropped", 1),
                "%s: the next run reads everything again", name);
    return true;
}

static const struct option_spec delete_options[] = {
    CONFIRM_OPTION,
    {0},
};
static const struct option_spec run_options[] = {
    WAIT_OPTION,
    {"stats", "N",
     "where there is no terminal: progress at least every N seconds (0: each tenth only; default 10)"},
    {0},
};
static const struct option_spec history_options[] = {
    {"limit", "N", "at most so many runs, the newest (default 20)"},
    {0},
};

const struct command job_commands[] = {
    {"job", "create",
     "NAME --backup TRANSPORTER:PATH [PATH…] --repository R --encrypt source|target|none [--key K] "
     "[options]\n"
     "       sealift job create NAME --image TRANSPORTER:DEVICE-OR-FILE --repository R …\n"
     "       sealift job create NAME --stream TRANSPORTER:NAME --repository R …\n"
     "       sealift job create NAME --copy JOB|REPOSITORY --repository R2 [--encrypt source|target --key K2 "
     "[--reencrypt]]",
     "Makes a job: a plan that operators sign, and that runs when it is told to. What is backed up is "
     "sealed: the\n"
     "director does not see it. The side that encrypts is given the write half of the key, and nothing more.",
     "$ sealift job create web --backup web1:/srv/www --exclude '*.log' --repository offsite --encrypt "
     "source --key main\n"
     "granted the write half of 'main' to 'web1', for the deduplication domain t:web1\n"
     "web backs up web1 to offsite, encrypted on the source with the key main",
     job_create_options, 1, OPERANDS_MANY, job_create},
    {"job", "list", "", "Lists the jobs.",
     "$ sealift job list\n"
     "NAME  KIND    SOURCE  REPOSITORY  ENCRYPT  KEY   COMPRESS  CONNECTION  SCHEDULE\n"
     "web   backup  web1    offsite     source   main  lz4       link        daily 02:30",
     NULL, 0, 0, list},
    {"job", "show", "NAME", "Shows one job. Its paths are sealed to the operators.",
     "$ sealift job show web\n"
     "name:    web\n"
     "source:  web1\n"
     "paths:   /srv/www",
     NULL, 1, 1, show},
    {"job", "edit", "NAME [--schedule SPEC] [--keep-daily N] [--bandwidth RULE] [options]",
     "Signs a job anew, with what is said here and all else as it was. Runs that wait go by it; one that "
     "runs\ntakes the new bandwidth, and goes on as it began in all else. What is kept is asked of all "
     "points of the\njob, the earlier ones too, when they are next pruned.",
     "$ sealift job edit web --schedule 'daily 02:30' --keep-daily 14 --connection reverse\n"
     "web: signed anew; started daily 02:30, keeps daily 14; bandwidth unlimited, priority 3; vault dials "
     "web1",
     job_edit_options, 1, 1, job_edit},
    {"job", "run", "NAME [--wait] [--stats N]",
     "Runs a job now. With --wait it ends when the run does, with its exit code: 1 means done with "
     "warnings.\n"
     "Ctrl-C leaves the run alone.",
     "$ sealift job run web --wait\n"
     "web: ok, point 3f2a91c0d4e7: 1204 entries, 1180 files, 1.2 GiB; deduplicated 1.1 GiB, sent 61.0 MiB, "
     "stored\n"
     "60.2 MiB; 2.1 s",
     run_options, 1, 1, job_run},
    {"job", "stop", "NAME|RUN",
     "Stops the active run of a job. What is already durable counts for the next one.",
     "$ sealift job stop web\n"
     "web: the run 8c11d0a2f3b4 is being stopped",
     NULL, 1, 1, job_stop},
    {"job", "delete", "NAME [--yes]", "Deletes a job. Its recovery points stay.",
     "$ sealift job delete web --yes\n"
     "web is deleted; its points stay",
     delete_options, 1, 1, delete_job},
    {"job", "rebuild-cache", "NAME",
     "Makes the source forget what it knows of earlier runs of a job: the next run reads every file again.\n"
     "What is stored already is not stored twice.",
     "$ sealift job rebuild-cache web\n"
     "web: the next run reads everything again",
     NULL, 1, 1, rebuild_cache},
    {"job", "history", "NAME [--limit N]", "Lists the runs of a job, the newest first.",
     "$ sealift job history web\n"
     "RUN           STATE  STARTED               TOOK   FILES     SIZE    STORED  WARNINGS  POINT         "
     "CIPHER       KEY   FINGERPRINT  TEXT\n"
     "8c11d0a2f3b4  ok     2026-11-20T03:00:00Z  2.1 s   1180  1.2 GiB  60.2 MiB         0  3f2a91c0d4e7  "
     "aes-256-gcm  main  ABCD-EFGH    -",
     history_options, 1, 1, job_history},
    {"job", "log", "NAME|RUN",
     "Shows one run with its warnings: by the start of its id, or the newest of a job.",
     "$ sealift job log web\n"
     "run:    8c11d0a2f3b4…\n"
     "state:  ok",
     NULL, 1, 1, job_log},
    {0},
};
