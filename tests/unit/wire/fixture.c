#include "fixture.h"

#include "common/crypto/frame.h"
#include "common/wire/lent.h"

#include <criterion/criterion.h>
#include <string.h>

static uint8_t job_key[32] = {1}, job_domain[32] = {2}, job_repository[16] = {3}, job_sealed[80] = {4};

static struct identity *identity_named(const char *name)
{
    struct err err = {0};
    struct identity *identity = NULL;
    cr_assert(identity_new(name, &identity, &err), "%s", err.text);
    return identity;
}

void site_init(struct site *site)
{
    site->id = id_random();
    site->admin = identity_named("anna");
    site->helper = identity_named("ben");
    site->source = identity_named("web");
    site->target = identity_named("vault");
    memset(site->director_curve, 7, sizeof(site->director_curve));
}

void site_deinit(struct site *site)
{
    identity_free(site->admin);
    identity_free(site->helper);
    identity_free(site->source);
    identity_free(site->target);
}

void member_of(const struct identity_public *known, Sealift__Member *out)
{
    sealift__member__init(out);
    out->name = (char *)(uintptr_t)known->name;
    out->sign_pk = lent_bytes(known->sign_pk, 32);
    out->box_pk = lent_bytes(known->box_pk, 32);
    out->curve_pk = lent_bytes(known->transport_pk, 32);
}

static struct statement *decoded(const struct identity *signer, const struct statement_draft *draft)
{
    struct err err = {0};
    AUTO(buf) struct buf bytes = {0};
    cr_assert(statement_sign(signer->sign, draft, &bytes, &err), "%s", err.text);
    struct statement *statement = NULL;
    cr_assert(statement_decode(buf_span(&bytes), &statement, &err), "%s", err.text);
    return statement;
}

struct statement *site_roster(const struct site *site, const struct roster_draft *draft)
{
    Sealift__Member admin, helper, source, target, revoked;
    member_of(&site->admin->known, &admin);
    member_of(&site->helper->known, &helper);
    member_of(&site->source->known, &source);
    member_of(draft->instead ? draft->instead : &site->target->known, &target);
    admin.role = draft->admin_role ? draft->admin_role : SEALIFT__ROLE__ROLE_ADMIN;
    helper.role = SEALIFT__ROLE__ROLE_OPERATOR;
    source.zone = SEALIFT__ZONE__ZONE_TRUSTED;
    target.zone = draft->target_zone ? draft->target_zone : SEALIFT__ZONE__ZONE_UNTRUSTED;
    Sealift__Member *operators[] = {&admin, &helper}, *transporters[] = {&source, &target};
    Sealift__Revocation revocation = SEALIFT__REVOCATION__INIT, *revocations[] = {&revocation};

    Sealift__RosterBody body = SEALIFT__ROSTER_BODY__INIT;
    body.n_operators = draft->without_helper ? 1 : 2;
    body.operators = operators;
    body.n_transporters = 2;
    body.transporters = transporters;
    body.director_curve_pk = lent_bytes(site->director_curve, 32);
    if (draft->previous) body.previous = lent_bytes(draft->previous->bytes, HASH_LEN);
    if (draft->revoked) {
        member_of(&draft->revoked->known, &revoked);
        revocation.member = &revoked;
        revoked.zone = draft->target_zone ? draft->target_zone : SEALIFT__ZONE__ZONE_UNTRUSTED;
        revocation.since_ns = draft->since_ns ? draft->since_ns : 5;
        body.n_revoked = 1;
        body.revoked = revocations;
        if (draft->revoked == site->target) body.n_transporters = 1;
    }
    AUTO(buf) struct buf encoded = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft statement = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER,
                                        .site = site->id,
                                        .version = draft->version,
                                        .body = buf_span(&encoded)};
    return decoded(draft->signer ? draft->signer : site->admin, &statement);
}

struct roster *site_first_roster(const struct site *site)
{
    AUTO(statement) struct statement *statement = site_roster(site, &(struct roster_draft){.version = 1});
    struct err err = {0};
    struct roster *roster = NULL;
    cr_assert(roster_first(statement, &site->id, site->admin->known.sign_pk, &roster, &err), "%s", err.text);
    return roster;
}

void site_job_body(const struct site *site, Sealift__JobBody *out, Sealift__SealedCopy *copy,
                   Sealift__SealedCopy **copies, const char *name)
{
    sealift__sealed_copy__init(copy);
    copy->recipient = lent_bytes(site->source->known.sign_pk, 32);
    copy->sealed = lent_bytes(job_sealed, sizeof(job_sealed));
    copies[0] = copy;
    sealift__job_body__init(out);
    out->name = (char *)(uintptr_t)name;
    out->kind = SEALIFT__JOB_KIND__JOB_BACKUP;
    out->source = lent_bytes(site->source->known.sign_pk, 32);
    out->repository = lent_bytes(job_repository, 16);
    out->placement = SEALIFT__PLACEMENT__PLACE_SOURCE;
    out->key_id = lent_bytes(job_key, 32);
    out->key_label = (char *)(uintptr_t) "main";
    out->domain = (char *)(uintptr_t) "t:web";
    out->domain_id = lent_bytes(job_domain, 32);
    out->cipher = CIPHER_AES_256_GCM;
    out->compressor = (char *)(uintptr_t) "lz4";
    out->connection = SEALIFT__CONNECTION__CONNECTION_DIRECT;
    out->n_plan = 1;
    out->plan = copies;
}

struct statement *site_job(const struct site *site, const struct identity *signer, const struct id *job,
                           uint64_t version, const char *name)
{
    Sealift__JobBody body;
    Sealift__SealedCopy copy, *copies[1];
    site_job_body(site, &body, &copy, copies, name);
    AUTO(buf) struct buf encoded = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                    .site = site->id,
                                    .id = *job,
                                    .version = version,
                                    .body = buf_span(&encoded)};
    return decoded(signer, &draft);
}
