#include "director/cli/order.h"

#include "common/base/clock.h"
#include "common/wire/grant.h"
#include "common/wire/lent.h"
#include "common/wire/placement.h"
#include "director/cli/generations.h"
#include "director/cli/put.h"

#include <string.h>

enum { EXPIRY_S = 3600 };

/* What an order is made of before it is signed. */
struct draft {
    const struct order_request *request;
    const Sealift__Member *owner;  /* of the repository */
    const Sealift__Member *opener; /* who needs S */
    struct id id;
    enum order_by by;
    struct hash key_id;    /* of the secret that the order carries */
    struct buf generation; /* the unlock section of a later one; empty: it is the point's */
    Sealift__OrderBody body;
};
static void draft_deinit(struct draft *draft)
{
    buf_deinit(&draft->generation);
}
DEFINE_AUTO_IN_PLACE(draft, struct draft, draft_deinit)

static bool find_owner(struct cli *cli, const struct statements *repositories, struct draft *draft,
                       const Sealift__RepositoryBody **out, struct err *err)
{
    const struct statement *repository = statements_with_id(repositories, &draft->request->point->repository);
    if (!repository)
        return err_set(err, repositories->doubt.code ? ERR_NOT_AUTHENTIC : ERR_NOT_FOUND,
                       "the repository of this point is unknown");
    const Sealift__RepositoryBody *body = repository->body.repository;
    draft->owner = roster_transporter(access_roster(cli), body->owner.data);
    if (!draft->owner)
        return err_set(err, ERR_NOT_FOUND,
                       "the transporter that has the repository '%s' is not in the roster", body->name);
    *out = body;
    return true;
}

static bool may_be_placed(const struct cli *cli, const struct draft *draft,
                          const Sealift__RepositoryBody *repository, struct err *err)
{
    struct placement_facts facts;
    return placement_of_order(&draft->body, access_roster(cli), repository, &facts, err) &&
           placement_check(&facts, err);
}

static bool is_granted(struct cli *cli, const struct draft *draft, const struct hash *key_id, bool *granted,
                       struct err *err)
{
    const struct order_request *request = draft->request;
    AUTO(statements) struct statements grants = {0};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT, &grants, err)) return false;
    const struct keys only_grants = {.grants = grants};
    bool own = request->point->unlock && request->point->unlock->origin == SEALIFT__KEY_ORIGIN__KEY_OWN;
    *granted =
        keys_grant_of(&only_grants, key_id, draft->opener->sign_pk.data, NULL) ||
        (own && memcmp(draft->opener->sign_pk.data, request->point->body->writer.data, SIGN_PK_LEN) == 0);
    return true;
}

/* Of a later generation of the point's key: it opens what was stored again since, too. Whatever is in the way
 * of it is no reason not to take the point's own. */
static bool find_later(struct cli *cli, struct draft *draft, const struct hash *key_id, struct secret **out)
{
    AUTO(keys) struct keys keys = {0};
    AUTO(read_half) struct read_half *half = NULL;
    const struct key_entry *entry = NULL;
    struct err ignored = {0};
    if (!keys_get(cli, &keys, &ignored) || !generations_half(cli, &keys, key_id, &entry, &half, &ignored) ||
        hash_eq(&half->key_id, key_id) || !read_half_secret_of(half, key_id))
        return false;
    buf_put_span(&draft->generation, buf_span(&entry->section_bytes));
    draft->key_id = half->key_id;
    *out = secret_copy(half->s->data, half->s->len);
    return true;
}

/* What is wrong with a copy is no reason not to take the next step. */
static bool find_copy(struct cli *cli, struct draft *draft, const struct hash *key_id, struct secret **out,
                      struct err *err)
{
    struct err why = {0};
    if (find_later(cli, draft, key_id, out) || keys_own_secret(cli, key_id, out, &why)) {
        draft->by = ORDER_BY_COPY;
        return true;
    }
    if (draft->request->kms == ORDER_KMS_MAY) {
        output_note(&cli->output, "this operator's copy: %s", why.text);
        draft->by = ORDER_BY_KMS;
        return true;
    }
    *err = why;
    char fingerprint[KEY_FINGERPRINT_LEN];
    key_fingerprint(key_id, fingerprint);
    return err_wrap(err, "the point needs the key '%s' (%s)", draft->request->point->body->key_label,
                    fingerprint);
}

/* Steps 1 and 2 of the unlock order. *out stays NULL where the opener has the key, or gets it itself. */
static bool find_secret(struct cli *cli, struct draft *draft, struct secret **out, struct err *err)
{
    const struct order_request *request = draft->request;
    struct hash key_id = stored_hash(&request->point->body->key_id);
    bool granted = false;
    if (request->secret) {
        draft->by = ORDER_BY_SECRET;
        *out = secret_copy(request->secret->data, request->secret->len);
        return true;
    }
    if (request->from == ORDER_FROM_NOWHERE) return true;
    if (request->from == ORDER_FROM_GRANT && !is_granted(cli, draft, &key_id, &granted, err)) return false;
    if (!granted) return find_copy(cli, draft, &key_id, out, err);
    draft->by = ORDER_BY_GRANT;
    return true;
}

/* Encoding does not write. */
static void lend_wraps(struct draft *draft)
{
    union {
        Sealift__KmsWrap *const *from;
        Sealift__KmsWrap **to;
    } list = {.from = draft->request->wraps};
    size_t count = draft->request->wrap_count;
    draft->body.n_kms = count < ORDER_WRAPS_MAX ? count : ORDER_WRAPS_MAX;
    draft->body.kms = list.to;
}

static bool seal_secret(struct cli *cli, struct draft *draft, struct buf *sealed, struct err *err)
{
    const Sealift__PointBody *point = draft->request->point->body;
    if (point->key_id.len == 0) return true;
    AUTO(secret) struct secret *secret = NULL;
    AUTO(buf) struct buf context = {0};
    draft->body.key_id = point->key_id;
    draft->key_id = stored_hash(&point->key_id);
    if (!find_secret(cli, draft, &secret, err)) return false;
    if (!secret) {
        lend_wraps(draft);
        return true;
    }
    order_secret_context(&state_site(cli->state)->line.site, &draft->id, &draft->key_id, &context);
    if (!box_seal(draft->opener->box_pk.data, buf_span(&context), span_of(secret->data, secret->len), sealed,
                  err))
        return err_wrap(err, "cannot seal to '%s'", draft->opener->name);
    draft->body.secret = lent_bytes(sealed->data, sealed->len);
    draft->body.generation = lent_bytes(draft->generation.data, draft->generation.len);
    return true;
}

static void fill(const struct cli *cli, struct draft *draft, const struct identity_public *self)
{
    const struct order_request *request = draft->request;
    const struct point *point = request->point;
    sealift__order_body__init(&draft->body);
    draft->body.kind = request->kind;
    draft->body.repository = lent_bytes(point->repository.bytes, ID_LEN);
    draft->body.point = lent_bytes(point->id.bytes, ID_LEN);
    draft->body.point_hash = lent_bytes(point->hash.bytes, HASH_LEN);
    draft->body.target = request->target->sign_pk;
    draft->body.open_at = request->open_at;
    draft->body.accept_revoked = request->accept_revoked;
    if (request->kind == SEALIFT__ORDER_KIND__ORDER_BROWSE)
        draft->body.answer_to = lent_bytes(self->sign_pk, SIGN_PK_LEN);
}

static bool sign_and_put(struct cli *cli, struct draft *draft, struct order *out, struct err *err)
{
    AUTO(buf) struct buf plan = {0};
    AUTO(buf) struct buf sealed = {0};
    AUTO(sealed_copies) struct sealed_copies copies = {0};
    if (!seal_secret(cli, draft, &sealed, err)) return false;
    statement_body_encode(draft->request->plan, &plan);
    const Sealift__Member *hosts[] = {draft->request->target, draft->opener};
    if (!sealed_copies_make(access_roster(cli), "order", &draft->id, hosts, 2, buf_span(&plan), &copies, err))
        return false;
    draft->body.plan = copies.list;
    draft->body.n_plan = copies.count;
    const struct put_request request = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                        .id = draft->id,
                                        .expiry_s = clock_real_ns() / 1000000000 + EXPIRY_S,
                                        .body = &draft->body};
    struct order order = {.id = draft->id, .by = draft->by};
    if (!put_statement(cli, &request, &order.run, NULL, err)) return false;
    *out = order;
    return true;
}

bool order_put(struct cli *cli, const struct order_request *request, struct order *out, struct err *err)
{
    AUTO(statements) struct statements repositories = {0};
    const Sealift__RepositoryBody *repository = NULL;
    struct identity_public self;
    AUTO(draft) struct draft draft = {.request = request, .id = id_random()};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !find_owner(cli, &repositories, &draft, &repository, err))
        return false;
    const struct identity *identity = NULL; /* it is needed in any case: what it lacks is no missing key */
    if (!access_identity(cli, &identity, err)) return false;
    (void)state_identity(cli->state, &self);
    fill(cli, &draft, &self);
    draft.opener = request->open_at == SEALIFT__OPEN_AT__OPEN_AT_SOURCE ? draft.owner : request->target;
    return may_be_placed(cli, &draft, repository, err) && sign_and_put(cli, &draft, out, err);
}

bool order_opener(struct cli *cli, const struct order_request *request, const Sealift__Member **opener,
                  const Sealift__Member **owner, struct err *err)
{
    AUTO(statements) struct statements repositories = {0};
    const Sealift__RepositoryBody *repository = NULL;
    AUTO(draft) struct draft draft = {.request = request};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !find_owner(cli, &repositories, &draft, &repository, err))
        return false;
    *owner = draft.owner;
    *opener = request->open_at == SEALIFT__OPEN_AT__OPEN_AT_SOURCE ? draft.owner : request->target;
    return true;
}

bool order_answer_open(struct cli *cli, const struct order *order, uint64_t number, bool last,
                       struct span sealed, struct secret **out, struct err *err)
{
    const struct identity *identity = NULL;
    AUTO(buf) struct buf context = {0};
    uint8_t extra[9];
    le64_put(extra, number);
    extra[8] = last;
    statement_box_context("answer", &state_site(cli->state)->line.site, &order->id,
                          span_of(extra, sizeof(extra)), &context);
    return access_identity(cli, &identity, err) &&
           (box_open(identity->box, buf_span(&context), sealed, out, err) ||
            err_wrap(err, "answer %llu", (unsigned long long)number));
}
