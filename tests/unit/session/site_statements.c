#include "site_statements.h"

#include "common/crypto/frame.h"
#include "common/wire/grant.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <string.h>

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)(text ? text : "");
}

static struct statement *made(const struct site *site, const struct statement_draft *draft)
{
    struct err err = {0};
    AUTO(buf) struct buf bytes = {0};
    struct statement *statement = NULL;
    cr_assert(statement_sign(site->admin->sign, draft, &bytes, &err), "%s", err.text);
    cr_assert(statement_decode(buf_span(&bytes), &statement, &err), "%s", err.text);
    return statement;
}

/* A part of a statement that its recipient alone opens. */
struct sealed_part {
    Sealift__SealedCopy copy, *copies[1];
    struct buf sealed;
};

static void part_seal(struct sealed_part *part, const struct site *site, const char *purpose,
                      const struct id *id, const struct identity *recipient, struct span plain)
{
    struct err err = {0};
    AUTO(buf) struct buf context = {0};
    statement_box_context(purpose, &site->id, id, span_of(NULL, 0), &context);
    cr_assert(box_seal(recipient->known.box_pk, buf_span(&context), plain, &part->sealed, &err), "%s",
              err.text);
    sealift__sealed_copy__init(&part->copy);
    part->copy.recipient = stored_bytes(span_of(recipient->known.sign_pk, SIGN_PK_LEN));
    part->copy.sealed = stored_bytes(buf_span(&part->sealed));
    part->copies[0] = &part->copy;
}

struct statement *site_repository(const struct site *site, const struct repository_draft *draft)
{
    Sealift__RepositoryBody body = SEALIFT__REPOSITORY_BODY__INIT;
    struct sealed_part path = {.sealed = {0}};
    part_seal(&path, site, "repository", &draft->id, draft->owner, span_str(draft->path));
    body.name = text_of(draft->name);
    body.owner = stored_bytes(span_of(draft->owner->known.sign_pk, SIGN_PK_LEN));
    body.kind = draft->kind ? draft->kind : SEALIFT__STORE_KIND__STORE_ENCRYPTED;
    body.n_path = 1;
    body.path = path.copies;
    body.deleted = draft->deleted;
    AUTO(buf) struct buf encoded = {0};
    statement_body_encode(&body, &encoded);
    struct statement *statement =
        made(site, &(struct statement_draft){.type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                                             .site = site->id,
                                             .id = draft->id,
                                             .version = draft->deleted ? 2 : 1,
                                             .body = buf_span(&encoded)});
    buf_deinit(&path.sealed);
    return statement;
}

static void put_key(Sealift__JobBody *body, const struct write_half *half, struct hash *domain)
{
    body->placement = SEALIFT__PLACEMENT__PLACE_PLAIN;
    if (!half) return;
    *domain = domain_id(half->dedup_key->data);
    body->placement = SEALIFT__PLACEMENT__PLACE_SOURCE;
    body->key_id = stored_bytes(span_of(half->key_id.bytes, HASH_LEN));
    body->key_label = text_of("main");
    body->domain = text_of("t:web");
    body->domain_id = stored_bytes(span_of(domain->bytes, HASH_LEN));
    body->cipher = CIPHER_AES_256_GCM;
}

struct statement *site_backup(const struct site *site, const struct backup_draft *draft)
{
    Sealift__BackupPlan plan = SEALIFT__BACKUP_PLAN__INIT;
    ProtobufCBinaryData path = stored_bytes(span_str(draft->path));
    plan.n_paths = 1;
    plan.paths = &path;
    AUTO(buf) struct buf plain = {0}, encoded = {0};
    statement_body_encode(&plan, &plain);
    struct sealed_part part = {.sealed = {0}};
    part_seal(&part, site, "job", &draft->id, draft->source, buf_span(&plain));

    Sealift__JobBody body = SEALIFT__JOB_BODY__INIT;
    Sealift__Retention retention = SEALIFT__RETENTION__INIT;
    struct hash domain;
    retention.last = draft->keep_last;
    if (draft->keep_last) body.retention = &retention;
    body.name = text_of("job");
    body.kind = SEALIFT__JOB_KIND__JOB_BACKUP;
    body.source = stored_bytes(span_of(draft->source->known.sign_pk, SIGN_PK_LEN));
    body.repository = stored_bytes(span_of(draft->repository.bytes, ID_LEN));
    put_key(&body, draft->half, &domain);
    body.compressor = text_of("lz4");
    body.connection = draft->connection ? draft->connection : SEALIFT__CONNECTION__CONNECTION_DIRECT;
    body.n_plan = 1;
    body.plan = part.copies;
    body.deleted = draft->deleted;
    statement_body_encode(&body, &encoded);
    struct statement *statement =
        made(site, &(struct statement_draft){.type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                             .site = site->id,
                                             .id = draft->id,
                                             .version = draft->version,
                                             .body = buf_span(&encoded)});
    buf_deinit(&part.sealed);
    return statement;
}

struct statement *site_copy(const struct site *site, const struct copy_draft *draft)
{
    Sealift__JobBody body = SEALIFT__JOB_BODY__INIT;
    struct hash domain;
    AUTO(buf) struct buf encoded = {0};
    body.name = text_of("copy");
    body.kind = SEALIFT__JOB_KIND__JOB_COPY;
    body.source = stored_bytes(span_of(draft->source->known.sign_pk, SIGN_PK_LEN));
    body.repository = stored_bytes(span_of(draft->repository.bytes, ID_LEN));
    body.from_repository = stored_bytes(span_of(draft->from.bytes, ID_LEN));
    put_key(&body, draft->half, &domain);
    body.placement = draft->placement;
    body.compressor = text_of("none");
    body.connection = SEALIFT__CONNECTION__CONNECTION_DIRECT;
    statement_body_encode(&body, &encoded);
    return made(site, &(struct statement_draft){.type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                                .site = site->id,
                                                .id = draft->id,
                                                .version = 1,
                                                .body = buf_span(&encoded)});
}

struct statement *site_restore(const struct site *site, const struct restore_draft *draft)
{
    Sealift__RestorePlan plan = SEALIFT__RESTORE_PLAN__INIT;
    plan.destination = stored_bytes(span_str(draft->destination));
    AUTO(buf) struct buf plain = {0}, encoded = {0}, secret = {0}, context = {0};
    statement_body_encode(&plan, &plain);
    struct sealed_part part = {.sealed = {0}};
    part_seal(&part, site, "order", &draft->id, draft->target, buf_span(&plain));

    struct err err = {0};
    Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
    body.kind = draft->kind ? draft->kind : SEALIFT__ORDER_KIND__ORDER_RESTORE;
    body.repository = stored_bytes(span_of(draft->repository.bytes, ID_LEN));
    body.point = stored_bytes(span_of(draft->point.bytes, ID_LEN));
    body.point_hash = stored_bytes(span_of(draft->point_hash.bytes, HASH_LEN));
    body.target = stored_bytes(span_of(draft->target->known.sign_pk, SIGN_PK_LEN));
    body.open_at = SEALIFT__OPEN_AT__OPEN_AT_TARGET;
    if (draft->key_id) body.key_id = stored_bytes(span_of(draft->key_id->bytes, HASH_LEN));
    if (draft->secret) {
        order_secret_context(&site->id, &draft->id, draft->key_id, &context);
        cr_assert(box_seal(draft->target->known.box_pk, buf_span(&context),
                           span_of(draft->secret, KEY_SECRET_LEN), &secret, &err));
        body.secret = stored_bytes(buf_span(&secret));
    }
    body.n_kms = draft->kms_count;
    body.kms = draft->kms;
    body.accept_revoked = draft->accept_revoked;
    body.n_plan = 1;
    body.plan = part.copies;
    statement_body_encode(&body, &encoded);
    struct statement *statement =
        made(site, &(struct statement_draft){.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                             .site = site->id,
                                             .id = draft->id,
                                             .version = 1,
                                             .expiry_s = draft->expiry_s,
                                             .body = buf_span(&encoded)});
    buf_deinit(&part.sealed);
    return statement;
}

struct statement *site_write_grant(const struct site *site, const struct identity *recipient,
                                   const struct write_half *half, const char *domain,
                                   const struct hash *unlock_hash)
{
    struct err err = {0};
    const uint8_t *key = recipient->known.sign_pk;
    struct hash in = domain_id(half->dedup_key->data);
    struct id id = grant_id(&half->key_id, key, SEALIFT__HALF__HALF_WRITE, &in);
    Sealift__GrantBody body = SEALIFT__GRANT_BODY__INIT;
    body.key_id = stored_bytes(span_of(half->key_id.bytes, HASH_LEN));
    body.key_label = text_of("main");
    body.recipient = stored_bytes(span_of(key, SIGN_PK_LEN));
    body.half = SEALIFT__HALF__HALF_WRITE;
    body.domain = text_of(domain);
    body.domain_id = stored_bytes(span_of(in.bytes, HASH_LEN));
    body.unlock_hash = stored_bytes(span_of(unlock_hash->bytes, HASH_LEN));
    AUTO(secret) struct secret *plain = write_half_encode(half);
    AUTO(buf) struct buf context = {0}, sealed = {0}, encoded = {0};
    grant_box_context(&site->id, &id, &body, &context);
    cr_assert(box_seal(recipient->known.box_pk, buf_span(&context), span_of(plain->data, plain->len), &sealed,
                       &err));
    body.sealed = stored_bytes(buf_span(&sealed));
    statement_body_encode(&body, &encoded);
    return made(site, &(struct statement_draft){.type = SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT,
                                                .site = site->id,
                                                .audience = key,
                                                .id = id,
                                                .version = 1,
                                                .body = buf_span(&encoded)});
}

struct statement *site_wrap(const struct site *site, const struct wrap_draft *draft)
{
    static const uint8_t no_point[HASH_LEN] = {0};
    Sealift__WrapPlan plan = SEALIFT__WRAP_PLAN__INIT;
    Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
    struct sealed_part part = {.sealed = {0}};
    struct err err = {0};
    AUTO(buf) struct buf plain = {0}, encoded = {0}, secret = {0}, context = {0};
    plan.entry = text_of(draft->entry);
    statement_body_encode(&plan, &plain);
    part_seal(&part, site, "order", &draft->id, draft->target, buf_span(&plain));
    order_secret_context(&site->id, &draft->id, draft->key_id, &context);
    cr_assert(box_seal(draft->sealed_to->known.box_pk, buf_span(&context),
                       span_of(draft->secret, KEY_SECRET_LEN), &secret, &err));
    body.kind = SEALIFT__ORDER_KIND__ORDER_WRAP;
    body.point_hash = stored_bytes(span_of(no_point, HASH_LEN));
    body.target = stored_bytes(span_of(draft->target->known.sign_pk, SIGN_PK_LEN));
    body.key_id = stored_bytes(span_of(draft->key_id->bytes, HASH_LEN));
    body.secret = stored_bytes(buf_span(&secret));
    body.answer_to = stored_bytes(span_of(site->admin->known.sign_pk, SIGN_PK_LEN));
    body.n_plan = 1;
    body.plan = part.copies;
    statement_body_encode(&body, &encoded);
    struct statement *statement =
        made(site, &(struct statement_draft){.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                             .site = site->id,
                                             .id = draft->id,
                                             .version = 1,
                                             .body = buf_span(&encoded)});
    buf_deinit(&part.sealed);
    return statement;
}

struct statement *site_witness(const struct site *site, const struct id *id, const struct identity *target)
{
    static const uint8_t no_point[HASH_LEN] = {0};
    Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
    AUTO(buf) struct buf encoded = {0};
    body.kind = SEALIFT__ORDER_KIND__ORDER_WITNESS;
    body.point_hash = stored_bytes(span_of(no_point, HASH_LEN));
    body.target = stored_bytes(span_of(target->known.sign_pk, SIGN_PK_LEN));
    body.answer_to = stored_bytes(span_of(site->admin->known.sign_pk, SIGN_PK_LEN));
    statement_body_encode(&body, &encoded);
    return made(site, &(struct statement_draft){.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                                .site = site->id,
                                                .id = *id,
                                                .version = 1,
                                                .body = buf_span(&encoded)});
}
