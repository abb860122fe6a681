/* sealift restore, cat, point files: what comes back. */
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/follow.h"
#include "director/cli/mend.h"
#include "director/cli/recover.h"
#include "director/cli/verbs.h"
#include "transporter/core/entry.h"
#include "transporter/core/node.h"

#include <stdio.h>
#include <string.h>

enum { STATS_S = 10 };
/* RestorePlan.overwrite */
enum { NEVER, CHANGED, ALWAYS };

/* --- paths --- */

/* Manifests have paths without the leading slash. */
static ProtobufCBinaryData path_bytes(const char *path)
{
    while (*path == '/')
        path++;
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    return lent_bytes(path, len);
}

/* TRANSPORTER:REST */
static const char *host_parse(const char *text, char host[static IDENTITY_NAME_MAX + 1])
{
    const char *colon = text ? strchr(text, ':') : NULL;
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (len == 0 || len > IDENTITY_NAME_MAX) return NULL;
    memcpy(host, text, len);
    host[len] = '\0';
    return colon + 1;
}

/* --to a path, or --into the restore command of a stream. */
static bool destination_parse(const struct args *args, char host[static IDENTITY_NAME_MAX + 1],
                              Sealift__RestorePlan *plan, struct err *err)
{
    const char *to = args_value(args, "to"), *into = args_value(args, "into");
    if (!to == !into)
        return err_set(err, ERR_USAGE, "say where to: --to TRANSPORTER:PATH, or --into TRANSPORTER:STREAM");
    const char *rest = host_parse(to ? to : into, host);
    if (to) {
        if (!rest || rest[0] != '/')
            return err_set(err, ERR_USAGE, "--to needs TRANSPORTER:PATH with an absolute PATH");
        plan->destination = lent_bytes(rest, strlen(rest));
        return true;
    }
    if (!rest)
        return err_set(err, ERR_USAGE, "--into needs TRANSPORTER:STREAM, a stream of its configuration");
    if (args_operand_count(args) > 1 || args_value(args, "overwrite"))
        return err_set(err, ERR_USAGE, "--into gives a stream to a command: there are no files to choose");
    plan->stream = lent_text(rest);
    return identity_name_check(rest, err) || err_wrap(err, "--into");
}

static bool overwrite_parse(const char *word, uint32_t *out, struct err *err)
{
    static const char *const words[] = {[NEVER] = "never", [CHANGED] = "changed", [ALWAYS] = "always"};
    if (!word) return true;
    for (uint32_t i = NEVER; i <= ALWAYS; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return true;
        }
    return err_set(err, ERR_USAGE, "--overwrite is never, changed or always, not '%s'", word);
}

static bool open_at_parse(const char *word, Sealift__OpenAt *out, struct err *err)
{
    *out = SEALIFT__OPEN_AT__OPEN_AT_TARGET;
    if (!word || strcmp(word, "target") == 0) return true;
    *out = SEALIFT__OPEN_AT__OPEN_AT_SOURCE;
    return strcmp(word, "source") == 0 ||
           err_set(err, ERR_USAGE, "--open-at is target or source, not '%s'", word);
}

/* --- restore --- */

static void say_restored(struct cli *cli, const char *to, const struct id *run,
                         const struct follow_result *result)
{
    char size[16];
    size_format(result->counters.content_bytes, size);
    if (cli->output.form == OUTPUT_JSON)
        output_line(&cli->output, follow_json(run, result), "%s", "");
    else if (result->state == SEALIFT__RUN_STATE__RUN_OK) /* else the error says it */
        output_line(&cli->output, NULL, "restored to %s: %llu %s, %s", to,
                    (unsigned long long)result->counters.files,
                    plural(result->counters.files, "file", "files"), size);
}

/* Of a restore that was interrupted: what it has written stands. */
static bool say_how_to_go_on(struct cli *cli, const struct err *why)
{
    if (why->code == ERR_UNREACHABLE || why->code == ERR_CANCELLED || why->code == ERR_EXISTS)
        output_note(&cli->output,
                    "an order is carried out at most once: the same command makes a new one, and "
                    "with --overwrite changed it goes on from what is there");
    return false;
}

/* What was there and was not replaced, although it may be another file than the one in the backup. */
static void warn_of_skipped(struct cli *cli, const struct follow_result *result)
{
    if (result->state != SEALIFT__RUN_STATE__RUN_OK || result->counters.skipped == 0) return;
    cli->exit_code = EXIT_WARNINGS;
    output_warning(
        &cli->output,
        "%llu existing %s left alone; --overwrite changed replaces what differs, and goes on after "
        "an interruption",
        (unsigned long long)result->counters.skipped,
        plural(result->counters.skipped, "file was", "files were"));
}

static bool say_queued(struct cli *cli, const struct order *order)
{
    char hex[2 * ID_LEN + 1];
    hex_encode(order->run.bytes, ID_LEN, hex);
    output_line(&cli->output, json_pack("{s:s}", "run", hex), "restore is queued as run %.12s", hex);
    if (order->by == ORDER_BY_KMS)
        output_note(&cli->output,
                    "if no KMS opens it, that run fails: --wait goes on to the password by itself");
    return true;
}

static bool follow_restore(struct cli *cli, const struct args *args, const char *to, uint32_t overwrite,
                           const struct order *order, struct err *err)
{
    char hex[2 * ID_LEN + 1], stop[64];
    unsigned stats_s = STATS_S;
    hex_encode(order->run.bytes, ID_LEN, hex);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %.12s", hex);
    if (!args_number(args, "stats", 0, 86400, &stats_s, err)) return false;
    const struct follow_request request = {
        .run = order->run, .from = FOLLOW_ASK, .what = "the restore", .stop = stop, .stats_s = stats_s};
    AUTO(follow_result) struct follow_result result = {0};
    if (!follow_run(cli, &request, &result, err)) return false;
    if (!result.interrupted && !recover_goes_on(order, result.code)) {
        say_restored(cli, to, &order->run, &result);
        if (overwrite == NEVER) warn_of_skipped(cli, &result);
    }
    return follow_conclude(cli, &request, &result, err) || say_how_to_go_on(cli, err);
}

/* What else can be done stands before the error. */
static bool give_up(struct cli *cli, const struct point *point, const struct err *why)
{
    mend_advise(cli, &point->repository, why);
    return false;
}

static bool is_tree(const struct point *point)
{
    return strcmp(point->body->object_kind, object_kind_name(OBJECT_TREE)) == 0;
}

static bool restore(struct cli *cli, const struct args *args, struct err *err)
{
    char host[IDENTITY_NAME_MAX + 1];
    const char *to = args_value(args, args_value(args, "to") ? "to" : "into");
    Sealift__RestorePlan plan = SEALIFT__RESTORE_PLAN__INIT;
    struct order_request request = {.kind = SEALIFT__ORDER_KIND__ORDER_RESTORE, .plan = &plan};
    AUTO(point) struct point *point = NULL;
    if (!destination_parse(args, host, &plan, err) ||
        !overwrite_parse(args_value(args, "overwrite"), &plan.overwrite, err) ||
        !open_at_parse(args_value(args, "open-at"), &request.open_at, err) ||
        !point_resolve(cli, args_operand(args, 0), args_value(args, "repository"), &point, err) ||
        !access_transporter(cli, host, &request.target, err))
        return false;
    if (plan.stream[0] && is_tree(point))
        return err_set(err, ERR_USAGE, "the point holds files: --into takes a stream or an image");
    if (args_operand_count(args) > 1 && !is_tree(point))
        return err_set(err, ERR_USAGE, "an image or a stream is restored whole: it has no paths");
    request.point = point;
    size_t count = args_operand_count(args) - 1;
    AUTO(free) ProtobufCBinaryData *paths = xcalloc(count + 1, sizeof(*paths));
    for (size_t i = 0; i < count; i++)
        paths[i] = path_bytes(args_operand(args, i + 1));
    plan.n_paths = count;
    plan.paths = paths;
    struct order order;
    bool stays = args_flag(args, "wait");
    if (!recover_order(cli, args, stays ? RECOVER_STAYS : RECOVER_LEAVES, &request, &order, err))
        return false;
    if (!stays) return say_queued(cli, &order);
    while (!follow_restore(cli, args, to, plan.overwrite, &order, err)) {
        if (!recover_again(cli, args, &request, &order, err)) return give_up(cli, point, err);
        err_clear(err);
    }
    return true;
}

/* --- browse --- */

struct browse {
    struct cli *cli;
    struct order order;
    bool (*take)(struct browse *browse, struct span plain, struct err *err);
    struct output_list list; /* files, with --json */
    uint64_t bytes;
};

static bool take_answer(void *arg, uint64_t number, bool last, struct span sealed, struct err *err)
{
    struct browse *browse = arg;
    AUTO(secret) struct secret *plain = NULL;
    return order_answer_open(browse->cli, &browse->order, number, last, sealed, &plain, err) &&
           browse->take(browse, span_of(plain->data, plain->len), err);
}

static bool follow_browse(struct cli *cli, struct browse *browse, struct err *err)
{
    char hex[2 * ID_LEN + 1], stop[64];
    hex_encode(browse->order.run.bytes, ID_LEN, hex);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %.12s", hex);
    const struct follow_request follow = {.run = browse->order.run,
                                          .from = FOLLOW_ASK,
                                          .what = "the answer",
                                          .stop = stop,
                                          .answer = take_answer,
                                          .arg = browse};
    AUTO(follow_result) struct follow_result result = {0};
    return follow_run(cli, &follow, &result, err) && follow_conclude(cli, &follow, &result, err);
}

static bool run_browse(struct cli *cli, const struct args *args, struct browse *browse,
                       const Sealift__BrowsePlan *plan, struct err *err)
{
    struct order_request request = {
        .kind = SEALIFT__ORDER_KIND__ORDER_BROWSE, .open_at = SEALIFT__OPEN_AT__OPEN_AT_TARGET, .plan = plan};
    const struct identity *identity = NULL;
    AUTO(point) struct point *point = NULL;
    if (!point_resolve(cli, args_operand(args, 0), args_value(args, "repository"), &point, err) ||
        !recover_opener(cli, point, args_value(args, "at"), &request.target, err) ||
        !access_identity(cli, &identity, err))
        return false;
    if (plan->kind == SEALIFT__BROWSE_KIND__BROWSE_CAT && plan->path.len == 0 && is_tree(point))
        return err_set(err, ERR_USAGE, "the point holds many files: name one, as 'point files' lists them");
    request.point = point;
    if (!recover_order(cli, args, RECOVER_STAYS, &request, &browse->order, err)) return false;
    while (!follow_browse(cli, browse, err)) {
        if (!recover_again(cli, args, &request, &browse->order, err)) return give_up(cli, point, err);
        err_clear(err);
    }
    return true;
}

static bool take_content(struct browse *browse, struct span plain, struct err *err)
{
    browse->bytes += plain.len;
    return fwrite(plain.data, 1, plain.len, stdout) == plain.len ||
           err_set(err, ERR_FAILED, "cannot write to stdout");
}

static bool cat(struct cli *cli, const struct args *args, struct err *err)
{
    Sealift__BrowsePlan plan = SEALIFT__BROWSE_PLAN__INIT;
    plan.kind = SEALIFT__BROWSE_KIND__BROWSE_CAT;
    const char *path = args_operand(args, 1);
    if (path) plan.path = path_bytes(path);
    if (path && plan.path.len == 0) return err_set(err, ERR_USAGE, "'%s' is no file", path);
    struct browse browse = {.cli = cli, .take = take_content};
    return run_browse(cli, args, &browse, &plan, err);
}

static char type_letter(enum entry_type type)
{
    static const char letters[] = "?d-lpcbh";
    return letters[(unsigned)type < sizeof(letters) - 1 ? type : 0];
}

/* A path of a manifest as `restore` and `cat` take it. */
static void set_rooted(json_t *row, const char *key, struct span path)
{
    AUTO(buf) struct buf rooted = {0};
    buf_put_u8(&rooted, '/');
    buf_put_span(&rooted, path);
    json_set_path(row, key, buf_span(&rooted));
}

static void say_entry(struct browse *browse, struct span path, const struct entry *entry)
{
    char time[21], mode[12];
    time_format(entry->mtime_ns > 0 ? (uint64_t)entry->mtime_ns : 0, time);
    (void)snprintf(mode, sizeof(mode), "%c%04o", type_letter(entry->type), entry->mode & 07777);
    if (browse->cli->output.form == OUTPUT_JSON) {
        json_t *row = json_pack("{s:s#, s:i, s:i, s:i, s:o, s:s}", "type", mode, 1, "mode", (int)entry->mode,
                                "uid", (int)entry->uid, "gid", (int)entry->gid, "size",
                                json_count(entry->size), "mtime", time);
        set_rooted(row, "path", path);
        if (entry->target.len && entry->type == ENTRY_SYMLINK)
            json_set_path(row, "target", entry->target);
        else if (entry->target.len)
            set_rooted(row, "target", entry->target);
        output_list_row(&browse->list, row);
        return;
    }
    AUTO(buf) struct buf shown = {0};
    buf_put_u8(&shown, '/');
    output_escape(path, &shown);
    if (entry->target.len) {
        buf_put_str(&shown, entry->type == ENTRY_SYMLINK ? " -> " : " == /");
        output_escape(entry->target, &shown);
    }
    output_line(&browse->cli->output, NULL, "%s %5u %5u %12llu %s %s", mode, entry->uid, entry->gid,
                (unsigned long long)entry->size, time, buf_cstr(&shown));
}

/* An answer: {path length (2), path, encoded entry}… (docs/protocol.md). */
static bool take_entries(struct browse *browse, struct span plain, struct err *err)
{
    struct reader reader = reader_of(plain);
    while (reader_left(&reader) > 0) {
        struct span path = reader_bytes(&reader, reader_u16(&reader));
        struct entry entry;
        if (!reader_ok(&reader)) return err_set(err, ERR_TRUNCATED, "an answer is cut short");
        if (!entry_decode(&reader, &entry, err)) return err_wrap(err, "an answer");
        say_entry(browse, path, &entry);
    }
    return true;
}

static bool files(struct cli *cli, const struct args *args, struct err *err)
{
    Sealift__BrowsePlan plan = SEALIFT__BROWSE_PLAN__INIT;
    const char *pattern = args_operand(args, 1), *below = args_value(args, "below");
    plan.kind = SEALIFT__BROWSE_KIND__BROWSE_FILES;
    if (below) plan.path = path_bytes(below);
    if (pattern) plan.pattern = path_bytes(pattern);
    struct browse browse = {.cli = cli, .take = take_entries, .list = {.name = "files"}};
    bool ok = run_browse(cli, args, &browse, &plan, err);
    if (ok && cli->output.form == OUTPUT_JSON) output_list_end(&browse.list);
    return ok;
}

/* --- tables --- */

static const struct option_spec restore_options[] = {
    {"to", "TRANSPORTER:PATH",
     "where to: of files a directory; of an image or a stream a directory, a file or a device"},
    {"into", "TRANSPORTER:STREAM",
     "instead: into the restore command that its configuration gives the stream"},
    {"overwrite", "WHEN", "what to do with existing files: never (default), changed, always"},
    {"repository", "R", "read it from this repository, where it has copies"},
    {"open-at", "SIDE", "who opens: target (default) or source, the repository's side"},
    WAIT_OPTION,
    {"stats", "N",
     "where there is no terminal: progress at least every N seconds (0: each tenth only; default 10)"},
    RECOVER_OPTIONS,
    {0},
};

static const struct option_spec browse_options[] = {
    {"at", "TRANSPORTER", "which trusted transporter opens (default: the one that wrote the point)"},
    {"repository", "R", "read it from this repository, where it has copies"},
    RECOVER_OPTIONS,
    {0},
};

static const struct option_spec files_options[] = {
    {"at", "TRANSPORTER", "which trusted transporter opens (default: the one that wrote the point)"},
    {"repository", "R", "read it from this repository, where it has copies"},
    {"below", "PATH", "only what is below PATH"},
    RECOVER_OPTIONS,
    {0},
};

const struct command restore_commands[] = {
    {"restore", NULL,
     "ID [PATH…] --to TRANSPORTER:PATH [options]\n"
     "       sealift restore ID --into TRANSPORTER:STREAM [options]",
     "Restores a recovery point, or chosen paths of it, to a transporter. Files keep their full path below "
     "the\n"
     "directory that --to names. An image or a stream becomes a file of its own name in it if there is such "
     "a\n"
     "directory or the path ends with '/'; else it becomes the file of that path, or fills the device. With\n"
     "--into it is given to a command that the transporter's configuration names.",
     "$ sealift restore web@latest /etc/nginx --to web:/var/restore --wait\n"
     "restored to web:/var/restore: 42 files, 130.5 KiB",
     restore_options, 1, OPERANDS_MANY, restore},
    {"cat", NULL, "ID [PATH]",
     "Writes one file of a recovery point to stdout. A stream or an image needs no PATH.",
     "$ sealift cat web@latest /etc/hostname\n"
     "web",
     browse_options, 1, 2, cat},
    {"point", "files", "ID [PATTERN]",
     "Lists the files of a recovery point: type and mode, owner, group, size, time, path.",
     "$ sealift point files web@latest '/etc/nginx/*'\n"
     "-0644     0     0         1447 2026-11-02T08:11:31Z /etc/nginx/nginx.conf",
     files_options, 1, 2, files},
    {0},
};
