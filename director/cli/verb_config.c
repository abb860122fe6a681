/* sealift config …: the director's own state, kept and brought back. */
#include "common/base/text.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/confirm.h"
#include "director/cli/new_password.h"
#include "director/cli/output.h"
#include "director/cli/put.h"
#include "director/cli/state_export.h"
#include "director/cli/state_import.h"
#include "director/cli/verbs.h"

#include <stdio.h>
#include <string.h>

static bool new_lock(const struct args *args, const char *prompt, struct secret **password,
                     struct bundle_lock *out, struct err *err)
{
    struct secret_source source;
    return secret_source_of(args, "password-file", "password-fd", &source, err) &&
           new_password(args, &source, prompt, password, err) &&
           bundle_lock_make(*password, &PWHASH_MODERATE, out, err);
}

/* --- export --- */

static bool export(struct cli *cli, const struct args *args, struct err *err)
{
    struct bundle_lock lock;
    AUTO(secret) struct secret *password = NULL;
    const char *path = args_value(args, "out");
    if (!path) return err_set(err, ERR_USAGE, "--out FILE is needed");
    if (!new_lock(args, "password of the bundle", &password, &lock, err) ||
        !state_export(cli, &lock, password, path, err))
        return false;
    char site[2 * ID_LEN + 1];
    hex_encode(state_site(cli->state)->line.site.bytes, ID_LEN, site);
    output_line(&cli->output, json_pack("{s:s, s:s}", "site", site, "file", path),
                "the director's state is in '%s': keep it, and its password, away from the director", path);
    return true;
}

/* --- show, import --- */

static json_t *facts_json(const struct bundle_facts *facts, const char *path)
{
    json_t *object =
        json_pack("{s:s, s:o, s:o, s:s, s:o}", "file", path, "site", json_hex(facts->site.bytes, ID_LEN),
                  "copied", json_time(facts->time_ns), "version", facts->program, "bytes",
                  json_count(bundle_file_len(facts->content_len)));
    return object;
}

static void say_facts(struct cli *cli, const struct bundle_facts *facts, const char *path)
{
    static const struct column columns[] = {
        {"file", "file", COLUMN_TEXT},     {"site", "site", COLUMN_TEXT},
        {"copied", "copied", COLUMN_TEXT}, {"version", "written by version", COLUMN_TEXT},
        {"bytes", "size", COLUMN_SIZE},    {0},
    };
    output_record(&cli->output, columns, facts_json(facts, path));
}

static bool show(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(bundle_reader) struct bundle_reader reader = {.fd = -1};
    if (!bundle_reader_open(args_operand(args, 0), &reader, err)) return false;
    say_facts(cli, &reader.facts, args_operand(args, 0));
    return true;
}

static bool unlock(const struct args *args, struct bundle_reader *reader, struct err *err)
{
    struct secret_source source;
    enum password_strength strength;
    AUTO(secret) struct secret *password = NULL;
    if (!secret_source_of(args, "password-file", "password-fd", &source, err) ||
        !secret_password(&source, "password of the bundle", SECRET_ONCE, &password, &strength, err))
        return false;
    return bundle_reader_unlock(reader, password, err);
}

static bool import(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(bundle_reader) struct bundle_reader reader = {.fd = -1};
    const char *path = args_operand(args, 0), *dir = args_value(args, "director-state");
    bool dry = args_flag(args, "dry-run"), conf = false;
    if (!dry && (!dir || dir[0] != '/' || strpbrk(dir, "\"\\\n")))
        return err_set(err, ERR_USAGE, "--director-state DIR is needed: an absolute path, absent or empty");
    if (!bundle_reader_open(path, &reader, err) || !unlock(args, &reader, err)) return false;
    if (dry) {
        if (!bundle_reader_rehearse(&reader, err)) return false;
        say_facts(cli, &reader.facts, path);
        return true;
    }
    if (!state_import(&reader, dir, &conf, err)) return false;
    json_t *answer = facts_json(&reader.facts, path);
    (void)json_object_set_new(answer, "director_state", json_string(dir));
    (void)json_object_set_new(answer, "config", conf ? json_sprintf("%s/director.conf", dir) : json_null());
    if (conf)
        output_lines(&cli->output, answer,
                     "the director's state is in '%s'; start it, as the user whose directory that is, with:\n"
                     "  sealift-director --config %s/director.conf",
                     dir, dir);
    else
        output_lines(&cli->output, answer,
                     "the director's state is in '%s'; start it with a configuration that says\n"
                     "  state_dir = \"%s\";",
                     dir, dir);
    output_note(&cli->output, "the host must be reachable by the address that transporters and operators "
                              "know; the director starts nothing by itself until it has heard of all "
                              "transporters: 'sealift status' says of whom not");
    return true;
}

/* --- self-backups --- */

static bool set_password(struct cli *cli, const struct args *args, struct err *err)
{
    struct bundle_lock lock;
    AUTO(secret) struct secret *password = NULL;
    if (!new_lock(args, "password of self-backups", &password, &lock, err) ||
        !state_set_lock(cli, &lock, err))
        return false;
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    struct err unknown;
    bool asked = ask_status(cli, &status, &unknown);
    output_line(&cli->output, json_pack("{s:b}", "set", 1),
                "copies that the director makes of its state by itself are under this password from now on");
    if (asked && !status->self_backup)
        output_warning(&cli->output, "the director makes no copies by itself yet: 'self_backup' in its "
                                     "configuration says where to, and when");
    else if (asked)
        output_note(&cli->output, "'sealift status' tells when the last copy was made");
    return true;
}

/* --- after it was brought back --- */

static bool proceed(struct cli *cli, const struct args *args, struct err *err)
{
    if (!confirm(args, "start what is due, though not every transporter has been heard", err) ||
        !state_proceed(cli, err))
        return false;
    output_line(&cli->output, json_pack("{s:b}", "proceeding", 1), "schedules go on");
    return true;
}

static const struct option_spec proceed_options[] = {
    CONFIRM_OPTION,
    {0},
};
static const struct option_spec export_options[] = {
    {"out", "FILE", "where the bundle is written"},
    NEW_PASSWORD_OPTIONS,
    {0},
};
static const struct option_spec import_options[] = {
    {"director-state", "DIR", "the new director's state directory: absent, or empty"},
    {"dry-run", NULL, "open the bundle to its end, and write nothing"},
    {"password-file", "FILE", "the password is the first line of FILE"},
    {"password-fd", "N", "the same, read from an open descriptor"},
    {0},
};
static const struct option_spec password_options[] = {
    NEW_PASSWORD_OPTIONS,
    {0},
};

const struct command config_commands[] = {
    {"config", "export", "--out FILE [--password-file F] [--weak]",
     "Writes a copy of the director's state, under a password of its own.\n"
     "Its key is among it: it is what a new host needs to be this director. It is always a password; no KMS "
     "covers it. For admins.",
     "$ sealift config export --out director.sealift\n"
     "password of the bundle: \n"
     "the director's state is in 'director.sealift': keep it, and its password, away from the director",
     export_options, 0, 0, export},
    {"config", "show", "FILE", "Tells what a copy of a director's state says without its password.",
     "$ sealift config show director.sealift\n"
     "file:                director.sealift\n"
     "site:                8c0f4a…\n"
     "copied:              2026-11-20T03:00:00Z\n"
     "written by version:  0.4.0\n"
     "size:                1.2 MiB",
     NULL, 1, 1, show},
    {"config", "import", "FILE --director-state DIR [--password-file F] | FILE --dry-run",
     "Makes the state directory of a director out of a copy. On the host that is to be the director; neither "
     "a "
     "site\nnor an identity is needed here.",
     "$ sealift config import director.sealift --director-state /var/lib/sealift-director\n"
     "password of the bundle: \n"
     "the director's state is in '/var/lib/sealift-director'; start it, as the user whose directory that is, "
     "with:\n"
     "  sealift-director --config /var/lib/sealift-director/director.conf",
     import_options, 1, 1, import},
    {"config", "set-password", "[--password-file F] [--weak]",
     "Sets the password of the copies that the director makes by itself.\n"
     "When and where it makes them says 'self_backup' in its configuration. The director gets what seals, "
     "and not what opens. For admins.",
     "$ sealift config set-password\n"
     "password of self-backups: \n"
     "self-backups of the director are under this password from now on: 'sealift status' tells when the last "
     "one was made",
     password_options, 0, 0, set_password},
    {"config", "proceed", "[--yes]",
     "Lets a director that was brought back from a copy start what schedules say.\n"
     "Though it has not heard of all transporters: for when one of them is gone for good. What was changed "
     "since\n"
     "the copy, and only the missing one knows, is not known to the director then. For admins.",
     "$ sealift config proceed\n"
     "start what is due, though not every transporter has been heard? [y/N] y\n"
     "schedules go on",
     proceed_options, 0, 0, proceed},
    {0},
};
