#include "director/cli/site_move.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/host_port.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/member.h"
#include "director/cli/site_begin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- rosters from elsewhere: of a transporter's state, or another operator's --- */

static bool are_rosters(const char *dir, struct err *err)
{
    AUTO(free) char *first = xasprintf("%s/%010d", dir, 1);
    if (access(first, F_OK) == 0) return true;
    if (access(dir, F_OK) != 0) return err_sys(err, errno, "cannot open '%s'", dir);
    return err_set(
        err, ERR_NOT_FOUND,
        "no rosters lie in '%s': it is the directory 'rosters' of a transporter's state, with files "
        "%010d and on",
        dir, 1);
}

static bool take_rosters(struct cli *cli, const char *dir, struct err *err)
{
    const struct roster *known = state_roster(cli->state);
    if (!are_rosters(dir, err)) return err_wrap(err, "--rosters");
    for (uint64_t version = known ? roster_version(known) + 1 : 1;; version++) {
        AUTO(free) char *path = xasprintf("%s/%010llu", dir, (unsigned long long)version);
        AUTO(buf) struct buf bytes = {0};
        if (!file_read(AT_FDCWD, path, STATEMENT_MAX, &bytes, err)) return err->code == ERR_NOT_FOUND;
        if (!state_add_roster(cli->state, buf_span(&bytes), err)) return err_wrap(err, "'%s'", path);
    }
}

/* --- an admin claims the new director --- */

static bool names_director(const struct statement *roster, const struct director_address *director)
{
    return memcmp(roster->body.roster->director_curve_pk.data, director->curve_pk, BOX_PK_LEN) == 0;
}

static bool sign_next(struct cli *cli, const struct director_address *director, struct err *err)
{
    const struct identity *identity = NULL;
    const struct roster *current = state_roster(cli->state);
    if (!access_identity(cli, &identity, err)) return false;
    const Sealift__Member *self = roster_operator(current, identity->known.sign_pk);
    if (!self || self->role != SEALIFT__ROLE__ROLE_ADMIN)
        return err_set(err, ERR_POLICY, "only an admin of the site can give it another director");
    struct hash previous = hash_of(roster_bytes(current));
    Sealift__RosterBody body = *roster_body(current);
    body.previous = lent_bytes(previous.bytes, HASH_LEN);
    body.director_curve_pk = lent_bytes(director->curve_pk, BOX_PK_LEN);
    AUTO(buf) struct buf encoded = {0};
    AUTO(buf) struct buf roster = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER,
                                    .site = *roster_site(current),
                                    .version = roster_version(current) + 1,
                                    .body = buf_span(&encoded)};
    return statement_sign(identity->sign, &draft, &roster, err) &&
           state_keep_claim(cli->state, buf_span(&roster), err);
}

/* Made once and kept, so that a claim whose answer was lost is the same again. */
static bool next_roster(struct cli *cli, const struct director_address *director, struct buf *bytes,
                        struct err *err)
{
    AUTO(statement) struct statement *kept = NULL;
    uint64_t wanted = roster_version(state_roster(cli->state)) + 1;
    struct err none;
    if (state_claim(cli->state, bytes, &none) && statement_decode(buf_span(bytes), &kept, &none) &&
        kept->version == wanted && names_director(kept, director))
        return true;
    return sign_next(cli, director, err) && state_claim(cli->state, bytes, err);
}

static bool put_chain(struct cli *cli, struct span next, struct buf *out, struct err *err)
{
    uint64_t count = roster_version(state_roster(cli->state));
    AUTO(free) struct buf *parts = xcalloc(count + 1, sizeof(*parts));
    AUTO(free) ProtobufCBinaryData *blobs = xcalloc(count + 1, sizeof(*blobs));
    bool ok = true;
    for (uint64_t i = 0; ok && i < count; i++) {
        ok = state_roster_bytes(cli->state, i + 1, &parts[i], err);
        blobs[i] = lent_bytes(parts[i].data, parts[i].len);
    }
    blobs[count] = lent_bytes(next.data, next.len);
    Sealift__Blobs body = SEALIFT__BLOBS__INIT;
    body.n_blob = count + 1;
    body.blob = blobs;
    if (ok) payload_blobs_encode(&body, out);
    for (uint64_t i = 0; i < count; i++)
        buf_deinit(&parts[i]);
    return ok;
}

static bool send_adopt(struct cli *cli, const struct director_address *director, const struct secret *code,
                       struct span next, uint16_t *control_port, struct err *err)
{
    AUTO(client) struct client *client = NULL;
    AUTO(client_message) struct client_message answer = {0};
    AUTO(buf) struct buf chain = {0};
    Sealift__Adopt body = SEALIFT__ADOPT__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.code = (char *)code->data;
    head.kind_case = SEALIFT__HEAD__KIND_ADOPT;
    head.adopt = &body;
    if (!put_chain(cli, next, &chain, err) ||
        !client_new(director, state_transport(cli->state), CLIENT_LIMIT_MS, &client, err))
        return false;
    if (!client_request(client, &head, buf_span(&chain), CLIENT_REPEATABLE, &answer, err))
        return err_wrap(err, "the claim");
    uint64_t port = answer.head->done->count;
    if (port == 0 || port > UINT16_MAX)
        return err_set(err, ERR_PROTOCOL, "the director's answer to the claim names no control port");
    *control_port = (uint16_t)port;
    return true;
}

static bool pin(struct cli *cli, const struct director_address *operator_port, uint16_t control_port,
                struct err *err)
{
    struct state_site site = *state_site(cli->state);
    site.director = *operator_port;
    site.line.director = *operator_port;
    site.line.director.port = control_port;
    return state_pin_site(cli->state, &site, err);
}

static bool claim(struct cli *cli, const struct args *args, const struct director_address *director,
                  struct err *err)
{
    AUTO(buf) struct buf next = {0};
    AUTO(secret) struct secret *code = NULL;
    uint16_t control_port = 0;
    struct secret_source source = {.file = args_value(args, "claim-code-file"), .fd = -1};
    return next_roster(cli, director, &next, err) &&
           secret_line(&source, "claim code of the new director", &code, err) &&
           send_adopt(cli, director, code, buf_span(&next), &control_port, err) &&
           /* in this order: of what is interrupted in between, the director's next answer gives the roster */
           pin(cli, director, control_port, err) && state_add_roster(cli->state, buf_span(&next), err);
}

/* --- the other operators follow --- */

/* The new director must hand out a chain that goes on from what is known here, and names its key. */
static bool follow(struct cli *cli, const struct args *args, struct err *err)
{
    struct site_line line;
    struct client *client = NULL;
    const struct state_site before = *state_site(cli->state);
    const char *address = args_value(args, "director");
    if (!site_line_parse(args_value(args, "site"), &line, err)) return err_wrap(err, "--site");
    if (!id_eq(&line.site, &before.line.site) || memcmp(line.admin, before.line.admin, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_POLICY, "--site is the line of another site");
    struct director_address director = line.director;
    director.port = DEFAULT_OPERATOR_PORT;
    if (address && !director_address_parse(address, DEFAULT_OPERATOR_PORT, &director, err))
        return err_wrap(err, "--director");
    if (memcmp(director.curve_pk, line.director.curve_pk, BOX_PK_LEN) != 0)
        return err_set(err, ERR_USAGE, "--director and --site name different directors");
    if (!pin(cli, &director, line.director.port, err)) return false;
    bool ok = access_director(cli, &client, err) &&
              (memcmp(roster_body(access_roster(cli))->director_curve_pk.data, director.curve_pk,
                      BOX_PK_LEN) == 0 ||
               err_set(err, ERR_NOT_AUTHENTIC, "no admin of the site has signed for this director"));
    struct err ignored;
    if (ok) return true;
    (void)!state_pin_site(cli->state, &before, &ignored);
    if (err->code != ERR_UNREACHABLE || address) return false;
    return err_wrap(
        err,
        "the director of --site was asked at its usual operator port, %d: where it is another, say "
        "also --director KEY@HOST:PORT, as 'operator move' of the other admin printed it",
        DEFAULT_OPERATOR_PORT);
}

/* --- the verb --- */

static bool move(struct cli *cli, const struct args *args, struct err *err)
{
    struct director_address director;
    const char *address = args_value(args, "director"), *rosters = args_value(args, "rosters");
    if (args_value(args, "site")) return follow(cli, args, err);
    if (!address)
        return err_set(err, ERR_USAGE, "--director KEY@HOST is needed: 'sealift-director --init' printed it");
    if (!director_address_parse(address, DEFAULT_OPERATOR_PORT, &director, err))
        return err_wrap(err, "--director");
    if (rosters && !take_rosters(cli, rosters, err)) return false;
    if (!state_roster(cli->state))
        return err_set(err, ERR_NOT_FOUND,
                       "no roster of the site is known here: --rosters DIR names a transporter's directory "
                       "'rosters', or a copy of it");
    return claim(cli, args, &director, err);
}

/* The line has the control port; the operator port is told where nobody could guess it. */
static void say_next(const struct cli *cli)
{
    const struct director_address *director = &state_site(cli->state)->director;
    AUTO(buf) struct buf address = {0};
    char key[2 * BOX_PK_LEN + 1], host[HOST_PORT_TEXT_MAX];
    host_port_host_text(director->host, host);
    hex_encode(director->curve_pk, BOX_PK_LEN, key);
    if (director->port != DEFAULT_OPERATOR_PORT)
        buf_printf(&address, " --director %s@%s:%u", key, host, director->port);
    output_note(
        &cli->output,
        "tell it to each transporter, and start it again: 'sealift-transporter --move --to LINE --config "
        "FILE'; and to each other operator: 'sealift operator move --site LINE%s'",
        buf_cstr(&address));
}

bool site_move(struct cli *cli, const struct args *args, struct err *err)
{
    struct state *state = NULL;
    if (!access_site(cli, &state, err) || !move(cli, args, err)) return false;
    site_print(cli);
    say_next(cli);
    return true;
}
