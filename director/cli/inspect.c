#include "director/cli/inspect.h"

#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/maintain.h"
#include "director/cli/point.h"
#include "director/cli/put.h"
#include "director/cli/recover.h"
#include "director/cli/verify.h"
#include "director/core/run_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STATS_S = 10, PPM_OF_PERCENT = 10000, ALL_PPM = 1000000 };

#define LEVEL(name) SEALIFT__CHECK_LEVEL__CHECK_LEVEL_##name

/* --- what was typed --- */

bool inspect_parse_sample(const char *text, uint32_t *out, struct err *err)
{
    uint32_t ppm = 0, unit = PPM_OF_PERCENT;
    const char *at = text;
    bool digits = false, point = false;
    for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        digits = true;
        if (point) unit /= 10;
        ppm = point ? ppm + (uint32_t)(*at - '0') * unit : ppm * 10 + (uint32_t)(*at - '0') * unit;
        if (ppm > ALL_PPM) break;
    }
    if (*at == ' ') at++;
    if (!digits || strcmp(at, "%") != 0 || ppm == 0 || ppm > ALL_PPM)
        return err_set(err, ERR_USAGE, "a sample is a share of the packs as '5%%' or '0.5%%', not '%s'",
                       text);
    *out = ppm;
    return true;
}

static const char *const level_names[] = {
    [LEVEL(PRESENCE)] = "presence",
    [LEVEL(HASH)] = "hash",
    [LEVEL(DECRYPT)] = "decrypt",
    [LEVEL(RESTORE)] = "restore",
};

static const char *level_name(Sealift__CheckLevel level)
{
    bool known = level >= LEVEL(PRESENCE) && level <= LEVEL(RESTORE);
    return known ? level_names[level] : "?";
}

static bool take_level(const char *text, Sealift__CheckLevel *out, struct err *err)
{
    *out = LEVEL(HASH);
    if (!text) return true;
    for (*out = LEVEL(PRESENCE); *out <= LEVEL(RESTORE); ++*out)
        if (strcmp(text, level_names[*out]) == 0) return true;
    return err_set(err, ERR_USAGE, "a level is 'presence', 'hash', 'decrypt' or 'restore', not '%s'", text);
}

/* What was asked for, whoever does it. */
struct inquiry {
    Sealift__CheckLevel level;
    uint32_t sample_ppm;
    unsigned stats_s;
};

static bool needs_key(const struct inquiry *inquiry)
{
    return inquiry->level == LEVEL(DECRYPT) || inquiry->level == LEVEL(RESTORE);
}

static bool take_inquiry(const struct args *args, struct inquiry *out, struct err *err)
{
    static const char *const of_keys[] = {"at", "password-file", "password-fd"};
    *out = (struct inquiry){.stats_s = STATS_S};
    if (!take_level(args_value(args, "level"), &out->level, err) ||
        !args_number(args, "stats", 0, 86400, &out->stats_s, err))
        return false;
    for (size_t i = 0; i < sizeof(of_keys) / sizeof(of_keys[0]); i++)
        if (!needs_key(out) && args_value(args, of_keys[i]))
            return err_set(err, ERR_USAGE, "--%s is for --level decrypt and restore: the others need no key",
                           of_keys[i]);
    if (args_flag(args, "names") && !needs_key(out))
        return err_set(err, ERR_USAGE, "--names needs a key: it is for --level decrypt");
    if (args_flag(args, "afresh") && !needs_key(out))
        return err_set(err, ERR_USAGE, "--afresh is for --level decrypt and restore");
    return true;
}

static bool take_sample(const struct args *args, struct inquiry *out, struct err *err)
{
    const char *sample = args_value(args, "sample");
    if (!sample) return true;
    if (out->level == LEVEL(PRESENCE))
        return err_set(err, ERR_USAGE, "--sample is not for --level presence, which reads no packs");
    return inspect_parse_sample(sample, &out->sample_ppm, err);
}

/* --- what was found --- */

const char *inspect_verdict(uint64_t findings)
{
    return findings ? "damaged" : "sound";
}

const char *inspect_kind(enum err_code code)
{
    return code == ERR_NONE ? "note" : output_error_name(code);
}

static json_t *finding_json(const Sealift__Finding *finding)
{
    json_t *points = json_array();
    enum err_code code = finding->code ? client_code(finding->code) : ERR_NONE;
    if (code == ERR_NOT_FOUND) code = ERR_DAMAGED; /* what a repository lacks */
    for (size_t i = 0; i < finding->n_points; i++)
        (void)json_array_append_new(points, json_hex(finding->points[i].data, finding->points[i].len));
    json_t *row = json_pack("{s:s, s:o, s:s, s:o, s:o}", "kind", inspect_kind(code), "code",
                            json_integer(finding->code ? err_exit_code(code) : 0), "object", finding->object,
                            "text", json_lossy(span_str(finding->text)), "points", points);
    (void)json_object_set_new(row, "point_count", json_count(finding->n_points));
    if (finding->path.len) {
        AUTO(buf) struct buf rooted = {0};
        buf_put_u8(&rooted, '/');
        buf_put_span(&rooted, stored_span(&finding->path));
        json_set_path(row, "path", buf_span(&rooted));
    }
    return row;
}

void inspect_add_findings(const Sealift__Warnings *found, json_t *rows)
{
    for (size_t i = 0; i < found->n_findings; i++)
        (void)json_array_append_new(rows, finding_json(found->findings[i]));
}

void inspect_put_findings(struct cli *cli, json_t *rows, json_t *object)
{
    static const struct column columns[] = {
        {"kind", "KIND", COLUMN_TEXT},
        {"object", "OBJECT", COLUMN_TEXT},
        {"point_count", "POINTS HIT", COLUMN_NUMBER},
        {"text", "WHAT", COLUMN_TEXT},
        {0},
    };
    static const struct column with_files[] = {
        {"kind", "KIND", COLUMN_TEXT},
        {"object", "OBJECT", COLUMN_TEXT},
        {"point_count", "POINTS HIT", COLUMN_NUMBER},
        {"text", "WHAT", COLUMN_TEXT},
        {"path", "FILE", COLUMN_TEXT},
        {0},
    };
    bool files = false;
    for (size_t i = 0; i < json_array_size(rows); i++)
        files = files || json_object_get(json_array_get(rows, i), "path");
    if (cli->output.form == OUTPUT_JSON)
        (void)json_object_set_new(object, "findings", rows);
    else if (json_array_size(rows) > 0)
        output_table(&cli->output, "findings", files ? with_files : columns, rows);
    else
        json_decref(rows);
}

static json_t *not_checked(const Sealift__CheckReport *report)
{
    json_t *lines = json_array();
    if (report->level == LEVEL(PRESENCE))
        (void)json_array_append_new(lines, json_string("the bytes of packs: --level hash reads them"));
    else if (report->packs < report->packs_total)
        (void)json_array_append_new(lines,
                                    json_sprintf("the bytes of %" PRIu64 " of %" PRIu64
                                                 " packs: the checks that follow go on there",
                                                 report->packs_total - report->packs, report->packs_total));
    (void)json_array_append_new(
        lines, json_string("that chunks open to their ids: --level decrypt or restore, with a key"));
    return lines;
}

static void add_report(const Sealift__CheckReport *report, json_t *object)
{
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {
        {"points", report->points},           {"packs", report->packs},
        {"packs_total", report->packs_total}, {"packs_of_earlier_run", report->resumed_packs},
        {"bytes_read", report->bytes_read},   {"bytes_total", report->bytes_total},
        {"frames", report->frames},           {"finding_count", report->findings},
    };
    (void)json_object_set_new(object, "level", json_string(level_name(report->level)));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        (void)json_object_set_new(object, counts[i].key, json_count(counts[i].value));
    (void)json_object_set_new(
        object, "sample_percent",
        json_real((report->sample_ppm ? report->sample_ppm : ALL_PPM) / (double)PPM_OF_PERCENT));
    (void)json_object_set_new(object, "all_read_since",
                              report->whole_since_ns ? json_time(report->whole_since_ns) : json_null());
    (void)json_object_set_new(object, "not_checked", not_checked(report));
}

void inspect_show(struct cli *cli, const struct follow_result *result, json_t *object)
{
    AUTO(payload_warnings) Sealift__Warnings *warnings = NULL;
    struct err err = {0};
    if (result->warnings.len == 0) return;
    if (!payload_warnings_decode(buf_span(&result->warnings), &warnings, &err)) {
        output_warning(&cli->output, "the findings of the run: %s", err.text);
        return;
    }
    if (!warnings->check) return;
    json_t *rows = json_array();
    inspect_add_findings(warnings, rows);
    add_report(warnings->check, object);
    inspect_put_findings(cli, rows, object);
}

/* --- the verb --- */

/* A check by the owner: of a repository, or of a point in it. */
struct inspection {
    struct cli *cli;
    const char *kind, *name; /* "repository" or "point", and which */
    struct id run;
    unsigned stats_s;
};

/* Whether it found anything. */
static bool answer(const struct inspection *inspection, const struct follow_result *result)
{
    static const struct column columns[] = {
        {"repository", "repository", COLUMN_TEXT},
        {"point", "point", COLUMN_TEXT},
        {"level", "level", COLUMN_TEXT},
        {"verdict", "verdict", COLUMN_TEXT},
        {"finding_count", "findings", COLUMN_NUMBER},
        {"points", "points", COLUMN_NUMBER},
        {"packs", "packs checked", COLUMN_NUMBER},
        {"packs_total", "packs in all", COLUMN_NUMBER},
        {"frames", "frames", COLUMN_NUMBER},
        {"bytes_read", "read", COLUMN_SIZE},
        {"bytes_total", "stored", COLUMN_SIZE},
        {"all_read_since", "all read since", COLUMN_TEXT},
        {"not_checked", "not checked", COLUMN_TEXT},
        {0},
    };
    if (result->interrupted) return false;
    json_t *object = json_pack("{s:s, s:o}", inspection->kind, inspection->name, "run",
                               json_hex(inspection->run.bytes, ID_LEN));
    bool ok = result->state == SEALIFT__RUN_STATE__RUN_OK;
    inspect_show(inspection->cli, result, object);
    bool found = json_integer_value(json_object_get(object, "finding_count")) > 0;
    (void)json_object_set_new(object, "state", json_string(run_state_name(result->state)));
    (void)json_object_set_new(
        object, "verdict",
        json_string(found || ok ? inspect_verdict(found) : "not known: the check did not end"));
    output_record(&inspection->cli->output, columns, object);
    return found;
}

static bool wait_for(const struct inspection *inspection, struct err *err)
{
    char hex[2 * ID_LEN + 1], what[IDENTITY_NAME_MAX + 64], stop[64];
    hex_encode(inspection->run.bytes, ID_LEN, hex);
    (void)snprintf(what, sizeof(what), "the check of '%s'", inspection->name);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %.12s", hex);
    const struct follow_request request = {.run = inspection->run,
                                           .from = FOLLOW_STARTED,
                                           .what = what,
                                           .stop = stop,
                                           .stats_s = inspection->stats_s};
    AUTO(follow_result) struct follow_result result = {0};
    if (!follow_run(inspection->cli, &request, &result, err)) return false;
    bool found = answer(inspection, &result);
    bool sound = follow_conclude(inspection->cli, &request, &result, err);
    if (found)
        output_note(&inspection->cli->output,
                    "points that no finding names restore as ever; what to do now stands in "
                    "docs/operations.md, 'A check found damage'");
    return sound;
}

static struct verify_request request_of(const struct args *args, const struct inquiry *inquiry)
{
    bool whole = inquiry->level == LEVEL(RESTORE);
    return (struct verify_request){.level = whole ? SEALIFT__VERIFY_LEVEL__VERIFY_RESTORE
                                                  : SEALIFT__VERIFY_LEVEL__VERIFY_DECRYPT,
                                   .sample_ppm = inquiry->sample_ppm,
                                   .names = args_flag(args, "names"),
                                   .afresh = args_flag(args, "afresh"),
                                   .at = args_value(args, "at"),
                                   .stats_s = inquiry->stats_s};
}

bool inspect_repository(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(statements) struct statements repositories = {0};
    const struct statement *repository = NULL;
    Sealift__Maintenance work = SEALIFT__MAINTENANCE__INIT;
    const char *name = args_operand(args, 0);
    struct inspection inspection = {.cli = cli, .kind = "repository", .name = name};
    struct inquiry inquiry;
    if (!take_inquiry(args, &inquiry, err) || !take_sample(args, &inquiry, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_named(&repositories, name, &repository, err))
        return false;
    if (needs_key(&inquiry)) {
        const struct verify_request request = request_of(args, &inquiry);
        return verify_repository(cli, args, &request, repository, err);
    }
    work.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK;
    work.level = inquiry.level;
    work.sample_ppm = inquiry.sample_ppm;
    inspection.stats_s = inquiry.stats_s;
    if (!maintain_start(cli, &repository->id, &work, &inspection.run, err)) return false;
    if (args_flag(args, "wait")) return wait_for(&inspection, err);
    char hex[2 * ID_LEN + 1];
    hex_encode(inspection.run.bytes, ID_LEN, hex);
    output_line(&cli->output, json_pack("{s:s, s:s}", "repository", name, "run", hex),
                "%s: the check %.12s is queued; 'sealift job log %.12s' shows what it found", name, hex, hex);
    return true;
}

bool inspect_point(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(point) struct point *point = NULL;
    Sealift__Maintenance work = SEALIFT__MAINTENANCE__INIT;
    char hex[2 * ID_LEN + 1];
    struct inspection inspection = {.cli = cli, .kind = "point", .name = hex};
    struct inquiry inquiry;
    if (!take_inquiry(args, &inquiry, err) ||
        !point_resolve(cli, args_operand(args, 0), args_value(args, "repository"), &point, err))
        return false;
    hex_encode(point->id.bytes, ID_LEN, hex);
    if (needs_key(&inquiry)) {
        const struct verify_request request = request_of(args, &inquiry);
        return verify_point(cli, args, &request, point, err);
    }
    work.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK;
    work.level = inquiry.level;
    work.about = lent_id(&point->id);
    inspection.stats_s = inquiry.stats_s;
    return maintain_start(cli, &point->repository, &work, &inspection.run, err) && wait_for(&inspection, err);
}

#define LEVEL_OPTION                                                                                         \
    {                                                                                                        \
        "level", "LEVEL",                                                                                    \
            "presence: everything that is referred to is there; hash (default): also every byte of the "     \
            "packs; decrypt: everything opens, by a trusted transporter; restore: every file is put "        \
            "together, and not written"                                                                      \
    }
#define KEY_OPTIONS                                                                                          \
    {"at", "TRANSPORTER", "which trusted transporter opens (default: the one that wrote the point)"},        \
        {"names", NULL, "with decrypt: name the files of points that are not whole"},                        \
        {"afresh", NULL,                                                                                     \
         "with decrypt and restore: look again at what a check that was interrupted within the last day "    \
         "found good"},                                                                                      \
        RECOVER_OPTIONS
#define STATS_OPTION                                                                                         \
    {                                                                                                        \
        "stats", "N",                                                                                        \
            "where there is no terminal: progress at least every N seconds (0: each tenth only; default 10)" \
    }

const struct option_spec inspect_options[] = {
    LEVEL_OPTION,
    {"sample", "PERCENT",
     "with hash: so many of the packs, as 5%; each check goes on where the last one stopped. With decrypt "
     "and "
     "restore: so many of the points, drawn by lot"},
    {"wait", NULL, "wait until the check ends, and end as it does; with decrypt and restore it always does"},
    KEY_OPTIONS,
    STATS_OPTION,
    {0},
};
const struct option_spec inspect_point_options[] = {
    LEVEL_OPTION,        {"repository", "R", "as it lies in this repository (default: where it was first)"},
    WAITS_ANYWAY_OPTION, KEY_OPTIONS,
    STATS_OPTION,        {0},
};

/* --- ages --- */

static void add_age(const Sealift__RunRow *row, const char *key, json_t *object)
{
    if (!json_object_get(object, key)) (void)json_object_set_new(object, key, json_time(row->ended_ns));
}

/* A check that found something did end. */
static bool came_to_its_end(const Sealift__RunRow *row)
{
    enum err_code code = client_code(row->code);
    return row->state == SEALIFT__RUN_STATE__RUN_OK || code == ERR_DAMAGED || code == ERR_TRUNCATED ||
           code == ERR_NOT_AUTHENTIC;
}

void inspect_ages(const Sealift__RunListAnswer *runs, json_t *object)
{
    static const char *const keys[] = {"check_presence", "check_hash", "swept"};
    for (size_t i = 0; i < runs->n_rows; i++) {
        const Sealift__RunRow *row = runs->rows[i];
        if (!row->work || !came_to_its_end(row)) continue;
        bool check = row->work->kind == SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK;
        if (check && row->work->about.len > 0) continue; /* of one point */
        if (row->work->kind == SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP) add_age(row, "swept", object);
        if (!check) continue;
        add_age(row, "check_presence", object);
        if (row->work->level == LEVEL(HASH)) add_age(row, "check_hash", object);
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!json_object_get(object, keys[i])) (void)json_object_set_new(object, keys[i], json_null());
}

/* Who has found damage that no later check of as much says is gone; `runs`, the newest first. */
static const Sealift__RunRow *damage_of(const Sealift__RunListAnswer *runs)
{
    Sealift__CheckLevel sound = 0;
    for (size_t i = 0; i < runs->n_rows; i++) {
        const Sealift__RunRow *row = runs->rows[i];
        bool whole = row->work && row->work->kind == SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK &&
                     row->work->about.len == 0;
        if (!whole || !came_to_its_end(row) || row->work->level <= sound) continue;
        if (row->state != SEALIFT__RUN_STATE__RUN_OK) return row;
        if (row->work->sample_ppm == 0) sound = row->work->level;
    }
    return NULL;
}

void inspect_damage(const Sealift__RunListAnswer *runs, json_t *object)
{
    const Sealift__RunRow *row = damage_of(runs);
    (void)json_object_set_new(object, "damage_found", json_time(row ? row->ended_ns : 0));
    (void)json_object_set_new(object, "damage_level",
                              row ? json_string(level_name(row->work->level)) : json_null());
    (void)json_object_set_new(object, "damage_text", row ? json_lossy(span_str(row->text)) : json_null());
}
