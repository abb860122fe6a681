/* sealift offline check: every level up to the one asked for, and what it did not look at. */
#include "common/base/text.h"
#include "director/cli/inspect.h"
#include "director/cli/offline_key.h"
#include "director/cli/offline_verbs.h"
#include "director/cli/offline_work.h"
#include "transporter/pipeline/check_decrypt.h"
#include "transporter/pipeline/check_restore.h"
#include "transporter/repository/check.h"

#include <string.h>

enum level { LEVEL_PRESENCE, LEVEL_HASH, LEVEL_DECRYPT, LEVEL_RESTORE };
static const char *const level_names[] = {"presence", "hash", "decrypt", "restore"};

struct checking {
    const struct offline *offline;
    struct offline_key key;
    enum level level;
    json_t *rows;
    struct err worst;
    int gravity; /* its */
    uint64_t findings, notes;
    struct check_result stored;
    struct check_decrypt_result opened;
    struct check_restore_result restored;
    const struct offline_point *point; /* whose chunks are being opened */
    _Atomic uint64_t done_bytes, total_bytes;
};

static void checking_deinit(struct checking *checking)
{
    offline_key_deinit(&checking->key);
    json_decref(checking->rows);
}
DEFINE_AUTO_IN_PLACE(checking, struct checking, checking_deinit)

static bool take_level(const struct args *args, enum level *out, struct err *err)
{
    const char *text = args_value(args, "level");
    *out = LEVEL_HASH;
    if (!text) return true;
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(text, level_names[i]) != 0) continue;
        *out = (enum level)i;
        return true;
    }
    return err_set(err, ERR_USAGE, "a level is 'presence', 'hash', 'decrypt' or 'restore', not '%s'", text);
}

/* --- findings --- */

static void add_finding(struct checking *checking, enum err_code found, const char *object, const char *text,
                        json_t *points)
{
    enum err_code code = check_code(found);
    json_t *row = json_pack("{s:s, s:s, s:o, s:o}", "kind", inspect_kind(code), "object", object, "text",
                            json_lossy(span_str(text)), "points", points);
    (void)json_object_set_new(row, "point_count", json_count(json_array_size(points)));
    (void)json_array_append_new(checking->rows, row);
    if (code == ERR_NONE) {
        checking->notes++;
        return;
    }
    checking->findings++;
    if (check_gravity(found) <= checking->gravity) return;
    checking->gravity = check_gravity(found);
    (void)err_set(&checking->worst, code, "%s: %s", object, text);
}

static void on_stored(void *arg, const struct check_finding *finding)
{
    json_t *points = json_array();
    for (size_t i = 0; i < finding->point_count; i++)
        (void)json_array_append_new(points, json_hex(finding->points[i].bytes, ID_LEN));
    add_finding(arg, finding->code, finding->object, finding->text, points);
}

static json_t *only(const struct offline_point *point)
{
    return json_pack("[o]", json_hex(point->id.bytes, ID_LEN));
}

static void point_object(const struct offline_point *point, char out[static 48])
{
    memcpy(out, "points/", 7);
    hex_encode(point->id.bytes, ID_LEN, out + 7);
}

/* A chunk that several points use is told for each: one row for all. */
static void on_opened(void *arg, const struct err *what)
{
    struct checking *checking = arg;
    size_t i;
    json_t *row;
    json_array_foreach(checking->rows, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "object")), "chunk") != 0) continue;
        if (strcmp(json_string_value(json_object_get(row, "text")), what->text) != 0) continue;
        json_t *points = json_object_get(row, "points");
        (void)json_array_append_new(points, json_hex(checking->point->id.bytes, ID_LEN));
        (void)json_object_set_new(row, "point_count", json_count(json_array_size(points)));
        return;
    }
    add_finding(checking, what->code, "chunk", what->text, only(checking->point));
}

/* A file, of which the table has the path, too. */
static void on_file(void *arg, struct span path, const struct err *what)
{
    struct checking *checking = arg;
    AUTO(buf) struct buf rooted = {0};
    add_finding(checking, what->code, "file", what->text, only(checking->point));
    if (path.len == 0) return;
    json_t *row = json_array_get(checking->rows, json_array_size(checking->rows) - 1);
    buf_put_u8(&rooted, '/');
    buf_put_span(&rooted, path);
    json_set_path(row, "path", buf_span(&rooted));
}

/* --- the levels --- */

static void on_bytes(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
    struct checking *checking = arg;
    atomic_store(&checking->done_bytes, done_bytes);
    atomic_store(&checking->total_bytes, total_bytes);
}

static bool is_admitted(void *arg, const uint8_t writer[SIGN_PK_LEN])
{
    const struct checking *checking = arg;
    return offline_admitted(checking->offline, writer);
}

static bool is_operator(void *arg, const uint8_t signer[SIGN_PK_LEN])
{
    const struct checking *checking = arg;
    return offline_is_operator(checking->offline, signer);
}

/* What the working thread is given. */
struct opening {
    struct checking *checking;
    struct offline_reading reading;
    struct checked_set *checked;
};

static bool run_stored(void *arg, struct err *err)
{
    struct checking *checking = ((struct opening *)arg)->checking;
    struct check_sink sink = {.finding = on_stored, .progress = on_bytes, .arg = checking};
    if (checking->offline->pinned) {
        sink.admitted = is_admitted;
        sink.is_operator = is_operator;
    }
    const struct check_options options = {.level = checking->level == LEVEL_PRESENCE ? CHECK_PRESENCE
                                                                                     : CHECK_HASH};
    return repository_check(checking->offline->repository, &options, &sink, &checking->stored, err);
}

/* Points that cannot be believed, which the repository's own check has no reason to name. */
static void add_doubts(struct checking *checking)
{
    const struct err *log = &checking->offline->log_doubt;
    if (log->code != ERR_NONE && checking->key.kit)
        add_finding(checking, log->code, "log", log->text, json_array());
    for (size_t i = 0; i < checking->offline->count; i++) {
        const struct offline_point *point = &checking->offline->points[i];
        char object[48] = {0};
        size_t at;
        json_t *row;
        bool named = false;
        if (point->body) continue;
        point_object(point, object);
        json_array_foreach(checking->rows, at,
                           row) if (strcmp(json_string_value(json_object_get(row, "object")), object) == 0)
            named = true;
        if (!named) add_finding(checking, point->doubt.code, object, point->doubt.text, only(point));
    }
}

static void on_frames(void *arg, uint64_t frames, uint64_t bytes)
{
    struct checking *checking = arg;
    (void)frames;
    atomic_store(&checking->done_bytes, bytes);
}

static void on_files(void *arg, uint64_t files, uint64_t bytes)
{
    struct checking *checking = arg;
    (void)files;
    atomic_store(&checking->done_bytes, bytes);
}

static bool run_opened(void *arg, struct err *err)
{
    struct opening *opening = arg;
    struct checking *checking = opening->checking;
    struct inlet inlet = inlet_repository_inlet(opening->reading.inlet);
    struct check_decrypt_sink sink = {.finding = on_opened, .progress = on_frames, .arg = checking};
    struct check_decrypt_result result = {0};
    bool whole = checking->level == LEVEL_RESTORE;
    atomic_store(&checking->done_bytes, 0);
    atomic_store(&checking->total_bytes, 0);
    bool ok = check_decrypt_point(opening->reading.opener, &inlet, &opening->reading.root,
                                  whole ? CHECK_DECRYPT_NODES : CHECK_DECRYPT_ALL, 0, opening->checked, &sink,
                                  &result, err);
    checking->opened.nodes += result.nodes;
    checking->opened.chunks += result.chunks;
    checking->opened.bytes += result.bytes;
    const struct check_restore_sink files = {.finding = on_file, .progress = on_files, .arg = checking};
    return ok && (!whole || check_restore_point(opening->reading.opener, &inlet, &opening->reading.root,
                                                &files, &checking->restored, err));
}

static void sample(void *arg, struct progress_sample *out)
{
    struct opening *opening = arg;
    out->phase = "checking";
    out->bytes = atomic_load(&opening->checking->done_bytes);
    out->total_bytes = atomic_load(&opening->checking->total_bytes);
}

static bool work(struct opening *opening, bool (*run)(void *, struct err *), struct err *err)
{
    bool interrupted;
    struct offline_work work = {.cli = opening->checking->offline->cli,
                                .run = run,
                                .sample = sample,
                                .arg = opening,
                                .interrupt = INTERRUPT_ENDS};
    return offline_work_run(&work, &interrupted, err);
}

static bool open_points(struct checking *checking, struct err *err)
{
    AUTO(checked_set) struct checked_set *checked = checked_set_new();
    struct err first = {0};
    size_t opened = 0, sealed = 0;
    for (size_t i = 0; i < checking->offline->count; i++) {
        const struct offline_point *point = &checking->offline->points[i];
        struct err why = {0};
        char object[48] = {0};
        if (!point->body) continue;
        sealed++;
        struct opening opening = {.checking = checking, .checked = checked};
        checking->point = point;
        bool ok = offline_read(checking->offline, point, &checking->key, &opening.reading, &why);
        opened += ok;
        ok = ok && work(&opening, run_opened, &why);
        offline_reading_deinit(&opening.reading);
        if (ok) continue;
        if (first.code == ERR_NONE) first = why;
        point_object(point, object);
        add_finding(checking, why.code, object, why.text, only(point));
    }
    if (opened > 0 || sealed == 0) return true;
    *err = first;
    return false;
}

/* --- the answer --- */

static json_t *not_checked(const struct checking *checking)
{
    json_t *lines = json_array();
    if (checking->level == LEVEL_PRESENCE)
        (void)json_array_append_new(lines, json_string("the bytes of packs: --level hash reads them all"));
    if (checking->level == LEVEL_DECRYPT)
        (void)json_array_append_new(lines,
                                    json_string("that files are put together as they were: --level restore"));
    if (checking->restored.links_unchecked)
        (void)json_array_append_new(
            lines, json_sprintf("the files of %llu hard %s: too many to look for each",
                                (unsigned long long)checking->restored.links_unchecked,
                                plural(checking->restored.links_unchecked, "link", "links")));
    if (checking->level < LEVEL_DECRYPT)
        (void)json_array_append_new(lines, json_string("that chunks open to their ids and nodes tell the "
                                                       "truth: --level decrypt or restore, with a key"));
    if (!checking->offline->pinned)
        (void)json_array_append_new(
            lines, json_string("that the site admitted the writers: --site LINE pins its admin"));
    if (!checking->offline->witnessed)
        (void)json_array_append_new(
            lines, json_string("that the log is the newest one: a director or a kit remembers its head"));
    else
        (void)json_array_append_new(lines,
                                    json_string("what was in the log after the recovery kit was made"));
    return lines;
}

static void answer(struct checking *checking)
{
    static const struct column columns[] = {
        {"level", "level", COLUMN_TEXT},
        {"verdict", "verdict", COLUMN_TEXT},
        {"finding_count", "findings", COLUMN_NUMBER},
        {"points", "points", COLUMN_NUMBER},
        {"packs", "packs", COLUMN_NUMBER},
        {"files", "files put together", COLUMN_NUMBER},
        {"frames", "frames", COLUMN_NUMBER},
        {"bytes_read", "read", COLUMN_SIZE},
        {"chunks_opened", "chunks opened", COLUMN_NUMBER},
        {"nodes_opened", "nodes opened", COLUMN_NUMBER},
        {"not_checked", "not checked", COLUMN_TEXT},
        {0},
    };
    const struct output *output = &checking->offline->cli->output;
    json_t *object =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "level", level_names[checking->level],
                  "verdict", inspect_verdict(checking->findings), "points",
                  json_count(checking->stored.points), "packs", json_count(checking->stored.packs), "frames",
                  json_count(checking->stored.frames), "bytes_read", json_count(checking->stored.bytes_read),
                  "finding_count", json_count(checking->findings), "not_checked", not_checked(checking));
    if (checking->level == LEVEL_RESTORE) {
        (void)json_object_set_new(object, "files", json_count(checking->restored.files));
        (void)json_object_set_new(object, "content_bytes", json_count(checking->restored.bytes));
    }
    if (checking->level >= LEVEL_DECRYPT) {
        (void)json_object_set_new(object, "chunks_opened", json_count(checking->opened.chunks));
        (void)json_object_set_new(object, "nodes_opened", json_count(checking->opened.nodes));
        (void)json_object_set_new(object, "bytes_opened", json_count(checking->opened.bytes));
    }
    inspect_put_findings(checking->offline->cli, json_incref(checking->rows), object);
    output_record(output, columns, object);
}

bool offline_check(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(offline) struct offline offline = {0};
    AUTO(checking) struct checking checking = {.offline = &offline, .rows = json_array()};
    if (!take_level(args, &checking.level, err) || !offline_key_take(cli, args, &checking.key, err))
        return false;
    if (checking.key.given && !checking.key.kit && checking.level < LEVEL_DECRYPT)
        return err_set(err, ERR_USAGE, "only --level decrypt and restore need a key");
    if (!offline_open(cli, args, checking.key.kit, &offline, err)) return false;
    struct opening stored = {.checking = &checking};
    if (!work(&stored, run_stored, err)) return false;
    add_doubts(&checking);
    if (checking.level >= LEVEL_DECRYPT && !open_points(&checking, err)) return false;
    answer(&checking);
    if (checking.worst.code == ERR_NONE) return true;
    *err = checking.worst;
    return err_wrap(err, "%llu %s", (unsigned long long)checking.findings,
                    plural(checking.findings, "finding", "findings, the worst of them"));
}
