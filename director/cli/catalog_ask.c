#include "director/cli/catalog_ask.h"

#include "common/base/alloc.h"
#include "common/wire/lent.h"
#include "common/wire/stored.h"
#include "director/cli/put.h"
#include "director/cli/statements.h"

#include <string.h>

static bool ask(struct cli *cli, Sealift__Head *head, struct client_message *answer, struct err *err)
{
    struct client *client = NULL;
    return access_director(cli, &client, err) &&
           client_request(client, head, span_of(NULL, 0), CLIENT_REPEATABLE, answer, err);
}

bool ask_status(struct cli *cli, Sealift__StatusAnswer **out, struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    Sealift__StatusGet body = SEALIFT__STATUS_GET__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_STATUS_GET;
    head.status_get = &body;
    return ask(cli, &head, &answer, err) && (payload_status_decode(buf_span(&answer.payload), out, err) ||
                                             err_wrap(err, "the director's status"));
}

bool ask_pending(struct cli *cli, struct pending_list *out, struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    AUTO(payload_blobs) Sealift__Blobs *blobs = NULL;
    Sealift__PendingList body = SEALIFT__PENDING_LIST__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_PENDING_LIST;
    head.pending_list = &body;
    if (!ask(cli, &head, &answer, err)) return false;
    if (!payload_blobs_decode(buf_span(&answer.payload), &blobs, err))
        return err_wrap(err, "the director's list of who waits");
    struct pending_list list = {.items = xcalloc(blobs->n_blob + 1, sizeof(*list.items))};
    for (size_t i = 0; i < blobs->n_blob; i++) {
        struct err ignored = {0};
        if (identity_public_decode(span_of(blobs->blob[i].data, blobs->blob[i].len), &list.items[list.count],
                                   &ignored))
            list.count++;
    }
    *out = list;
    return true;
}

bool ask_runs(struct cli *cli, const struct id *job, unsigned limit, Sealift__RunListAnswer **out,
              struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    Sealift__RunList body = SEALIFT__RUN_LIST__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    if (job) body.job = lent_bytes(job->bytes, ID_LEN);
    body.limit = limit;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_LIST;
    head.run_list = &body;
    return ask(cli, &head, &answer, err) && (payload_run_list_decode(buf_span(&answer.payload), out, err) ||
                                             err_wrap(err, "the director's list of runs"));
}

bool ask_links(struct cli *cli, Sealift__LinkListAnswer **out, struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    Sealift__LinkList body = SEALIFT__LINK_LIST__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_LINK_LIST;
    head.link_list = &body;
    return ask(cli, &head, &answer, err) && (payload_link_list_decode(buf_span(&answer.payload), out, err) ||
                                             err_wrap(err, "the director's list of links"));
}

const Sealift__TransporterStatus *status_of_transporter(const Sealift__StatusAnswer *status,
                                                        const uint8_t sign_pk[SIGN_PK_LEN])
{
    for (size_t i = 0; i < status->n_transporters; i++)
        if (memcmp(status->transporters[i]->sign_pk.data, sign_pk, SIGN_PK_LEN) == 0)
            return status->transporters[i];
    return NULL;
}

const Sealift__RepositoryState *status_of_repository(const Sealift__StatusAnswer *status,
                                                     const struct id *repository)
{
    for (size_t i = 0; i < status->n_repositories; i++) {
        const ProtobufCBinaryData *id = &status->repositories[i]->repository;
        if (id->len == ID_LEN && memcmp(id->data, repository->bytes, ID_LEN) == 0)
            return status->repositories[i];
    }
    return NULL;
}

bool witness_heads(struct cli *cli, const Sealift__StatusAnswer *status,
                   const struct statements *repositories, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; i < status->n_repositories; i++) {
        const Sealift__RepositoryState *seen = status->repositories[i];
        if (seen->code != 0 || seen->repository.len != ID_LEN || seen->head_hash.len != HASH_LEN) continue;
        struct id id = stored_id(&seen->repository);
        struct hash hash = stored_hash(&seen->head_hash);
        struct err why = {0};
        if (state_witness_head(cli->state, &id, seen->head_number, &hash, &why)) continue;
        char name[IDENTITY_NAME_MAX + 1];
        statements_name_of(repositories, &id, name);
        (void)err_wrap(&why, "repository '%s'", name);
        output_warning(&cli->output, "%s", why.text);
        if (ok) *err = why;
        ok = false;
    }
    return ok;
}
