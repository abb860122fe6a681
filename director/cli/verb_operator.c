/* sealift operator … but for those that found or enter a site (site_begin.c). */
#include "common/base/file.h"
#include "common/base/text.h"
#include "director/cli/confirm.h"
#include "director/cli/key_witness.h"
#include "director/cli/member.h"
#include "director/cli/new_password.h"
#include "director/cli/put.h"
#include "director/cli/site_begin.h"
#include "director/cli/site_move.h"
#include "director/cli/verbs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define PUBLIC_LINE "sealift-operator1:"
enum { PUBLIC_FILE_MAX = 1024 };

/* --- list --- */

static json_t *operator_json(const Sealift__Member *member, const struct identity_public *self)
{
    char fingerprint[FINGERPRINT_TEXT_LEN];
    member_fingerprint(member, fingerprint);
    return json_pack("{s:s, s:s, s:s, s:b, s:o}", "name", member->name, "role", role_name(member->role),
                     "fingerprint", fingerprint, "self",
                     memcmp(member->sign_pk.data, self->sign_pk, SIGN_PK_LEN) == 0, "key",
                     json_hex(member->sign_pk.data, SIGN_PK_LEN));
}

static bool list(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"name", "NAME", COLUMN_TEXT},
        {"role", "ROLE", COLUMN_TEXT},
        {"fingerprint", "FINGERPRINT", COLUMN_TEXT},
        {"self", "THIS ONE", COLUMN_YES},
        {0},
    };
    struct client *client = NULL;
    struct identity_public self;
    if (!access_director(cli, &client, err)) return false;
    (void)state_identity(cli->state, &self);
    const Sealift__RosterBody *roster = roster_body(access_roster(cli));
    json_t *rows = json_array();
    for (size_t i = 0; i < roster->n_operators; i++)
        (void)json_array_append_new(rows, operator_json(roster->operators[i], &self));
    output_table(&cli->output, "operators", columns, rows);
    site_warn_if_alone(cli);
    return true;
}

/* --- identity --- */

static bool write_public(const struct identity_public *known, const char *path, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(buf) struct buf text = {0};
    identity_public_encode(known, &bytes);
    buf_put_str(&text, PUBLIC_LINE);
    hex_encode(bytes.data, bytes.len, (char *)buf_grow(&text, 2 * bytes.len + 1));
    text.data[text.len - 1] = '\n';
    return file_create(AT_FDCWD, path, buf_span(&text), 0644, err);
}

static bool read_public(const char *path, struct identity_public *out, struct err *err)
{
    AUTO(buf) struct buf text = {0};
    uint8_t bytes[IDENTITY_PUBLIC_MAX_LEN];
    if (!file_read(AT_FDCWD, path, PUBLIC_FILE_MAX, &text, err)) return false;
    char *line = (char *)(uintptr_t)buf_cstr(&text);
    line[strcspn(line, "\r\n")] = '\0';
    size_t start = strlen(PUBLIC_LINE), digits = strlen(line) < start ? 0 : strlen(line) - start;
    if (strncmp(line, PUBLIC_LINE, start) != 0 || digits / 2 > sizeof(bytes))
        return err_set(err, ERR_USAGE, "'%s' is not what 'sealift operator identity' writes", path);
    return (hex_decode(line + start, bytes, digits / 2, err) &&
            identity_public_decode(span_of(bytes, digits / 2), out, err)) ||
           err_wrap(err, "'%s'", path);
}

static bool identity(struct cli *cli, const struct args *args, struct err *err)
{
    struct state *state = NULL;
    struct identity_public known;
    char fingerprint[FINGERPRINT_TEXT_LEN];
    if (!args_value(args, "out")) return err_set(err, ERR_USAGE, "--out FILE is needed");
    if (!access_state(cli, &state, err) || !site_need_identity(cli, args, err)) return false;
    (void)state_identity(state, &known);
    if (!write_public(&known, args_value(args, "out"), err)) return false;
    identity_fingerprint(&known, fingerprint);
    output_lines(&cli->output, json_pack("{s:s, s:s}", "name", known.name, "fingerprint", fingerprint),
                 "%s\t%s", known.name, fingerprint);
    output_note(&cli->output, "give '%s' to an admin, who types: sealift operator add %s --identity FILE",
                args_value(args, "out"), known.name);
    return true;
}

/* --- add --- */

/* Every key that this operator has. */
static bool give_keys(struct cli *cli, const struct keys *keys, const Sealift__Member *member,
                      struct err *err)
{
    size_t given = 0;
    for (size_t i = 0; i < keys->count; i++) {
        AUTO(read_half) struct read_half *half = NULL;
        const struct key_entry *key = &keys->items[i];
        if (key->own || id_is_zero(&key->read_grant)) continue;
        if (!keys_open(cli, key, &half, err) || !keys_grant(cli, key, half, member, NULL, err)) return false;
        given++;
    }
    output_note(&cli->output, "'%s' got the read half of %zu %s", member->name, given,
                plural(given, "key", "keys"));
    return true;
}

static bool confirm_member(const struct args *args, const struct identity_public *known, struct err *err)
{
    char fingerprint[FINGERPRINT_TEXT_LEN], question[256];
    identity_fingerprint(known, fingerprint);
    const char *typed = args_value(args, "fingerprint");
    if (typed && fingerprint_matches(fingerprint, typed)) return true;
    if (typed)
        return err_set(err, ERR_NOT_AUTHENTIC, "the fingerprint of '%s' is %s, not %s", known->name,
                       fingerprint, typed);
    (void)snprintf(question, sizeof(question), "add operator '%s', fingerprint %s", known->name, fingerprint);
    return confirm(args, question, err);
}

static bool add(struct cli *cli, const struct args *args, struct err *err)
{
    struct client *client = NULL;
    struct identity_public known;
    AUTO(keys) struct keys keys = {0};
    Sealift__Role role = SEALIFT__ROLE__ROLE_OPERATOR;
    bool with_keys = !args_flag(args, "no-keys");
    const char *name = args_operand(args, 0);
    if (!args_value(args, "identity")) return err_set(err, ERR_USAGE, "--identity FILE is needed");
    if (args_value(args, "role") && !role_parse(args_value(args, "role"), &role, err)) return false;
    if (!read_public(args_value(args, "identity"), &known, err)) return false;
    if (strcmp(known.name, name) != 0)
        return err_set(err, ERR_USAGE, "the identity in '%s' is that of '%s'", args_value(args, "identity"),
                       known.name);
    if (!access_director(cli, &client, err)) return false;
    if (roster_operator_named(access_roster(cli), name))
        return err_set(err, ERR_EXISTS, "there is an operator '%s' already", name);
    if (!confirm_member(args, &known, err)) return false;

    Sealift__Member member;
    member_init(&member, &known);
    member.role = role;
    AUTO(roster_edit) struct roster_edit edit;
    roster_edit_init(&edit, roster_body(access_roster(cli)));
    edit.operators[edit.body.n_operators++] = &member;
    if ((with_keys && !keys_get_newest(cli, args, &keys, err)) || !put_roster(cli, &edit.body, err) ||
        (with_keys && !give_keys(cli, &keys, &member, err)))
        return false;
    output_line(&cli->output, json_pack("{s:s, s:s}", "operator", name, "role", role_name(role)),
                "%s is %s of this site", name,
                role == SEALIFT__ROLE__ROLE_ADMIN ? "an admin" : "an operator");
    char line[SITE_LINE_MAX];
    site_line_format(&state_site(cli->state)->line, line);
    output_note(&cli->output, "on the machine of '%s': sealift operator join --site %s", name, line);
    return true;
}

/* --- export, import, site --- */

static bool site(struct cli *cli, const struct args *args, struct err *err)
{
    struct state *state = NULL;
    if (!access_site(cli, &state, err)) return false;
    site_print(cli);
    return true;
}

#define NEW_IDENTITY_OPTIONS                                                                                 \
    {"name", "NAME", "the operator's name (default: the login name)"},                                       \
        {"no-password", NULL, "keep the identity file without a password, protected by its mode alone"},     \
    {                                                                                                        \
        "weak", NULL, "take a password of fewer than 12 characters"                                          \
    }

static const struct option_spec init_options[] = {
    {"director", "KEY@HOST[:PORT]", "the director's key and operator address, as its --init printed them"},
    {"claim-code-file", "FILE", "the claim code is the first line of FILE; else it is asked for"},
    NEW_IDENTITY_OPTIONS,
    {0},
};
static const struct option_spec join_options[] = {
    {"site", "LINE", "the site line, from an admin"},
    {"director", "KEY@HOST[:PORT]",
     "the director's operator address, where it is not the usual port of the same host"},
    NEW_IDENTITY_OPTIONS,
    {0},
};
static const struct option_spec identity_options[] = {
    {"out", "FILE", "where the public identity is written"},
    NEW_IDENTITY_OPTIONS,
    {0},
};
static const struct option_spec add_options[] = {
    {"identity", "FILE", "what 'sealift operator identity' wrote on the other machine"},
    {"role", "ROLE", "operator, or admin, who may change the roster (default operator)"},
    {"fingerprint", "F", "the fingerprint that the other operator read out: then nobody is asked"},
    {"no-keys", NULL, "do not give the read half of every key"},
    UNWITNESSED_OPTION,
    CONFIRM_OPTION,
    {0},
};
static const struct option_spec export_options[] = {
    {"out", "FILE", "where the copy is written"},
    NEW_PASSWORD_OPTIONS,
    {0},
};
static const struct option_spec move_options[] = {
    {"director", "KEY@HOST[:PORT]", "the new director: 'sealift-director --init' printed it"},
    {"claim-code-file", "FILE", "the claim code is the first line of FILE"},
    {"rosters", "DIR", "take rosters that are not known here from a transporter's directory 'rosters'"},
    {"site", "LINE",
     "another admin has claimed the new director: the line that he was told; with --director where its "
     "operator port is not 9446"},
    {0},
};
static const struct option_spec import_options[] = {
    {"password-file", "FILE", "the password of the export is the first line of FILE; else it is asked for"},
    {"password-fd", "N", "the same, read from an open descriptor"},
    {0},
};

const struct command operator_commands[] = {
    {"operator", "init", "--director KEY@HOST[:PORT] [--name NAME] [--claim-code-file F] [--no-password]",
     "Makes this machine's operator the first admin of a new site and claims a director for it.\n"
     "Prints the site line, which transporters are started with.",
     "$ sealift operator init --director 5f3a…c1@backup.example.org --name anna\n"
     "claim code: \n"
     "sealift1:8c0f…:41d2…:5f3a…c1@backup.example.org:9447",
     init_options, 0, 0, site_init},
    {"operator", "join", "--site LINE [--director KEY@HOST[:PORT]]",
     "Enters a site whose admin has added this operator.",
     "$ sealift operator join --site sealift1:8c0f…:41d2…:5f3a…c1@backup.example.org:9447\n"
     "joined the site 8c0f… as 'ben'",
     join_options, 0, 0, site_join},
    {"operator", "move",
     "--director KEY@HOST[:PORT] [--rosters DIR] [--claim-code-file F] | --site LINE [--director "
     "KEY@HOST:PORT]",
     "Gives the site another director when the old one is lost with its key.\n"
     "Claims a new, empty one by its claim code. Prints the new site line, for the transporters and, with "
     "--site, the other operators.",
     "$ sealift operator move --director 77ab…09@backup2.example.org\n"
     "claim code of the new director: \n"
     "sealift1:8c0f…:41d2…:77ab…09@backup2.example.org:9447",
     move_options, 0, 0, site_move},
    {"operator", "list", "", "Lists the operators of the site.",
     "$ sealift operator list\n"
     "NAME  ROLE   FINGERPRINT                              THIS ONE\n"
     "anna  admin  ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567  yes",
     NULL, 0, 0, list},
    {"operator", "identity", "--out FILE [--name NAME]",
     "Writes this operator's public identity, for an admin of a site to add. Makes an identity if there is "
     "none.",
     "$ sealift operator identity --name ben --out ben.identity\n"
     "ben\tABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567",
     identity_options, 0, 0, identity},
    {"operator", "add", "NAME --identity FILE [--role admin|operator] [--fingerprint F] [--yes]",
     "Adds an operator: signs the next roster, and gives the read half of every key.",
     "$ sealift operator add ben --identity ben.identity --role admin\n"
     "add operator 'ben', fingerprint ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567? [y/N] y\n"
     "ben is an admin of this site",
     add_options, 1, 1, add},
    {"operator", "export", "--out FILE",
     "Writes a copy of this operator's identity and site line, under a password of its own.\n"
     "It is what opens the site again when this machine is lost. Keep it elsewhere.",
     "$ sealift operator export --out anna.export\n"
     "password of the export:",
     export_options, 0, 0, site_export},
    {"operator", "import", "FILE [--password-file F]",
     "Makes this machine that of the operator whose export FILE is.",
     "$ sealift operator import anna.export\n"
     "joined the site 8c0f… as 'anna'",
     import_options, 1, 1, site_import},
    {"operator", "site", "", "Prints the site line again.",
     "$ sealift operator site\n"
     "sealift1:8c0f…:41d2…:5f3a…c1@backup.example.org:9447",
     NULL, 0, 0, site},
    {0},
};
