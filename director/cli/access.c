#include "director/cli/access.h"

#include "common/base/text.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/nearest.h"

#include <stdio.h>
#include <string.h>

enum { TRIES = 3, NAMES_MAX = 256 };

bool access_state(struct cli *cli, struct state **out, struct err *err)
{
    if (!cli->state && !state_open(cli->state_dir, &cli->state, err)) return false;
    *out = cli->state;
    return true;
}

bool access_site(struct cli *cli, struct state **out, struct err *err)
{
    if (!access_state(cli, out, err)) return false;
    struct identity_public known;
    if (state_site(*out) && state_identity(*out, &known) != STATE_NO_IDENTITY) return true;
    return err_set(
        err, ERR_NOT_FOUND,
        "'%s' belongs to no site: 'sealift operator init' makes one, 'sealift operator join' enters one, "
        "--state names another directory",
        cli->state_dir);
}

/* --- the director --- */

static bool hello(struct client *client, uint64_t known, uint64_t *current, struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    Sealift__OperatorHello body = SEALIFT__OPERATOR_HELLO__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.roster_version = known;
    head.kind_case = SEALIFT__HEAD__KIND_OPERATOR_HELLO;
    head.operator_hello = &body;
    if (!client_request(client, &head, span_of(NULL, 0), CLIENT_REPEATABLE, &answer, err)) return false;
    *current = answer.head->done->count;
    return true;
}

static uint64_t known_version(const struct state *state)
{
    return state_roster(state) ? roster_version(state_roster(state)) : 0;
}

/* One answer's worth of the rosters that are missing here. */
static bool fetch_rosters(struct client *client, struct state *state, struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    AUTO(payload_blobs) Sealift__Blobs *blobs = NULL;
    Sealift__Get body = SEALIFT__GET__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.what = SEALIFT__GET_KIND__GET_ROSTERS;
    body.from = known_version(state);
    head.kind_case = SEALIFT__HEAD__KIND_GET;
    head.get = &body;
    if (!client_request(client, &head, span_of(NULL, 0), CLIENT_REPEATABLE, &answer, err)) return false;
    if (!payload_blobs_decode(buf_span(&answer.payload), &blobs, err))
        return err_wrap(err, "the director's rosters");
    if (blobs->n_blob == 0)
        return err_set(err, ERR_PROTOCOL, "the director does not hand out roster %llu",
                       (unsigned long long)body.from + 1);
    for (size_t i = 0; i < blobs->n_blob; i++)
        if (!state_add_roster(state, span_of(blobs->blob[i].data, blobs->blob[i].len), err))
            return err_wrap(err, "a roster from the director");
    return true;
}

static bool give_back(struct cli *cli, uint64_t version, struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    AUTO(buf) struct buf bytes = {0};
    Sealift__Put body = SEALIFT__PUT__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_PUT;
    head.put = &body;
    return state_roster_bytes(cli->state, version, &bytes, err) &&
           client_request(cli->client, &head, buf_span(&bytes), CLIENT_REPEATABLE, &answer, err);
}

static bool put_back(struct client *client, Sealift__Head *head, struct span bytes, struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    return client_request(client, head, bytes, CLIENT_REPEATABLE, &answer, err);
}

/* This operator's own read grants, with their unlock sections. What the director does not take is older than
 * what it has. */
static bool give_back_grant(void *arg, struct span bytes, struct err *err)
{
    struct cli *cli = arg;
    struct err refused;
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__PutUnlock put_unlock = SEALIFT__PUT_UNLOCK__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    AUTO(statement) struct statement *grant = NULL;
    AUTO(buf) struct buf section = {0};
    if (!statement_decode(bytes, &grant, &refused) || grant->type != SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT)
        return true;
    struct hash hash = {{0}};
    const ProtobufCBinaryData *named = &grant->body.grant->unlock_hash;
    if (named->len == HASH_LEN) memcpy(hash.bytes, named->data, HASH_LEN);
    head.kind_case = SEALIFT__HEAD__KIND_PUT_UNLOCK;
    head.put_unlock = &put_unlock;
    bool put_one = !state_unlock(cli->state, &hash, &section, &refused) ||
                   put_back(cli->client, &head, buf_span(&section), &refused);
    head = (Sealift__Head)SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_PUT;
    head.put = &put;
    put_one = put_one && put_back(cli->client, &head, bytes, &refused);
    if (put_one || refused.code != ERR_UNREACHABLE) return true;
    *err = refused;
    return false;
}

bool access_give_back(struct cli *cli, struct err *err)
{
    return state_each_grant(cli->state, give_back_grant, cli, err);
}

static bool keep_step(struct cli *cli, struct err *err)
{
    uint64_t current = 0, before = known_version(cli->state);
    if (!hello(cli->client, before, &current, err)) return false;
    while (known_version(cli->state) < current)
        if (!fetch_rosters(cli->client, cli->state, err)) return false;
    for (uint64_t version = current + 1; version <= before; version++) {
        if (!give_back(cli, version, err))
            return err_wrap(err, "the director forgot roster %llu, which this machine has seen",
                            (unsigned long long)version);
        output_warning(&cli->output, "the director had forgotten roster %llu: it was given back",
                       (unsigned long long)version);
    }
    return true;
}

bool access_director(struct cli *cli, struct client **out, struct err *err)
{
    struct state *state = NULL;
    if (!access_site(cli, &state, err)) return false;
    if (!cli->client) {
        AUTO(client) struct client *client = NULL;
        if (!client_new(&state_site(state)->director, state_transport(state), CLIENT_LIMIT_MS, &client, err))
            return false;
        cli->client = client;
        client = NULL;
        if (!keep_step(cli, err)) return false;
    }
    if (!state_roster(state)) return err_set(err, ERR_PROTOCOL, "the director has no roster");
    *out = cli->client;
    return true;
}

/* --- the identity --- */

bool access_identity_is_free(struct cli *cli)
{
    struct identity_public known;
    const struct secret_source *source = &cli->identity_password;
    return cli->identity || source->file || source->fd >= 0 ||
           (cli->state && state_identity(cli->state, &known) == STATE_IDENTITY_PLAIN);
}

static bool open_with_password(struct cli *cli, const char *name, struct err *err)
{
    char prompt[IDENTITY_NAME_MAX + 64];
    (void)snprintf(prompt, sizeof(prompt), "password of the operator identity '%s'", name);
    bool typed = !cli->identity_password.file && cli->identity_password.fd < 0;
    for (int i = 0;; i++) {
        AUTO(secret) struct secret *password = NULL;
        enum password_strength strength;
        if (!secret_password(&cli->identity_password, prompt, SECRET_ONCE, &password, &strength, err)) {
            if (err->code == ERR_NO_KEY)
                return err_set(err, ERR_NO_KEY,
                               "the identity '%s' is under a password and there is no terminal to ask "
                               "for it: --identity-password-file names a file with it",
                               name);
            return false;
        }
        if (state_open_identity(cli->state, password, &cli->identity, err)) return true;
        if (err->code != ERR_WRONG_KEY || !typed || i + 1 == TRIES) return false;
        output_warning(&cli->output, "%s", err->text);
        err_clear(err);
    }
}

bool access_identity(struct cli *cli, const struct identity **out, struct err *err)
{
    struct state *state = NULL;
    struct identity_public known;
    if (!access_state(cli, &state, err)) return false;
    enum state_identity kind = state_identity(state, &known);
    if (cli->identity) {
        *out = cli->identity;
        return true;
    }
    if (!(kind == STATE_IDENTITY_UNDER_PASSWORD ? open_with_password(cli, known.name, err)
                                                : state_open_identity(state, NULL, &cli->identity, err)))
        return false;
    *out = cli->identity;
    return true;
}

/* --- the roster --- */

const struct roster *access_roster(const struct cli *cli)
{
    return state_roster(cli->state);
}

bool access_is_pending(struct cli *cli, const char *name, struct err *why)
{
    struct err ignored;
    AUTO(pending_list) struct pending_list list = {0};
    bool found = false;
    if (!ask_pending(cli, &list, &ignored)) return false;
    for (size_t i = 0; i < list.count; i++)
        found = found || strcmp(list.items[i].name, name) == 0;
    if (!found) return false;
    (void)err_set(why, ERR_NOT_FOUND,
                  "'%s' waits to be let in: 'sealift transporter pending' shows its fingerprint, "
                  "'sealift transporter approve %s --zone trusted' (or untrusted) lets it in",
                  name, name);
    return true;
}

void access_note_pending(const struct cli *cli, size_t count)
{
    if (count == 0) return;
    output_note(&cli->output,
                "%zu %s to be let in: 'sealift transporter pending' names who asks, with the "
                "fingerprint that its own --init showed",
                count, plural(count, "transporter waits", "transporters wait"));
}

bool access_transporter(struct cli *cli, const char *name, const Sealift__Member **out, struct err *err)
{
    const Sealift__Member *member = roster_transporter_named(access_roster(cli), name);
    if (member) {
        *out = member;
        return true;
    }
    if (access_is_pending(cli, name, err)) return false;
    const Sealift__RosterBody *body = roster_body(access_roster(cli));
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < body->n_transporters && count < NAMES_MAX; i++)
        names[count++] = body->transporters[i]->name;
    const char *near = nearest_word(name, names, count);
    if (near)
        return err_set(err, ERR_NOT_FOUND, "there is no transporter '%s'; did you mean '%s'?", name, near);
    return err_set(err, ERR_NOT_FOUND, "there is no transporter '%s'", name);
}

void access_name_of(const struct cli *cli, const uint8_t sign_pk[SIGN_PK_LEN],
                    char out[static IDENTITY_NAME_MAX + 1])
{
    const Sealift__Member *member = roster_transporter(access_roster(cli), sign_pk);
    if (!member) member = roster_operator(access_roster(cli), sign_pk);
    char digits[9];
    hex_encode(sign_pk, 4, digits);
    if (member)
        (void)snprintf(out, IDENTITY_NAME_MAX + 1, "%s", member->name);
    else
        (void)snprintf(out, IDENTITY_NAME_MAX + 1, "?%s", digits);
}

void access_close(struct cli *cli)
{
    identity_free(cli->identity);
    client_free(cli->client);
    state_close(cli->state);
}
