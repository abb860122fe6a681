#include "director/cli/upkeep.h"

#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/inspect.h"
#include "director/cli/put.h"
#include "director/cli/time_word.h"
#include "director/core/agenda.h"

#include <string.h>

#define NS_PER_S UINT64_C(1000000000)
#define SHARE_NS (UINT64_C(30) * 86400 * NS_PER_S)
enum { SLACK_S = 3600 };

/* --- what was typed --- */

static bool take_spec(const struct args *args, const char *option, char **out, struct err *err)
{
    static const struct id any = {{0}};
    struct schedule schedule;
    const char *text = args_value(args, option);
    if (!text) return true;
    *out = lent_text(text);
    return schedule_parse(text, &any, &schedule, err) || err_wrap(err, "--%s", option);
}

bool upkeep_read(const struct args *args, Sealift__RepositoryBody *body, struct err *err)
{
    const char *sample = args_value(args, "check-sample");
    if (args_flag(args, "no-maintenance")) {
        if (args_value(args, "sweep") || args_value(args, "check"))
            return err_set(err, ERR_USAGE, "--no-maintenance goes with neither --sweep nor --check");
        body->sweep = body->check = lent_text("none");
    }
    return take_spec(args, "sweep", &body->sweep, err) && take_spec(args, "check", &body->check, err) &&
           (!sample || inspect_parse_sample(sample, &body->check_ppm, err));
}

enum { PPM_OF_PERCENT = 10000 };

/* --- what is told --- */

static const Sealift__ScheduleRow *row_of(const Sealift__StatusAnswer *status, const struct id *repository,
                                          Sealift__MaintenanceKind kind)
{
    for (size_t i = 0; i < status->n_schedules; i++) {
        const Sealift__ScheduleRow *row = status->schedules[i];
        if (row->work && row->work->kind == kind && row->repository.len == ID_LEN &&
            memcmp(row->repository.data, repository->bytes, ID_LEN) == 0)
            return row;
    }
    return NULL;
}

/* Two periods without an end are too much. */
static bool is_overdue(const Sealift__ScheduleRow *row, uint64_t now_ns, uint64_t *for_ns)
{
    uint64_t last_ns = row->good_ns > row->since_ns ? row->good_ns : row->since_ns;
    if (row->period_s == 0 || now_ns <= last_ns) return false;
    *for_ns = now_ns - last_ns;
    return *for_ns / NS_PER_S > 2 * row->period_s + SLACK_S;
}

static void add_one(const Sealift__ScheduleRow *row, const char *what, const char *key, const char *spec,
                    uint64_t now_ns, json_t *object, json_t *overdue)
{
    char age[24];
    uint64_t for_ns = 0;
    (void)json_object_set_new(object, key, json_string(spec));
    if (!row || !is_overdue(row, now_ns, &for_ns)) return;
    time_word_age(for_ns, age);
    (void)json_array_append_new(overdue,
                                json_sprintf("the %s is overdue: none came to its end for %s", what, age));
}

/* Samples go around, so that what they read adds up. */
static double checked_percent(const Sealift__RunListAnswer *runs, uint64_t pack_bytes, uint64_t now_ns)
{
    double read = 0;
    for (size_t i = 0; i < runs->n_rows; i++) {
        const Sealift__RunRow *row = runs->rows[i];
        bool check = row->work && row->work->kind == SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK &&
                     row->work->level == SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH &&
                     row->work->about.len == 0 && row->counters;
        if (check && row->started_ns + SHARE_NS >= now_ns) read += (double)row->counters->content_bytes;
    }
    if (pack_bytes == 0) return 100;
    double percent = read * 100 / (double)pack_bytes;
    return percent > 100 ? 100 : percent;
}

void upkeep_json(const struct statement *repository, const Sealift__StatusAnswer *status,
                 const Sealift__RunListAnswer *runs, uint64_t now_ns, json_t *object)
{
    const Sealift__RepositoryBody *body = repository->body.repository;
    const Sealift__RepositoryState *state = status_of_repository(status, &repository->id);
    json_t *overdue = json_array();
    add_one(row_of(status, &repository->id, SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP), "sweep",
            "sweep_schedule", body->sweep[0] ? body->sweep : AGENDA_SWEEP_DEFAULT, now_ns, object, overdue);
    add_one(row_of(status, &repository->id, SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK), "check",
            "check_schedule", body->check[0] ? body->check : AGENDA_CHECK_DEFAULT, now_ns, object, overdue);
    uint32_t sample_ppm = body->check_ppm ? body->check_ppm : AGENDA_SAMPLE_DEFAULT;
    (void)json_object_set_new(object, "check_sample_percent", json_real(sample_ppm / (double)PPM_OF_PERCENT));
    (void)json_object_set_new(
        object, "checked_percent_30d",
        json_integer((json_int_t)checked_percent(runs, state ? state->pack_bytes : 0, now_ns)));
    (void)json_object_set_new(object, "overdue", overdue);
    inspect_ages(runs, object);
    inspect_damage(runs, object);
}

static void warn_of_damage(const struct cli *cli, const char *repository, const json_t *object)
{
    const char *found = json_string_value(json_object_get(object, "damage_found"));
    const char *level = json_string_value(json_object_get(object, "damage_level"));
    if (!found) return;
    output_warning(
        &cli->output,
        "repository '%s': the check by %s that ended at %s found damage (%s), and none of all of it "
        "was sound since: 'sealift repository check %s --level %s --wait' tells what is hit, "
        "docs/operations.md, 'A check found damage', what to do",
        repository, level, found, json_string_value(json_object_get(object, "damage_text")), repository,
        level);
}

#define FREE_LEAST (INT64_C(1) << 30)

/* Where the file system is large, backups stop sooner: that is known there only. */
static void warn_of_room(const struct cli *cli, const char *repository, const json_t *object)
{
    char free_text[16];
    const json_t *free_bytes = json_object_get(object, "free_bytes");
    const char *state = json_string_value(json_object_get(object, "state"));
    if (!json_is_integer(free_bytes) || json_integer_value(free_bytes) >= FREE_LEAST || !state ||
        strcmp(state, "open") != 0)
        return;
    size_format((uint64_t)json_integer_value(free_bytes), free_text);
    output_warning(&cli->output,
                   "repository '%s': only %s are free there, and backups stop below 1.0 GiB: "
                   "docs/operations.md, 'Full disk'",
                   repository, free_text);
}

void upkeep_warn(const struct cli *cli, const char *repository, const json_t *object)
{
    const json_t *overdue = json_object_get(object, "overdue");
    warn_of_damage(cli, repository, object);
    warn_of_room(cli, repository, object);
    for (size_t i = 0; i < json_array_size(overdue); i++)
        output_warning(&cli->output, "repository '%s': %s", repository,
                       json_string_value(json_array_get(overdue, i)));
}

/* --- set --- */

/* Signing a repository anew takes its log for good as it is now. */
static bool log_is_believed(struct cli *cli, const struct args *args, const struct statement *repository,
                            struct err *err)
{
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    if (!ask_status(cli, &status, err)) return false;
    const Sealift__RepositoryState *state = status_of_repository(status, &repository->id);
    if (!state || state->code != ERR_NOT_AUTHENTIC || args_flag(args, "accept-log")) return true;
    return err_set(err, ERR_NOT_AUTHENTIC, "%s; signing it anew takes the log as it is now: --accept-log",
                   state->text);
}

static bool says_something(const struct args *args)
{
    return args_value(args, "sweep") || args_value(args, "check") || args_value(args, "check-sample") ||
           args_flag(args, "no-maintenance") || args_flag(args, "accept-log");
}

bool upkeep_set(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(statements) struct statements repositories = {0};
    const struct statement *repository = NULL;
    const char *name = args_operand(args, 0);
    if (!says_something(args))
        return err_set(err, ERR_USAGE,
                       "say what is to be another: one of --sweep, --check, --check-sample, "
                       "--no-maintenance, --accept-log");
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_named(&repositories, name, &repository, err))
        return false;
    Sealift__RepositoryBody body = *repository->body.repository;
    if (!upkeep_read(args, &body, err) || !log_is_believed(cli, args, repository, err)) return false;
    const struct put_request request = {
        .type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, .id = repository->id, .body = &body};
    if (!put_statement(cli, &request, NULL, NULL, err)) return false;
    const char *sweep = body.sweep[0] ? body.sweep : AGENDA_SWEEP_DEFAULT;
    const char *check = body.check[0] ? body.check : AGENDA_CHECK_DEFAULT;
    output_line(
        &cli->output,
        json_pack("{s:s, s:s, s:s}", "repository", name, "sweep_schedule", sweep, "check_schedule", check),
        "%s: sweeps %s, checks %s", name, sweep, check);
    return true;
}

const struct option_spec upkeep_set_options[] = {
    UPKEEP_OPTIONS,
    {"accept-log", NULL, "although its log stepped back or forked: believe it as it is now"},
    {0},
};
