#include "signing.h"

#include "common/crypto/frame.h"
#include "common/wire/lent.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *const names[SIGNING_MEMBERS] = {"anna", "ben", "web", "nas", "lab", "eve"};

void signing_init(struct signing *signing)
{
    *signing = (struct signing){.site = id_random(), .transporters = 1u << WEB | 1u << NAS | 1u << LAB};
    memset(signing->director_pk, 7, sizeof(signing->director_pk));
    struct err err;
    for (int i = 0; i < SIGNING_MEMBERS; i++)
        cr_assert(identity_new(names[i], &signing->member[i], &err), "%s", err.text);
}

void signing_deinit(struct signing *signing)
{
    for (int i = 0; i < SIGNING_MEMBERS; i++)
        identity_free(signing->member[i]);
}

const struct identity_public *signing_public(const struct signing *signing, enum signing_member member)
{
    return &signing->member[member]->known;
}

const uint8_t *signing_key(const struct signing *signing, enum signing_member member)
{
    return signing->member[member]->known.sign_pk;
}

static char *text_of(const char *text)
{
    return lent_text(text);
}

static void sign(const struct signing *signing, enum signing_member signer,
                 const struct statement_draft *draft, struct buf *out)
{
    struct err err;
    cr_assert(statement_sign(signing->member[signer]->sign, draft, out, &err), "%s", err.text);
}

/* ---- rosters */

static void fill_member(const struct signing *signing, enum signing_member which, Sealift__Member *out)
{
    const struct identity_public *known = signing_public(signing, which);
    sealift__member__init(out);
    out->name = text_of(known->name);
    out->sign_pk = lent_bytes(known->sign_pk, SIGN_PK_LEN);
    out->box_pk = lent_bytes(known->box_pk, BOX_PK_LEN);
    out->curve_pk = lent_bytes(known->transport_pk, 32);
    if (which == ANNA) out->role = SEALIFT__ROLE__ROLE_ADMIN;
    if (which == BEN) out->role = SEALIFT__ROLE__ROLE_OPERATOR;
    if (which == WEB || which == LAB) out->zone = SEALIFT__ZONE__ZONE_TRUSTED;
    if (which == NAS)
        out->zone = signing->nas_trusted ? SEALIFT__ZONE__ZONE_TRUSTED : SEALIFT__ZONE__ZONE_UNTRUSTED;
}

void signing_roster(struct signing *signing, enum signing_member signer, struct buf *out)
{
    Sealift__Member members[SIGNING_MEMBERS], *operators[2], *transporters[3], *revoked = NULL;
    Sealift__Revocation revocation[3], *revocations[3];
    Sealift__RosterBody body = SEALIFT__ROSTER_BODY__INIT;
    body.operators = operators;
    body.transporters = transporters;
    body.revoked = revocations;
    for (int which = ANNA; which <= LAB; which++) {
        fill_member(signing, (enum signing_member)which, &members[which]);
        if (which <= BEN) {
            if (which == ANNA || !signing->without_ben) operators[body.n_operators++] = &members[which];
        } else if (signing->transporters & (1u << which)) {
            transporters[body.n_transporters++] = &members[which];
        } else if (signing->roster_version > 0) {
            revoked = &members[which];
            sealift__revocation__init(&revocation[body.n_revoked]);
            revocation[body.n_revoked].member = revoked;
            revocation[body.n_revoked].since_ns = 5;
            revocations[body.n_revoked] = &revocation[body.n_revoked];
            body.n_revoked++;
        }
    }
    if (signing->roster_version > 0) body.previous = lent_bytes(signing->roster_hash.bytes, HASH_LEN);
    body.director_curve_pk = lent_bytes(signing->director_pk, 32);
    AUTO(buf) struct buf encoded = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER,
                                    .site = signing->site,
                                    .version = ++signing->roster_version,
                                    .body = buf_span(&encoded)};
    sign(signing, signer, &draft, out);
    signing->roster_hash = hash_of(buf_span(out));
}

/* ---- repositories and jobs */

static void fill_copy(const struct signing *signing, enum signing_member recipient, Sealift__SealedCopy *out)
{
    static const uint8_t sealed[90] = {4};
    sealift__sealed_copy__init(out);
    out->recipient = lent_bytes(signing_key(signing, recipient), SIGN_PK_LEN);
    out->sealed = lent_bytes(sealed, sizeof(sealed));
}

static void put_repository(const struct signing *signing, const struct id *id, uint64_t version,
                           const char *name, enum signing_member owner, Sealift__StoreKind kind,
                           uint32_t deleted, struct buf *out)
{
    Sealift__SealedCopy copy, *copies[] = {&copy};
    fill_copy(signing, owner, &copy);
    Sealift__RepositoryBody body = SEALIFT__REPOSITORY_BODY__INIT;
    body.name = text_of(name);
    body.owner = lent_bytes(signing_key(signing, owner), SIGN_PK_LEN);
    body.kind = kind;
    body.deleted = deleted;
    body.path = copies;
    body.n_path = 1;
    AUTO(buf) struct buf encoded = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                                    .site = signing->site,
                                    .id = *id,
                                    .version = version,
                                    .body = buf_span(&encoded)};
    sign(signing, ANNA, &draft, out);
}

void signing_repository(const struct signing *signing, const struct id *id, uint64_t version,
                        const char *name, enum signing_member owner, Sealift__StoreKind kind, struct buf *out)
{
    put_repository(signing, id, version, name, owner, kind, 0, out);
}

void signing_detached(const struct signing *signing, const struct id *id, uint64_t version, const char *name,
                      enum signing_member owner, struct buf *out)
{
    put_repository(signing, id, version, name, owner, SEALIFT__STORE_KIND__STORE_ENCRYPTED, 1, out);
}

static const uint8_t some_key[HASH_LEN] = {1}, some_domain[HASH_LEN] = {2};

static void fill_key(Sealift__JobBody *body)
{
    body->key_id = lent_bytes(some_key, HASH_LEN);
    body->key_label = text_of("main");
    body->domain = text_of("t:web");
    body->domain_id = lent_bytes(some_domain, HASH_LEN);
    body->cipher = CIPHER_AES_256_GCM;
}

void signing_job(const struct signing *signing, const struct job_draft *job, struct buf *out)
{
    Sealift__SealedCopy copy, *copies[] = {&copy};
    enum signing_member source = job->source ? job->source : WEB;
    fill_copy(signing, source, &copy);
    Sealift__JobBody body = SEALIFT__JOB_BODY__INIT;
    body.name = text_of(job->name);
    body.kind = job->from ? SEALIFT__JOB_KIND__JOB_COPY : SEALIFT__JOB_KIND__JOB_BACKUP;
    body.source = lent_bytes(signing_key(signing, source), SIGN_PK_LEN);
    body.repository = lent_bytes(job->repository.bytes, ID_LEN);
    body.placement = job->from        ? SEALIFT__PLACEMENT__PLACE_AS_STORED
                     : job->placement ? job->placement
                                      : SEALIFT__PLACEMENT__PLACE_SOURCE;
    if (body.placement <= SEALIFT__PLACEMENT__PLACE_TARGET) fill_key(&body);
    body.compressor = text_of("lz4");
    body.connection = job->connection;
    body.proxy = text_of(job->proxy ? job->proxy : "");
    body.schedule = text_of(job->schedule ? job->schedule : "");
    if (job->from) body.from_repository = lent_bytes(job->from->bytes, ID_LEN);
    if (!job->from) {
        body.plan = copies;
        body.n_plan = 1;
    }
    body.deleted = job->deleted;
    AUTO(buf) struct buf encoded = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                    .site = signing->site,
                                    .id = job->id,
                                    .version = job->version ? job->version : 1,
                                    .body = buf_span(&encoded)};
    sign(signing, job->signer, &draft, out);
}

/* ---- orders */

void signing_order(const struct signing *signing, const struct order_draft *order, struct buf *out)
{
    static const uint8_t point[ID_LEN] = {5}, point_hash[HASH_LEN] = {6};
    Sealift__SealedCopy copy, *copies[] = {&copy};
    enum signing_member target = order->target ? order->target : WEB;
    fill_copy(signing, target, &copy);
    Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
    body.kind = order->kind ? order->kind : SEALIFT__ORDER_KIND__ORDER_RESTORE;
    body.repository = lent_bytes(order->repository.bytes, ID_LEN);
    body.point = lent_bytes(point, ID_LEN);
    body.point_hash = lent_bytes(point_hash, HASH_LEN);
    body.target = lent_bytes(signing_key(signing, target), SIGN_PK_LEN);
    body.open_at = SEALIFT__OPEN_AT__OPEN_AT_TARGET;
    body.plan = copies;
    body.n_plan = 1;
    bool alone =
        body.kind == SEALIFT__ORDER_KIND__ORDER_WRAP || body.kind == SEALIFT__ORDER_KIND__ORDER_WITNESS;
    if (body.kind == SEALIFT__ORDER_KIND__ORDER_BROWSE || alone)
        body.answer_to = lent_bytes(signing_key(signing, order->answer_to), SIGN_PK_LEN);
    if (alone) body.repository = body.point = lent_bytes(NULL, 0);
    if (body.kind == SEALIFT__ORDER_KIND__ORDER_WRAP) body.key_id = body.secret = body.point_hash;
    AUTO(buf) struct buf encoded = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                    .site = signing->site,
                                    .id = order->id,
                                    .version = order->version ? order->version : 1,
                                    .expiry_s = order->expiry_s,
                                    .body = buf_span(&encoded)};
    sign(signing, order->signer, &draft, out);
}

/* ---- keys */

void signing_unlock(uint8_t key, struct buf *out)
{
    static const uint8_t keyring[107] = {1}, unlock_pk[32] = {9};
    uint8_t key_id[HASH_LEN];
    memset(key_id, key, sizeof(key_id));
    Sealift__UnlockSection section = SEALIFT__UNLOCK_SECTION__INIT;
    section.version = 1;
    section.key_id = lent_bytes(key_id, HASH_LEN);
    section.label = text_of("main");
    section.description = text_of("for tests");
    section.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    section.keyring = lent_bytes(keyring, sizeof(keyring));
    section.unlock_pk = lent_bytes(unlock_pk, sizeof(unlock_pk));
    struct err err;
    cr_assert(stored_unlock_encode(&section, out, &err), "%s", err.text);
}

void signing_grant(const struct signing *signing, const struct id *id, uint64_t version, uint8_t key,
                   struct span unlock, enum signing_member recipient, struct buf *out)
{
    static const uint8_t sealed[105] = {3};
    uint8_t key_id[HASH_LEN];
    memset(key_id, key, sizeof(key_id));
    struct hash hash = hash_of(unlock);
    Sealift__GrantBody body = SEALIFT__GRANT_BODY__INIT;
    body.key_id = lent_bytes(key_id, HASH_LEN);
    body.key_label = text_of("main");
    body.recipient = lent_bytes(signing_key(signing, recipient), SIGN_PK_LEN);
    body.half = SEALIFT__HALF__HALF_READ;
    body.sealed = lent_bytes(sealed, sizeof(sealed));
    body.unlock_hash = lent_bytes(hash.bytes, HASH_LEN);
    AUTO(buf) struct buf encoded = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT,
                                    .site = signing->site,
                                    .audience = signing_key(signing, recipient),
                                    .id = *id,
                                    .version = version,
                                    .body = buf_span(&encoded)};
    sign(signing, ANNA, &draft, out);
}

/* ---- points */

static void fill_point(const struct signing *signing, enum signing_member writer, const struct id *run,
                       const char *job, const struct id *point, Sealift__PointBody *body)
{
    static const uint8_t root[HASH_LEN] = {1}, seal[ID_LEN] = {2};
    const struct identity_public *known = signing_public(signing, writer);
    sealift__point_body__init(body);
    body->version = 1;
    body->point = lent_bytes(point->bytes, ID_LEN);
    body->site = lent_bytes(signing->site.bytes, ID_LEN);
    body->run = lent_bytes(run->bytes, ID_LEN);
    body->attempt = 1;
    body->job = text_of(job);
    body->writer = lent_bytes(known->sign_pk, SIGN_PK_LEN);
    body->writer_name = text_of(known->name);
    body->root = lent_bytes(root, HASH_LEN);
    body->seal = lent_bytes(seal, ID_LEN);
    body->object_kind = text_of("tree");
}

static void put_point(const struct signing *signing, enum signing_member writer, Sealift__PointBody *body,
                      struct span unlock, struct buf *out)
{
    struct err err;
    Sealift__PointCounts counts = SEALIFT__POINT_COUNTS__INIT;
    AUTO(buf) struct buf plain = {0};
    AUTO(buf) struct buf signed_body = {0};
    body->counts = &counts;
    cr_assert(stored_body_encode(body, &plain, &err), "%s", err.text);
    stored_sign(signing->member[writer]->sign, "point", buf_span(&plain), &signed_body);
    Sealift__PointFile file = SEALIFT__POINT_FILE__INIT;
    file.body = stored_bytes(buf_span(&signed_body));
    file.unlock = stored_bytes(unlock);
    cr_assert(stored_point_encode(&file, out, &err), "%s", err.text);
}

void signing_point(const struct signing *signing, enum signing_member writer, const struct id *run,
                   const char *job, const struct id *point, struct buf *out)
{
    Sealift__PointBody body;
    fill_point(signing, writer, run, job, point, &body);
    put_point(signing, writer, &body, (struct span){0}, out);
}

void signing_sealed_point(const struct signing *signing, enum signing_member writer, const struct id *run,
                          const struct id *point, uint8_t key, struct span unlock, struct buf *out)
{
    static const uint8_t domain[HASH_LEN] = {3};
    uint8_t key_id[HASH_LEN];
    struct hash hash = hash_of(unlock);
    Sealift__PointBody body;
    fill_point(signing, writer, run, "web-daily", point, &body);
    memset(key_id, key, sizeof(key_id));
    body.cipher = CIPHER_AES_256_GCM;
    body.key_id = lent_bytes(key_id, HASH_LEN);
    body.key_label = text_of("main");
    body.domain = text_of("shared");
    body.domain_id = lent_bytes(domain, HASH_LEN);
    body.unlock_hash = lent_bytes(hash.bytes, HASH_LEN);
    put_point(signing, writer, &body, unlock, out);
}

struct statement *signing_decode(const struct buf *bytes)
{
    struct statement *statement = NULL;
    struct err err;
    cr_assert(statement_decode(buf_span(bytes), &statement, &err), "%s", err.text);
    return statement;
}
