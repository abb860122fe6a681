#include "director/cli/key_export.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/key_witness.h"
#include "director/cli/kit.h"
#include "director/cli/kit_lines.h"
#include "director/cli/new_password.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

const struct option_spec key_export_options[] = {
    {"out", "FILE", "write the recovery kit to FILE, which must not exist"},
    {"print", NULL, "write it to standard output instead, for a printer"},
    NEW_PASSWORD_OPTIONS,
    UNWITNESSED_OPTION,
    {0},
};

/* --- what is in it --- */

static void fill_operators(const struct cli *cli, struct kit *kit)
{
    const Sealift__RosterBody *roster = roster_body(access_roster(cli));
    const uint8_t *admin = state_site(cli->state)->line.admin;
    kit->operators = xcalloc(roster->n_operators + 1, sizeof(*kit->operators));
    memcpy(kit->operators[kit->operator_count++], admin, SIGN_PK_LEN);
    for (size_t i = 0; i < roster->n_operators; i++)
        if (memcmp(roster->operators[i]->sign_pk.data, admin, SIGN_PK_LEN) != 0)
            memcpy(kit->operators[kit->operator_count++], roster->operators[i]->sign_pk.data, SIGN_PK_LEN);
}

static bool add_head(void *arg, const struct id *repository, uint64_t number, const struct hash *hash)
{
    struct kit *kit = arg;
    kit->heads = xreallocarray(kit->heads, kit->head_count + 1, sizeof(*kit->heads));
    kit->heads[kit->head_count++] =
        (struct kit_head){.repository = *repository, .number = number, .hash = *hash};
    return true;
}

/* The newest heads; of a log that stepped back, which is said as a warning, the one from before. */
static bool learn_heads(struct cli *cli, struct err *err)
{
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    AUTO(statements) struct statements repositories = {0};
    if (!ask_status(cli, &status, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err))
        return false;
    if (witness_heads(cli, status, &repositories, err) || err->code == ERR_NOT_AUTHENTIC) {
        err_clear(err);
        return true;
    }
    return false;
}

static bool fill(struct cli *cli, const struct key_entry *key, struct kit *kit, struct err *err)
{
    if (!learn_heads(cli, err) || !keys_open(cli, key, &kit->half, err)) return false;
    buf_put_span(&kit->section_bytes, buf_span(&key->section_bytes));
    kit->made_ns = clock_real_ns();
    kit->site = state_site(cli->state)->line.site;
    fill_operators(cli, kit);
    state_each_head(cli->state, add_head, kit);
    return true;
}

/* --- as text --- */

/* No line of it begins with a number: those are the kit's. */
static void write_text(const struct key_entry *key, const struct kit *kit, struct span sealed,
                       struct buf *out)
{
    char fingerprint[KEY_FINGERPRINT_LEN], made[21], site[2 * ID_LEN + 1];
    key_fingerprint(&key->key_id, fingerprint);
    time_format(kit->made_ns, made);
    hex_encode(kit->site.bytes, ID_LEN, site);
    buf_printf(out,
               "SEALIFT RECOVERY KIT\n\n"
               "key          %s\n"
               "fingerprint  %s\n"
               "made         %s\n"
               "site         %s\n\n"
               "With this kit and its password, and with nothing else of the site, every recovery point\n"
               "that was sealed for this key before it was rotated next can be read. Keep the password\n"
               "somewhere else than the kit.\n\n"
               "On any machine that sees the repository's directory:\n\n"
               "    sealift offline list REPOSITORY --kit FILE\n"
               "    sealift offline restore REPOSITORY latest --to DIRECTORY --kit FILE\n\n"
               "To give the key back to the operators of a site:\n\n"
               "    sealift key import --kit FILE\n\n"
               "FILE is this text, or the numbered lines below typed in again. '--kit -' takes them from\n"
               "the keyboard, line by line, and finds typing errors at once.\n\n",
               key->label, fingerprint, made, site);
    kit_lines_write(sealed, out);
}

static void say_made(struct cli *cli, const struct key_entry *key, const char *file, struct buf *text)
{
    char fingerprint[KEY_FINGERPRINT_LEN];
    key_fingerprint(&key->key_id, fingerprint);
    json_t *object =
        json_pack("{s:s, s:s, s:s?}", "key", key->label, "fingerprint", fingerprint, "file", file);
    if (file) {
        output_line(&cli->output, object, "the recovery kit of '%s' is in '%s'", key->label, file);
    } else {
        (void)json_object_set_new(object, "text", json_string(buf_cstr(text)));
        output_lines(&cli->output, object, "%s", buf_cstr(text));
    }
    output_note(&cli->output, "keep its password elsewhere; a rotation of the key makes the kit outdated for "
                              "points that are written after it");
}

bool key_export(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    AUTO(kit) struct kit *kit = xcalloc(1, sizeof(*kit));
    AUTO(secret) struct secret *password = NULL;
    AUTO(buf) struct buf sealed = {0}, text = {0};
    struct secret_source source;
    const struct key_entry *key = NULL;
    const char *file = args_value(args, "out");
    if ((file != NULL) == args_flag(args, "print"))
        return err_set(err, ERR_USAGE, "say where the recovery kit goes: --out FILE, or --print");
    if (!secret_source_of(args, "password-file", "password-fd", &source, err) ||
        !keys_get_newest(cli, args, &keys, err) || !keys_named(&keys, args_operand(args, 0), &key, err))
        return false;
    if (!key->section)
        return err_set(err, ERR_POLICY,
                       "the key '%s' never leaves its source: keep a copy of the file that the setting "
                       "'own_key' there names",
                       key->label);
    if (!fill(cli, key, kit, err) ||
        !new_password(args, &source, "password of the recovery kit", &password, err) ||
        !kit_seal(kit, password, &PWHASH_MODERATE, &sealed, err))
        return false;
    write_text(key, kit, buf_span(&sealed), &text);
    if (file && !file_create(AT_FDCWD, file, buf_span(&text), 0600, err)) return false;
    say_made(cli, key, file, &text);
    return output_finish(err) && state_mark_kit(cli->state, &key->key_id, err);
}
