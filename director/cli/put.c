#include "director/cli/put.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/wire/grant.h"
#include "common/wire/lent.h"

#include <string.h>

/* --- putting --- */

bool put_request(struct cli *cli, Sealift__Head *head, struct span payload, enum client_repeat repeat,
                 struct id *run, struct err *err)
{
    struct client *client = NULL;
    AUTO(client_message) struct client_message answer = {0};
    if (!access_director(cli, &client, err) || !client_request(client, head, payload, repeat, &answer, err))
        return false;
    const Sealift__Done *done = answer.head->done;
    if (run && done->run.len != ID_LEN)
        return err_set(err, ERR_PROTOCOL, "the director's answer names no run");
    if (run) memcpy(run->bytes, done->run.data, ID_LEN);
    return true;
}

static bool send_statement(struct cli *cli, struct span bytes, struct id *run, struct err *err)
{
    Sealift__Put body = SEALIFT__PUT__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_PUT;
    head.put = &body;
    return put_request(cli, &head, bytes, CLIENT_REPEATABLE, run, err);
}

static uint64_t next_version(const struct state *state, const struct put_request *request)
{
    uint64_t known = state_version(state, request->type, &request->id, NULL);
    uint64_t now_ms = clock_real_ns() / 1000000;
    return known + 1 > now_ms ? known + 1 : now_ms;
}

static bool sign(struct cli *cli, const struct put_request *request, uint64_t version, struct buf *out,
                 struct err *err)
{
    const struct identity *identity = NULL;
    AUTO(buf) struct buf body = {0};
    if (!access_identity(cli, &identity, err)) return false;
    statement_body_encode(request->body, &body);
    struct statement_draft draft = {.type = request->type,
                                    .site = state_site(cli->state)->line.site,
                                    .audience = request->audience,
                                    .id = request->id,
                                    .version = version,
                                    .expiry_s = request->expiry_s,
                                    .body = buf_span(&body)};
    return statement_sign(identity->sign, &draft, out, err);
}

bool put_statement(struct cli *cli, const struct put_request *request, struct id *run, struct statement **out,
                   struct err *err)
{
    struct client *client = NULL;
    AUTO(buf) struct buf bytes = {0};
    AUTO(statement) struct statement *statement = NULL;
    if (!access_director(cli, &client, err)) return false;
    if (!sign(cli, request, next_version(cli->state, request), &bytes, err) ||
        !statement_decode(buf_span(&bytes), &statement, err) ||
        !send_statement(cli, buf_span(&bytes), run, err))
        return false;
    version_memory_put(state_versions(cli->state), statement->type, &statement->id, statement->version,
                       &statement->hash);
    if (!state_save_versions(cli->state, err)) return false;
    if (out) {
        *out = statement;
        statement = NULL;
    }
    return true;
}

bool put_roster(struct cli *cli, const Sealift__RosterBody *body, struct err *err)
{
    const struct roster *current = access_roster(cli);
    struct hash previous = hash_of(roster_bytes(current));
    Sealift__RosterBody next = *body;
    next.previous = lent_bytes(previous.bytes, HASH_LEN);
    const struct put_request request = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER, .body = &next};
    AUTO(buf) struct buf bytes = {0};
    return sign(cli, &request, roster_version(current) + 1, &bytes, err) &&
           send_statement(cli, buf_span(&bytes), NULL, err) &&
           state_add_roster(cli->state, buf_span(&bytes), err);
}

bool put_unlock_section(struct cli *cli, struct span section, struct err *err)
{
    Sealift__PutUnlock body = SEALIFT__PUT_UNLOCK__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_PUT_UNLOCK;
    head.put_unlock = &body;
    return put_request(cli, &head, section, CLIENT_REPEATABLE, NULL, err);
}

/* --- sealed copies --- */

struct sealed_copy {
    Sealift__SealedCopy message; /* first: the list points to it */
    uint8_t recipient[SIGN_PK_LEN];
    struct buf sealed;
};

void sealed_copies_deinit(struct sealed_copies *copies)
{
    for (size_t i = 0; i < copies->count; i++) {
        struct sealed_copy *copy = (struct sealed_copy *)copies->list[i];
        buf_deinit(&copy->sealed);
        free(copy);
    }
    free(copies->list);
    *copies = (struct sealed_copies){0};
}

static bool has_copy(const struct sealed_copies *copies, const Sealift__Member *member)
{
    for (size_t i = 0; i < copies->count; i++)
        if (memcmp(copies->list[i]->recipient.data, member->sign_pk.data, SIGN_PK_LEN) == 0) return true;
    return false;
}

static bool add_copy(struct sealed_copies *copies, const Sealift__Member *member, struct span context,
                     struct span plain, struct err *err)
{
    if (has_copy(copies, member)) return true;
    struct sealed_copy *copy = xcalloc(1, sizeof(*copy));
    copies->list = xreallocarray(copies->list, copies->count + 1, sizeof(Sealift__SealedCopy *));
    copies->list[copies->count++] = &copy->message;
    sealift__sealed_copy__init(&copy->message);
    memcpy(copy->recipient, member->sign_pk.data, SIGN_PK_LEN);
    copy->message.recipient = lent_bytes(copy->recipient, SIGN_PK_LEN);
    if (!box_seal(member->box_pk.data, context, plain, &copy->sealed, err))
        return err_wrap(err, "cannot seal to '%s'", member->name);
    copy->message.sealed = lent_bytes(copy->sealed.data, copy->sealed.len);
    return true;
}

bool sealed_copies_make(const struct roster *roster, const char *purpose, const struct id *id,
                        const Sealift__Member *const *hosts, size_t host_count, struct span plain,
                        struct sealed_copies *out, struct err *err)
{
    AUTO(sealed_copies) struct sealed_copies copies = {0};
    AUTO(buf) struct buf context = {0};
    const Sealift__RosterBody *body = roster_body(roster);
    statement_box_context(purpose, roster_site(roster), id, span_of(NULL, 0), &context);
    for (size_t i = 0; i < host_count; i++)
        if (!add_copy(&copies, hosts[i], buf_span(&context), plain, err)) return false;
    for (size_t i = 0; i < body->n_operators; i++)
        if (!add_copy(&copies, body->operators[i], buf_span(&context), plain, err)) return false;
    *out = copies;
    copies = (struct sealed_copies){0};
    return true;
}

bool sealed_copies_open(struct cli *cli, Sealift__SealedCopy *const *copies, size_t count,
                        const char *purpose, const struct id *id, struct secret **out, struct err *err)
{
    const struct identity *identity = NULL;
    return access_identity(cli, &identity, err) &&
           sealed_copy_open(copies, count, identity->known.sign_pk, identity->box, purpose,
                            &state_site(cli->state)->line.site, id, out, err);
}
