/* sealift repository sessions: who is at work in a repository, and what that keeps from being swept. */
#include "common/base/clock.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/follow.h"
#include "director/cli/statements.h"
#include "director/cli/time_word.h"
#include "director/cli/verbs.h"
#include "director/core/run_state.h"

#include <string.h>

/* Nobody has a session before both hosts are at work, or after the end. */
static bool is_at_work(const Sealift__RunRow *row)
{
    return row->state == SEALIFT__RUN_STATE__RUN_RUNNING || row->state == SEALIFT__RUN_STATE__RUN_COMMITTING;
}

static bool same_id(const ProtobufCBinaryData *bytes, const struct id *id)
{
    return bytes->len == ID_LEN && memcmp(bytes->data, id->bytes, ID_LEN) == 0;
}

static const char *maintenance_word(const Sealift__Maintenance *work)
{
    switch (work ? work->kind : SEALIFT__MAINTENANCE_KIND__MAINTENANCE_NONE) {
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK:
        return "checks";
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE:
        return "prunes";
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP:
        return "sweeps";
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_REINDEX:
        return "indexes anew";
    default:
        return "maintains";
    }
}

/* What the run does in the repository; NULL: nothing. `job`: whose run it is, or NULL. */
static const char *doing(const Sealift__RunRow *row, const struct statement *job, const struct id *repository)
{
    bool copies_from = job && same_id(&job->body.job->from_repository, repository);
    if (!same_id(&row->repository, repository)) return copies_from ? "reads" : NULL;
    if (row->subject == SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY) return maintenance_word(row->work);
    return row->subject == SEALIFT__STATEMENT_TYPE__STATEMENT_JOB ? "writes" : "reads";
}

static json_t *session_json(const Sealift__RunRow *row, const struct statement *job, const char *does)
{
    bool writes = strcmp(does, "writes") == 0;
    uint64_t now_ns = clock_real_ns();
    char since[24] = "";
    if (row->started_ns && row->started_ns < now_ns) time_word_age(now_ns - row->started_ns, since);
    json_t *object =
        json_pack("{s:o, s:o, s:s, s:s, s:o, s:s}", "run", json_hex(row->run.data, row->run.len), "job",
                  job ? json_string(statement_name(job)) : json_null(), "does", does, "state",
                  run_state_name(row->state), "started", json_time(row->started_ns), "since", since);
    uint64_t stored = row->counters ? row->counters->stored_bytes : 0;
    (void)json_object_set_new(object, "stored_bytes", writes ? json_count(stored) : json_null());
    (void)json_object_set_new(object, "pins", json_boolean(writes));
    return object;
}

static json_t *session_rows(const Sealift__StatusAnswer *status, const struct statements *jobs,
                            const struct id *repository)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < status->n_running; i++) {
        const Sealift__RunRow *row = status->running[i];
        struct id id = {{0}};
        if (!is_at_work(row) || row->run.len != ID_LEN || row->job.len != ID_LEN) continue;
        memcpy(id.bytes, row->job.data, ID_LEN);
        const struct statement *job = statements_with_id(jobs, &id);
        const char *does = doing(row, job, repository);
        if (does) (void)json_array_append_new(rows, session_json(row, job, does));
    }
    return rows;
}

static bool sessions(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"run", "RUN", COLUMN_ID},
        {"job", "JOB", COLUMN_TEXT},
        {"does", "DOES", COLUMN_TEXT},
        {"since", "SINCE", COLUMN_TEXT},
        {"stored_bytes", "STORED", COLUMN_SIZE},
        {"pins", "PINS", COLUMN_YES},
        {0},
    };
    AUTO(statements) struct statements repositories = {0}, jobs = {0};
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    const struct statement *repository = NULL;
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err) ||
        !statements_named(&repositories, args_operand(args, 0), &repository, err) ||
        !ask_status(cli, &status, err))
        return false;
    json_t *rows = session_rows(status, &jobs, &repository->id);
    bool none = json_array_size(rows) == 0;
    output_table(&cli->output, "sessions", columns, rows);
    if (none)
        output_note(&cli->output, "nobody is at work in '%s': a sweep waits for nothing",
                    args_operand(args, 0));
    return true;
}

const struct command sessions_commands[] = {
    {"repository", "sessions", "NAME",
     "Lists the runs that are at work in a repository.\n"
     "Those that write pin what a sweep would take: the packs that they have sent, and what was condemned "
     "while "
     "they\nran, until they end. Readers pin nothing: what is moved they find again.",
     "$ sealift repository sessions offsite\n"
     "RUN           JOB  DOES    SINCE   STORED  PINS\n"
     "4c1e09aa71b2  web  writes  4 min  1.2 GiB  yes",
     NULL, 1, 1, sessions},
    {0},
};
