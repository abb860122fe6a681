/* sealift offline …: a repository on this machine, with nothing else of the site. */
#include "common/crypto/frame.h"
#include "common/crypto/seal/key.h"
#include "director/cli/kit_take.h"
#include "director/cli/offline_key.h"
#include "director/cli/offline_verbs.h"
#include "director/cli/point.h"
#include "director/cli/verbs.h"

static void add_body(const struct cli *cli, json_t *row, const struct offline_point *point)
{
    const Sealift__PointBody *body = point->body;
    bool people = cli->output.form == OUTPUT_TEXT;
    const Sealift__PointCounts *counts = body->counts;
    /* of a point that a copy sealed anew: when it was backed up */
    uint64_t written_ns = body->origin ? body->origin->writer_time_ns : body->writer_time_ns;
    (void)json_object_set_new(row, "job", json_string(body->job));
    (void)json_object_set_new(row, "writer", json_string(point->writer));
    (void)json_object_set_new(row, "object", json_string(people ? point_holds(body) : body->object_kind));
    (void)json_object_set_new(row, "crash_consistent", json_boolean(body->crash_consistent));
    (void)json_object_set_new(row, "entries", json_count(counts ? counts->entries : 0));
    (void)json_object_set_new(row, "files", json_count(counts ? counts->files : 0));
    (void)json_object_set_new(row, "directories", json_count(counts ? counts->directories : 0));
    (void)json_object_set_new(row, "content_bytes", json_count(counts ? counts->content_bytes : 0));
    (void)json_object_set_new(row, "warnings", json_count(counts ? counts->warnings : 0));
    (void)json_object_set_new(row, "written", written_ns ? json_time(written_ns) : json_null());
    (void)json_object_set_new(row, "cipher", json_string(cipher_name((enum cipher)body->cipher)));
    if (body->key_id.len != HASH_LEN) return;
    char fingerprint[KEY_FINGERPRINT_LEN];
    struct hash key_id = stored_hash(&body->key_id);
    key_fingerprint(&key_id, fingerprint);
    (void)json_object_set_new(row, "key", json_string(body->key_label));
    (void)json_object_set_new(row, "key_fingerprint", json_string(fingerprint));
    (void)json_object_set_new(row, "key_id", json_hex(key_id.bytes, HASH_LEN));
}

static json_t *point_row(const struct cli *cli, const struct offline_point *point)
{
    json_t *row = json_pack("{s:o, s:o, s:o}", "id", json_hex(point->id.bytes, ID_LEN), "number",
                            json_count(point->number), "time", json_time(point->time_ns));
    if (point->body)
        add_body(cli, row, point);
    else
        (void)json_object_set_new(row, "doubt", json_lossy(span_str(point->doubt.text)));
    return row;
}

static bool list(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"id", "POINT", COLUMN_ID},
        {"time", "TIME", COLUMN_TEXT},
        {"written", "WRITTEN", COLUMN_TEXT},
        {"number", "NUMBER", COLUMN_NUMBER},
        {"job", "JOB", COLUMN_TEXT},
        {"object", "HOLDS", COLUMN_TEXT},
        {"files", "FILES", COLUMN_NUMBER},
        {"content_bytes", "SIZE", COLUMN_SIZE},
        {"warnings", "WARNINGS", COLUMN_NUMBER},
        {"cipher", "CIPHER", COLUMN_TEXT},
        {"key", "KEY", COLUMN_TEXT},
        {"key_fingerprint", "FINGERPRINT", COLUMN_TEXT},
        {0},
    };
    AUTO(offline) struct offline offline = {0};
    AUTO(kit) struct kit *kit = NULL;
    const struct offline_point *doubted = NULL;
    if (!kit_take(args, &kit, err) || !offline_open(cli, args, kit, &offline, err)) return false;
    json_t *rows = json_array();
    for (size_t i = 0; i < offline.count; i++) {
        (void)json_array_append_new(rows, point_row(cli, &offline.points[i]));
        if (offline.points[i].body) continue;
        if (!doubted) doubted = &offline.points[i];
        output_warning(&cli->output, "point number %llu: %s", (unsigned long long)offline.points[i].number,
                       offline.points[i].doubt.text);
    }
    bool none = offline.count == 0;
    output_table(&cli->output, "points", columns, rows);
    if (none) output_note(&cli->output, "the repository holds no recovery point");
    if (!offline.pinned)
        output_note(&cli->output,
                    "nothing was pinned: --site LINE tells points of this site's writers from others");
    if (offline.log_doubt.code != ERR_NONE) {
        *err = offline.log_doubt;
        return false;
    }
    if (!doubted) return true;
    *err = doubted->doubt;
    return err_wrap(err, "not every point can be read");
}

static const struct option_spec list_options[] = {KIT_OPTIONS, OFFLINE_SITE_OPTION, {0}};

static const struct option_spec check_options[] = {
    {"level", "LEVEL", "presence, hash (default), decrypt or restore; each does what those before it do"},
    OFFLINE_KEY_OPTIONS,
    OFFLINE_SITE_OPTION,
    {0},
};

static const struct option_spec restore_options[] = {
    {"to", "PATH", "where to: of files a directory; of an image or a stream a directory, a file or a device"},
    {"overwrite", "WHEN", "what to do with existing files: never (default), changed, always"},
    OFFLINE_KEY_OPTIONS,
    OFFLINE_SITE_OPTION,
    {0},
};

static const struct option_spec cat_options[] = {OFFLINE_KEY_OPTIONS, OFFLINE_SITE_OPTION, {0}};

const struct command offline_commands[] = {
    {"offline", "list", "REPOSITORY [--site LINE]",
     "Lists the recovery points of a repository on this machine. No key is needed. TIME is when a point came "
     "into\n"
     "this repository, of a copy when it was copied; WRITTEN is when it was made, by its writer's clock.",
     "$ sealift offline list /mnt/usb/repo\n"
     "POINT         TIME                  WRITTEN               NUMBER  JOB  HOLDS  FILES     SIZE  WARNINGS "
     " "
     "CIPHER       KEY   FINGERPRINT\n"
     "3f2a91c0d4e7  2026-11-20T03:00:02Z  2026-11-20T03:00:02Z      12  web  tree    1180  1.2 GiB         0 "
     " "
     "aes-256-gcm  main  K3QD-…",
     list_options, 1, 1, list},
    {"offline", "check",
     "REPOSITORY [--level presence|hash|decrypt|restore] [--key-file F] [--kms-file F] [--password] [--kit "
     "F] [--site "
     "LINE]",
     "Checks a repository on this machine, names what is damaged and which points that hits. The exit code "
     "is\n"
     "that of the worst finding, 0 when there is none. For decrypt and restore this operator's own copy of "
     "the\nkey will do, where neither a key file nor a password is given.",
     "$ sealift offline check /mnt/usb/repo --level decrypt --key-file main.key\n"
     "level:     decrypt\n"
     "points:    12\n"
     "findings:  0",
     check_options, 1, 1, offline_check},
    {"offline", "restore",
     "REPOSITORY POINT [PATH…] --to PATH [--overwrite never|changed|always] [--key-file F] [--kms-file F] "
     "[--password] [--kit F] [--site LINE]",
     "Restores a point, or PATHs of it. POINT is the start of its id, latest, JOB@latest or JOB@2026-11-20.\n"
     "Files keep their full path below the directory that --to names. An image or a stream becomes a file "
     "of\n"
     "its own name in it if there is such a directory or the path ends with '/'; else it becomes the file "
     "of\n"
     "that path, or fills the device. What is damaged is named, and the rest is restored. Without a key "
     "file,\n"
     "a kit or a password, this operator's own copy of the key in the state directory opens it. Neither "
     "director "
     "nor\n"
     "network is needed.",
     "$ sealift offline restore /mnt/usb/repo web@latest /srv/www --to /tmp/back --key-file main.key\n"
     "point:    3f2a91c0d4e7\n"
     "to:       /tmp/back\n"
     "files:    1180",
     restore_options, 2, OPERANDS_MANY, offline_restore},
    {"offline", "cat",
     "REPOSITORY POINT [PATH] [--key-file F] [--kms-file F] [--password] [--kit F] [--site LINE]",
     "Writes the content of one file of a point to standard output, as it is (also with --json). A stream "
     "or\n"
     "an image needs no PATH.",
     "$ sealift offline cat /mnt/usb/repo latest /etc/fstab --key-file main.key\n"
     "# /etc/fstab: static file system information.",
     cat_options, 2, 3, offline_cat},
    {0},
};
