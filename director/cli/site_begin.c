#include "director/cli/site_begin.h"

#include "common/base/file.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/member.h"
#include "director/cli/new_password.h"
#include "director/cli/put.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define EXPORT_LINE "sealift-export1"
enum { EXPORT_MAX = 8192 };

void site_print(struct cli *cli)
{
    const struct state_site *site = state_site(cli->state);
    char line[SITE_LINE_MAX];
    site_line_format(&site->line, line);
    output_line(&cli->output,
                json_pack("{s:o, s:s}", "site", json_hex(site->line.site.bytes, ID_LEN), "site_line", line),
                "%s", line);
}

void site_warn_if_alone(struct cli *cli)
{
    const struct roster *roster = access_roster(cli);
    if (!roster || roster_body(roster)->n_operators > 1 || state_exported(cli->state)) return;
    output_warning(
        &cli->output,
        "this machine holds the only operator identity of the site; if it is lost, nobody can sign or open "
        "anything again: 'sealift operator export' or 'sealift operator add'");
}

/* --- the identity --- */

static bool choose_name(const struct args *args, char out[static IDENTITY_NAME_MAX + 1], struct err *err)
{
    const char *name = args_value(args, "name");
    if (!name) {
        const struct passwd *entry = getpwuid(getuid());
        name = entry ? entry->pw_name : "operator";
    }
    if (!identity_name_check(name, err)) return err_wrap(err, "--name");
    (void)snprintf(out, IDENTITY_NAME_MAX + 1, "%s", name);
    return true;
}

static bool make_key_file(struct cli *cli, const struct args *args, const struct identity *identity,
                          struct secret **out, struct err *err)
{
    if (args_flag(args, "no-password")) {
        *out = identity_encode(identity);
        return true;
    }
    AUTO(secret) struct secret *password = NULL;
    if (!new_password(args, &cli->identity_password, "password for the new operator identity", &password,
                      err)) {
        if (err->code == ERR_NO_KEY)
            return err_set(err, ERR_NO_KEY,
                           "there is no terminal to ask for a password of the identity: "
                           "--identity-password-file names a file with it, --no-password does without");
        return false;
    }
    return identity_seal(identity, password, &PWHASH_MODERATE, out, err);
}

bool site_need_identity(struct cli *cli, const struct args *args, struct err *err)
{
    struct identity_public known;
    char name[IDENTITY_NAME_MAX + 1];
    const char *wanted = args_value(args, "name");
    if (state_identity(cli->state, &known) != STATE_NO_IDENTITY) {
        if (!wanted || strcmp(wanted, known.name) == 0) return true;
        return err_set(err, ERR_EXISTS, "there is an identity already in '%s': that of '%s'", cli->state_dir,
                       known.name);
    }
    AUTO(identity) struct identity *identity = NULL;
    AUTO(secret) struct secret *file = NULL;
    if (!choose_name(args, name, err) || !identity_new(name, &identity, err) ||
        !make_key_file(cli, args, identity, &file, err) ||
        !state_keep_identity(cli->state, identity, file, err))
        return false;
    cli->identity = identity;
    identity = NULL;
    return true;
}

/* --- init --- */

static bool sign_first_roster(struct cli *cli, const struct director_address *director, struct err *err)
{
    const struct identity *identity = NULL;
    if (!access_identity(cli, &identity, err)) return false;
    Sealift__Member member, *members[] = {&member};
    member_init(&member, &identity->known);
    member.role = SEALIFT__ROLE__ROLE_ADMIN;
    Sealift__RosterBody body = SEALIFT__ROSTER_BODY__INIT;
    body.n_operators = 1;
    body.operators = members;
    body.director_curve_pk = lent_bytes(director->curve_pk, BOX_PK_LEN);
    AUTO(buf) struct buf encoded = {0};
    AUTO(buf) struct buf roster = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER,
                                    .site = id_random(),
                                    .version = 1,
                                    .body = buf_span(&encoded)};
    return statement_sign(identity->sign, &draft, &roster, err) &&
           state_keep_claim(cli->state, buf_span(&roster), err);
}

/* The roster that claims: made once and kept, so that a claim whose answer was lost is the same again. */
static bool first_roster(struct cli *cli, const struct director_address *director, struct buf *bytes,
                         struct statement **out, struct err *err)
{
    AUTO(statement) struct statement *statement = NULL;
    if (!state_claim(cli->state, bytes, err)) {
        if (err->code != ERR_NOT_FOUND) return false;
        if (!sign_first_roster(cli, director, err) || !state_claim(cli->state, bytes, err)) return false;
    }
    if (!statement_decode(buf_span(bytes), &statement, err))
        return err_wrap(err, "the claim kept in the state");
    if (memcmp(statement->body.roster->director_curve_pk.data, director->curve_pk, BOX_PK_LEN) != 0)
        return err_set(err, ERR_EXISTS, "a claim of another director began in '%s'; use --state for this one",
                       cli->state_dir);
    *out = statement;
    statement = NULL;
    return true;
}

static bool send_claim(struct cli *cli, const struct director_address *director, const struct secret *code,
                       struct span roster, uint16_t *control_port, struct err *err)
{
    AUTO(client) struct client *client = NULL;
    AUTO(client_message) struct client_message answer = {0};
    if (!client_new(director, state_transport(cli->state), CLIENT_LIMIT_MS, &client, err)) return false;
    Sealift__Claim body = SEALIFT__CLAIM__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.code = (char *)code->data;
    head.kind_case = SEALIFT__HEAD__KIND_CLAIM;
    head.claim = &body;
    if (!client_request(client, &head, roster, CLIENT_REPEATABLE, &answer, err))
        return err_wrap(err, "the claim");
    uint64_t port = answer.head->done->count;
    if (port == 0 || port > UINT16_MAX)
        return err_set(err, ERR_PROTOCOL, "the director's answer to the claim names no control port");
    *control_port = (uint16_t)port;
    return true;
}

static bool claim(struct cli *cli, const struct args *args, const struct director_address *director,
                  struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(statement) struct statement *roster = NULL;
    AUTO(secret) struct secret *code = NULL;
    struct secret_source source = {.file = args_value(args, "claim-code-file"), .fd = -1};
    struct state_site site = {.director = *director, .line = {.director = *director}};
    if (!first_roster(cli, director, &bytes, &roster, err) ||
        !secret_line(&source, "claim code of the director", &code, err) ||
        !send_claim(cli, director, code, buf_span(&bytes), &site.line.director.port, err))
        return false;
    site.line.site = roster->site;
    memcpy(site.line.admin, roster->signer, SIGN_PK_LEN);
    return state_pin_site(cli->state, &site, err) && state_add_roster(cli->state, buf_span(&bytes), err);
}

bool site_init(struct cli *cli, const struct args *args, struct err *err)
{
    struct state *state = NULL;
    struct director_address director;
    if (!args_value(args, "director"))
        return err_set(err, ERR_USAGE, "--director KEY@HOST is needed: 'sealift-director --init' printed it");
    if (!director_address_parse(args_value(args, "director"), DEFAULT_OPERATOR_PORT, &director, err))
        return err_wrap(err, "--director");
    if (!access_state(cli, &state, err)) return false;
    if (state_site(state))
        return err_set(err, ERR_EXISTS, "'%s' belongs to a site already; use --state for another one",
                       cli->state_dir);
    if (!site_need_identity(cli, args, err) || !claim(cli, args, &director, err)) return false;
    site_print(cli);
    site_warn_if_alone(cli);
    return true;
}

/* --- join --- */

static bool say_joined(struct cli *cli, struct err *err)
{
    struct client *client = NULL;
    struct identity_public self;
    if (!access_director(cli, &client, err)) return false;
    (void)state_identity(cli->state, &self);
    if (!roster_operator(access_roster(cli), self.sign_pk))
        return err_set(err, ERR_POLICY, "'%s' is no operator of this site", self.name);
    char site[2 * ID_LEN + 1];
    hex_encode(state_site(cli->state)->line.site.bytes, ID_LEN, site);
    output_line(&cli->output, json_pack("{s:s, s:s}", "site", site, "operator", self.name),
                "joined the site %s as '%s'", site, self.name);
    return true;
}

bool site_join(struct cli *cli, const struct args *args, struct err *err)
{
    struct state *state = NULL;
    struct state_site site;
    if (!args_value(args, "site")) return err_set(err, ERR_USAGE, "--site LINE is needed: an admin has it");
    if (!site_line_parse(args_value(args, "site"), &site.line, err)) return err_wrap(err, "--site");
    site.director = site.line.director;
    site.director.port = DEFAULT_OPERATOR_PORT;
    const char *address = args_value(args, "director");
    if (address && !director_address_parse(address, DEFAULT_OPERATOR_PORT, &site.director, err))
        return err_wrap(err, "--director");
    if (memcmp(site.director.curve_pk, site.line.director.curve_pk, BOX_PK_LEN) != 0)
        return err_set(err, ERR_USAGE, "--director and --site name different directors");
    return access_state(cli, &state, err) && site_need_identity(cli, args, err) &&
           state_pin_site(state, &site, err) && say_joined(cli, err);
}

/* --- export and import: three lines of text, of which the last is the sealed key file in hex --- */

static void put_export(const struct state_site *site, const struct secret *file, struct buf *out)
{
    char line[SITE_LINE_MAX];
    site_line_format(&site->line, line);
    buf_printf(out, "%s\n%s\n%u\n", EXPORT_LINE, line, site->director.port);
    size_t at = out->len;
    (void)buf_grow(out, 2 * file->len + 1);
    hex_encode(file->data, file->len, (char *)out->data + at);
    out->data[out->len - 1] = '\n';
}

bool site_export(struct cli *cli, const struct args *args, struct err *err)
{
    struct state *state = NULL;
    const struct identity *identity = NULL;
    struct secret_source source;
    AUTO(secret) struct secret *password = NULL, *file = NULL;
    AUTO(buf) struct buf text = {0};
    const char *path = args_value(args, "out");
    if (!path) return err_set(err, ERR_USAGE, "--out FILE is needed");
    if (!secret_source_of(args, "password-file", "password-fd", &source, err) ||
        !access_site(cli, &state, err) || !access_identity(cli, &identity, err) ||
        !new_password(args, &source, "password of the export", &password, err) ||
        !identity_seal(identity, password, &PWHASH_MODERATE, &file, err))
        return false;
    put_export(state_site(state), file, &text);
    if (!file_create(AT_FDCWD, path, buf_span(&text), 0600, err) || !state_mark_exported(state, err))
        return false;
    output_line(&cli->output, json_pack("{s:s, s:s}", "operator", identity->known.name, "file", path),
                "the identity of '%s' is in '%s': keep it away from this machine", identity->known.name,
                path);
    return true;
}

static bool parse_export(char *text, struct state_site *site, struct secret **file, struct err *err)
{
    char *rest = NULL;
    const char *head = strtok_r(text, "\n", &rest), *line = strtok_r(NULL, "\n", &rest),
               *port = strtok_r(NULL, "\n", &rest), *digits = strtok_r(NULL, "\n", &rest);
    if (!digits || strcmp(head, EXPORT_LINE) != 0)
        return err_set(err, ERR_DAMAGED, "it is no export of an operator");
    if (!site_line_parse(line, &site->line, err)) return false;
    site->director = site->line.director;
    char *end = NULL;
    unsigned long number = strtoul(port, &end, 10);
    if (*end || number == 0 || number > UINT16_MAX) return err_set(err, ERR_DAMAGED, "'%s' is no port", port);
    site->director.port = (uint16_t)number;
    struct secret *bytes = secret_new(strlen(digits) / 2);
    if (hex_decode(digits, bytes->data, bytes->len, err)) {
        *file = bytes;
        return true;
    }
    secret_free(bytes);
    return false;
}

/* It is the identity's from now on. */
static bool open_export(const struct cli *cli, const struct args *args, const struct secret *file,
                        struct identity **out, struct err *err)
{
    AUTO(secret) struct secret *password = NULL;
    enum password_strength strength;
    struct secret_source source;
    if (!secret_source_of(args, "password-file", "password-fd", &source, err)) return false;
    if (!source.file && source.fd < 0) source = cli->identity_password;
    return secret_password(&source, "password of the export", SECRET_ONCE, &password, &strength, err) &&
           identity_open(span_of(file->data, file->len), password, out, err);
}

bool site_import(struct cli *cli, const struct args *args, struct err *err)
{
    struct state *state = NULL;
    struct state_site site;
    AUTO(buf) struct buf text = {0};
    AUTO(secret) struct secret *file = NULL;
    AUTO(identity) struct identity *identity = NULL;
    const char *path = args_operand(args, 0);
    if (!access_state(cli, &state, err) || !file_read(AT_FDCWD, path, EXPORT_MAX, &text, err)) return false;
    (void)buf_cstr(&text);
    if (!parse_export((char *)text.data, &site, &file, err)) return err_wrap(err, "'%s'", path);
    if (!open_export(cli, args, file, &identity, err) || !state_keep_identity(state, identity, file, err) ||
        !state_pin_site(state, &site, err) || !state_mark_exported(state, err))
        return false;
    cli->identity = identity;
    identity = NULL;
    return say_joined(cli, err);
}
