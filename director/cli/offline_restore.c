/* sealift offline restore and cat: what a recovery point holds, without the site. */
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "director/cli/offline_key.h"
#include "director/cli/offline_verbs.h"
#include "director/cli/offline_work.h"
#include "transporter/core/path.h"
#include "transporter/pipeline/restore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct restoring {
    struct offline_work work;
    struct restore_options options;
    struct restore_progress progress;
    struct restore_result result;
    struct span *paths;
    char *destination;
    bool is_tree;
};

static void restoring_deinit(struct restoring *restoring)
{
    free(restoring->paths);
    free(restoring->destination);
}
DEFINE_AUTO_IN_PLACE(restoring, struct restoring, restoring_deinit)

/* As manifests have it: without slashes around. Empty: everything. */
static bool path_of(const char *text, struct span *out, struct err *err)
{
    struct span path = span_str(text);
    while (path.len > 0 && path.data[0] == '/')
        path = span_of(path.data + 1, path.len - 1);
    while (path.len > 0 && path.data[path.len - 1] == '/')
        path.len--;
    if (path.len > 0 && !path_valid(path))
        return err_set(err, ERR_USAGE, "'%s' is no path of a recovery point: no '.', '..' or '//' in it",
                       text);
    *out = path;
    return true;
}

/* --- restore --- */

static bool take_paths(struct restoring *restoring, const struct args *args, struct err *err)
{
    size_t count = args_operand_count(args) - 2;
    bool all = false;
    restoring->paths = xcalloc(count ? count : 1, sizeof(*restoring->paths));
    for (size_t i = 0; i < count; i++) {
        if (!path_of(args_operand(args, i + 2), &restoring->paths[i], err)) return false;
        if (restoring->paths[i].len == 0) all = true;
    }
    restoring->options.paths = restoring->paths;
    restoring->options.path_count = all ? 0 : count;
    return true;
}

static bool take_destination(struct restoring *restoring, const struct args *args, struct err *err)
{
    const char *to = args_value(args, "to");
    if (!to || !*to) return err_set(err, ERR_USAGE, "--to is needed: where to restore to");
    AUTO(free) char *here = NULL;
    if (to[0] != '/' && !(here = getcwd(NULL, 0)))
        return err_sys(err, errno, "cannot tell the working directory");
    restoring->destination = here ? xasprintf("%s/%s", here, to) : xstrdup(to);
    restoring->options.destination = restoring->destination;
    return true;
}

static bool take_overwrite(struct restoring *restoring, const struct args *args, struct err *err)
{
    static const struct {
        const char *name;
        enum overwrite overwrite;
    } ways[] = {{"never", OVERWRITE_NEVER}, {"changed", OVERWRITE_CHANGED}, {"always", OVERWRITE_ALWAYS}};
    const char *text = args_value(args, "overwrite");
    restoring->options.overwrite = OVERWRITE_NEVER;
    if (!text) return true;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (strcmp(text, ways[i].name) != 0) continue;
        restoring->options.overwrite = ways[i].overwrite;
        return true;
    }
    return err_set(err, ERR_USAGE, "--overwrite is 'never', 'changed' or 'always', not '%s'", text);
}

static bool run(void *arg, struct err *err)
{
    struct restoring *restoring = arg;
    return restoring->is_tree ? restore_tree(&restoring->options, &restoring->result, err)
                              : restore_object(&restoring->options, &restoring->result, err);
}

static void sample(void *arg, struct progress_sample *out)
{
    struct restoring *restoring = arg;
    out->phase = "restoring";
    out->entries = atomic_load(&restoring->progress.entries);
    out->files = atomic_load(&restoring->progress.files);
    out->bytes = atomic_load(&restoring->progress.content_bytes);
    out->warnings = atomic_load(&restoring->progress.warnings);
    if (restoring->options.path_count == 0) out->total_bytes = atomic_load(&restoring->progress.total_bytes);
}

static void on_warning(void *arg, struct span path, const struct err *what)
{
    offline_work_warn(arg, path, what);
}

static void answer(const struct cli *cli, const struct offline_point *point,
                   const struct restoring *restoring)
{
    static const struct column columns[] = {
        {"point", "point", COLUMN_ID},
        {"to", "to", COLUMN_TEXT},
        {"entries", "entries", COLUMN_NUMBER},
        {"files", "files", COLUMN_NUMBER},
        {"content_bytes", "content", COLUMN_SIZE},
        {"skipped", "left alone", COLUMN_NUMBER},
        {"failed", "not restored", COLUMN_NUMBER},
        {"warnings", "warnings", COLUMN_NUMBER},
        {0},
    };
    const struct restore_result *result = &restoring->result;
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "point", json_hex(point->id.bytes, ID_LEN),
                  "entries", json_count(result->entries), "files", json_count(result->files), "content_bytes",
                  json_count(result->content_bytes), "skipped", json_count(result->skipped), "failed",
                  json_count(result->failed), "warnings", json_count(result->warnings));
    json_set_path(object, "to", span_str(restoring->destination));
    output_record(&cli->output, columns, object);
}

static void advise(const struct cli *cli, const struct restoring *restoring, bool interrupted)
{
    if (interrupted)
        output_note(&cli->output, "interrupted: the same command with --overwrite changed goes on");
    else if (restoring->result.skipped > 0 && restoring->options.overwrite == OVERWRITE_NEVER)
        output_note(&cli->output,
                    "%llu %s there and left alone; to go on after an interruption, or to bring back "
                    "what was changed, use --overwrite changed",
                    (unsigned long long)restoring->result.skipped,
                    plural(restoring->result.skipped, "file was", "files were"));
}

static bool restore_point(struct cli *cli, const struct offline_point *point, struct restoring *restoring,
                          struct err *err)
{
    bool interrupted = false;
    restoring->work = (struct offline_work){
        .cli = cli, .run = run, .sample = sample, .arg = restoring, .interrupt = INTERRUPT_CANCELS};
    restoring->options.progress = &restoring->progress;
    restoring->options.warning = on_warning;
    restoring->options.arg = &restoring->work;
    restoring->options.cancelled = &restoring->work.cancelled;
    bool ok = offline_work_run(&restoring->work, &interrupted, err);
    if (ok || restoring->result.entries > 0) answer(cli, point, restoring);
    advise(cli, restoring, interrupted);
    bool left_alone = restoring->result.skipped > 0 && restoring->options.overwrite == OVERWRITE_NEVER;
    if (ok && !interrupted && (restoring->result.warnings > 0 || left_alone)) cli->exit_code = EXIT_WARNINGS;
    return ok;
}

bool offline_restore(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(offline) struct offline offline = {0};
    AUTO(offline_key) struct offline_key key = {0};
    AUTO(offline_reading) struct offline_reading reading = {0};
    AUTO(restoring) struct restoring restoring = {0};
    const struct offline_point *point = NULL;
    if (!take_destination(&restoring, args, err) || !take_overwrite(&restoring, args, err) ||
        !take_paths(&restoring, args, err) || !offline_key_take(cli, args, &key, err))
        return false;
    if (!offline_open(cli, args, key.kit, &offline, err) ||
        !offline_resolve(&offline, args_operand(args, 1), &point, err))
        return false;
    restoring.is_tree = strcmp(point->body->object_kind, object_kind_name(OBJECT_TREE)) == 0;
    if (!restoring.is_tree && restoring.options.path_count > 0)
        return err_set(err, ERR_USAGE, "an image or a stream is restored whole: it has no paths");
    if (!offline_read(&offline, point, &key, &reading, err)) return false;
    offline_tell_pin(&offline, point);
    restoring.options.opener = reading.opener;
    restoring.options.inlet = inlet_repository_inlet(reading.inlet);
    restoring.options.root = reading.root;
    return restore_point(cli, point, &restoring, err);
}

/* --- cat --- */

static bool write_out(void *arg, struct span bytes, struct err *err)
{
    (void)arg;
    if (bytes.len == 0 || fwrite(bytes.data, 1, bytes.len, stdout) == bytes.len) return true;
    return err_sys(err, errno, "cannot write the file to standard output");
}

bool offline_cat(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(offline) struct offline offline = {0};
    AUTO(offline_key) struct offline_key key = {0};
    AUTO(offline_reading) struct offline_reading reading = {0};
    const struct offline_point *point = NULL;
    struct span path = {0};
    if ((args_operand_count(args) > 2 && !path_of(args_operand(args, 2), &path, err)) ||
        !offline_key_take(cli, args, &key, err) || !offline_open(cli, args, key.kit, &offline, err) ||
        !offline_resolve(&offline, args_operand(args, 1), &point, err) ||
        !offline_read(&offline, point, &key, &reading, err))
        return false;
    offline_tell_pin(&offline, point);
    struct inlet inlet = inlet_repository_inlet(reading.inlet);
    return restore_cat(reading.opener, &inlet, &reading.root, path, write_out, NULL, err);
}
