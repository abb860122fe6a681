#include "common/wire/lent.h"
#include "common/wire/stored.h"
#include "fixture.h"

#include <criterion/criterion.h>
#include <string.h>

static struct site site;
static struct roster *roster;
static struct version_memory *memory;
static struct id job = {{9}};
static const uint64_t now_s = 1000;

static void setup(void)
{
    site_init(&site);
    roster = site_first_roster(&site);
    memory = version_memory_new();
}

static void teardown(void)
{
    version_memory_free(memory);
    roster_free(roster);
    site_deinit(&site);
}

TestSuite(statement, .init = setup, .fini = teardown);

static enum err_code check(const struct statement *statement, const uint8_t *self, struct err *err)
{
    *err = (struct err){0};
    return statement_check(statement, roster, self, now_s, memory, err) ? ERR_NONE : err->code;
}

Test(statement, survives_encoding_and_keeps_its_exact_bytes)
{
    AUTO(statement) struct statement *first = site_job(&site, site.admin, &job, 3, "web-daily");
    cr_assert_eq(first->type, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB);
    cr_assert_eq(first->version, 3);
    cr_assert(id_eq(&first->site, &site.id));
    cr_assert_str_eq(first->body.job->name, "web-daily");
    struct hash again = hash_of(buf_span(&first->bytes));
    cr_assert(hash_eq(&again, &first->hash));
    cr_assert_eq(memcmp(first->signer, site.admin->known.sign_pk, 32), 0);
}

Test(statement, with_any_bit_flipped_is_refused)
{
    AUTO(statement) struct statement *good = site_job(&site, site.admin, &job, 1, "web");
    for (size_t i = 0; i < good->bytes.len * 8; i++) {
        good->bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        AUTO(statement) struct statement *bad = NULL;
        struct err err = {0};
        /* the signer's own bytes are not signed: a flip there is another signer, whose signature fails */
        cr_assert_not(statement_decode(buf_span(&good->bytes), &bad, &err), "bit %zu", i);
        good->bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
}

Test(statement, cut_anywhere_is_refused)
{
    AUTO(statement) struct statement *good = site_job(&site, site.admin, &job, 1, "web");
    for (size_t len = 0; len < good->bytes.len; len++) {
        AUTO(free) uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, good->bytes.data, len);
        AUTO(statement) struct statement *bad = NULL;
        struct err err = {0};
        cr_assert_not(statement_decode(span_of(exact, len), &bad, &err), "length %zu", len);
    }
}

Test(statement, of_an_operator_is_accepted_once)
{
    struct err err;
    AUTO(statement) struct statement *first = site_job(&site, site.helper, &job, 1, "web");
    cr_assert_eq(check(first, NULL, &err), ERR_NONE, "%s", err.text);
    cr_assert_eq(check(first, NULL, &err), ERR_EXISTS);
}

static struct statement *promising(uint64_t version, const char *name, uint64_t immutable_s,
                                   uint8_t repository)
{
    Sealift__JobBody body;
    Sealift__Retention retention = SEALIFT__RETENTION__INIT;
    Sealift__SealedCopy copy, *copies[1];
    uint8_t id[ID_LEN] = {repository};
    site_job_body(&site, &body, &copy, copies, name);
    retention.immutable_s = immutable_s;
    retention.last = 1;
    body.retention = &retention;
    body.repository = lent_bytes(id, sizeof(id));
    AUTO(buf) struct buf encoded = {0}, bytes = {0};
    statement_body_encode(&body, &encoded);
    const struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                          .site = site.id,
                                          .id = job,
                                          .version = version,
                                          .body = buf_span(&encoded)};
    struct statement *out = NULL;
    struct err err = {0};
    cr_assert(statement_sign(site.admin->sign, &draft, &bytes, &err), "%s", err.text);
    cr_assert(statement_decode(buf_span(&bytes), &out, &err), "%s", err.text);
    return out;
}

Test(statement, of_a_job_keeps_what_its_points_were_promised)
{
    static const struct {
        uint64_t before_s, after_s;
        const char *name;
        uint8_t repository;
        enum err_code code;
    } cases[] = {
        {60, 60, "web", 1, ERR_NONE},   {60, 61, "web", 1, ERR_NONE},   {0, 0, "other", 2, ERR_NONE},
        {0, 60, "web", 2, ERR_NONE},    {60, 59, "web", 1, ERR_POLICY}, {60, 0, "web", 1, ERR_POLICY},
        {60, 60, "web", 2, ERR_POLICY}, {60, 60, "wed", 1, ERR_POLICY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        AUTO(statement) struct statement *before = promising(1, "web", cases[i].before_s, 1);
        AUTO(statement)
        struct statement *after = promising(2, cases[i].name, cases[i].after_s, cases[i].repository);
        bool kept = statement_keeps_promises(after, before, &err);
        cr_expect_eq(kept, cases[i].code == ERR_NONE, "case %zu", i);
        cr_expect_eq(err.code, cases[i].code, "case %zu: %s", i, err.text);
    }
    /* a job without any rule after one with a promise */
    struct err err = {0};
    AUTO(statement) struct statement *before = promising(1, "web", 60, 1);
    AUTO(statement) struct statement *after = site_job(&site, site.admin, &job, 2, "web");
    cr_expect_not(statement_keeps_promises(after, before, &err));
}

Test(statement, of_a_lower_version_is_refused)
{
    struct err err;
    AUTO(statement) struct statement *first = site_job(&site, site.admin, &job, 2, "web");
    AUTO(statement) struct statement *older = site_job(&site, site.admin, &job, 1, "web");
    cr_assert_eq(check(first, NULL, &err), ERR_NONE);
    cr_assert_eq(check(older, NULL, &err), ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "job statement version 1 is older than the known version 2");
}

Test(statement, with_other_bytes_under_a_known_version_is_refused)
{
    struct err err;
    AUTO(statement) struct statement *first = site_job(&site, site.admin, &job, 2, "web");
    AUTO(statement) struct statement *other = site_job(&site, site.admin, &job, 2, "web2");
    cr_assert_eq(check(first, NULL, &err), ERR_NONE);
    cr_assert_eq(check(other, NULL, &err), ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "two different job statements have version 2");
}

Test(statement, signed_by_a_transporter_or_a_stranger_is_refused)
{
    struct err err;
    AUTO(statement) struct statement *by_host = site_job(&site, site.source, &job, 1, "web");
    cr_assert_eq(check(by_host, NULL, &err), ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "the signer of the job statement is no operator of the roster");
}

Test(statement, of_another_site_is_refused)
{
    struct err err;
    struct site other = site;
    other.id = id_random();
    AUTO(statement) struct statement *foreign = site_job(&other, site.admin, &job, 1, "web");
    cr_assert_eq(check(foreign, NULL, &err), ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "the job statement is of another site");
}

Test(statement, refused_leaves_the_memory_as_it_was)
{
    struct err err;
    AUTO(statement) struct statement *by_host = site_job(&site, site.source, &job, 9, "web");
    AUTO(statement) struct statement *good = site_job(&site, site.admin, &job, 1, "web");
    cr_assert_eq(check(by_host, NULL, &err), ERR_NOT_AUTHENTIC);
    cr_assert_eq(check(good, NULL, &err), ERR_NONE, "%s", err.text);
}

static bool decode_write_grant(uint32_t subset, size_t kms_count, char **kms, Sealift__Half half,
                               struct err *err)
{
    static uint8_t some[32] = {5}, sealed[100] = {6};
    const uint8_t *recipient = site.source->known.sign_pk;
    Sealift__GrantBody body = SEALIFT__GRANT_BODY__INIT;
    bool write = half == SEALIFT__HALF__HALF_WRITE;
    body.key_id = body.unlock_hash = (ProtobufCBinaryData){32, some};
    body.key_label = (char *)(uintptr_t) "main";
    body.recipient = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)recipient};
    body.half = half;
    if (write) {
        body.domain = (char *)(uintptr_t) "t:web";
        body.domain_id = body.key_id;
    }
    body.sealed = (ProtobufCBinaryData){sizeof(sealed), sealed};
    body.subset = subset;
    body.kms = kms;
    body.n_kms = kms_count;
    AUTO(buf) struct buf encoded = {0};
    AUTO(buf) struct buf bytes = {0};
    AUTO(statement) struct statement *decoded = NULL;
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT,
                                    .site = site.id,
                                    .audience = recipient,
                                    .id = {{1}},
                                    .version = 1,
                                    .body = buf_span(&encoded)};
    return statement_sign(site.admin->sign, &draft, &bytes, err) &&
           statement_decode(buf_span(&bytes), &decoded, err);
}

Test(statement, only_a_write_grant_lists_a_subset_of_protectors_and_only_by_names)
{
    struct err err = {0};
    static char entry[] = "eu", wrong[] = "e u\n";
    char *many[65], *bad[] = {wrong};
    for (size_t i = 0; i < 65; i++)
        many[i] = entry;
    const Sealift__Half write = SEALIFT__HALF__HALF_WRITE, read = SEALIFT__HALF__HALF_READ;
    cr_assert(decode_write_grant(0, 0, NULL, write, &err), "%s", err.text);
    cr_assert(decode_write_grant(1, 0, NULL, write, &err), "nothing is left of it: %s", err.text);
    cr_assert(decode_write_grant(1, 64, many, write, &err), "%s", err.text);
    cr_assert_not(decode_write_grant(1, 65, many, write, &err));
    cr_assert_not(decode_write_grant(0, 1, many, write, &err));
    cr_assert_not(decode_write_grant(2, 1, many, write, &err));
    cr_assert_not(decode_write_grant(1, 1, bad, write, &err));
    cr_assert_not(decode_write_grant(1, 1, many, read, &err));
    cr_assert_str_eq(err.text, "a read grant has all protectors of its key");
}

static struct statement *grant(const uint8_t *recipient, uint64_t expiry_s)
{
    static uint8_t key[32] = {5}, sealed[100] = {6}, unlock[32] = {8};
    Sealift__GrantBody body = SEALIFT__GRANT_BODY__INIT;
    body.key_id = (ProtobufCBinaryData){32, key};
    body.key_label = (char *)(uintptr_t) "main";
    body.recipient = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)recipient};
    body.half = SEALIFT__HALF__HALF_READ;
    body.sealed = (ProtobufCBinaryData){sizeof(sealed), sealed};
    body.unlock_hash = (ProtobufCBinaryData){32, unlock};
    AUTO(buf) struct buf encoded = {0}, bytes = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT,
                                    .site = site.id,
                                    .audience = recipient,
                                    .id = {{1}},
                                    .version = 1,
                                    .expiry_s = expiry_s,
                                    .body = buf_span(&encoded)};
    struct err err = {0};
    struct statement *out = NULL;
    cr_assert(statement_sign(site.admin->sign, &draft, &bytes, &err), "%s", err.text);
    cr_assert(statement_decode(buf_span(&bytes), &out, &err), "%s", err.text);
    return out;
}

Test(statement, for_somebody_else_is_refused_by_a_host_and_kept_by_the_director)
{
    struct err err;
    AUTO(statement) struct statement *mine = grant(site.source->known.sign_pk, 0);
    cr_assert_eq(check(mine, site.target->known.sign_pk, &err), ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "the grant statement is for somebody else");
    cr_assert_eq(check(mine, NULL, &err), ERR_NONE);
}

Test(statement, grant_that_expired_is_refused)
{
    struct err err;
    AUTO(statement) struct statement *late = grant(site.source->known.sign_pk, now_s - 1);
    cr_assert_eq(check(late, NULL, &err), ERR_NOT_AUTHENTIC);
    cr_assert_not_null(strstr(err.text, "the grant statement has expired: it was good until "), "%s",
                       err.text);
}

Test(statement, that_a_verifier_would_refuse_is_not_signed)
{
    Sealift__JobBody body;
    Sealift__SealedCopy copy, *copies[1];
    site_job_body(&site, &body, &copy, copies, "web");
    body.key_id.len = 0; /* encryption on the source without a key */
    AUTO(buf) struct buf encoded = {0}, bytes = {0};
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                    .site = site.id,
                                    .id = job,
                                    .version = 1,
                                    .body = buf_span(&encoded)};
    struct err err = {0};
    cr_assert_not(statement_sign(site.admin->sign, &draft, &bytes, &err));
    cr_assert_eq(err.code, ERR_USAGE);
    cr_assert_str_eq(err.text, "a job names a key exactly when it encrypts");
    cr_assert_eq(bytes.len, 0);
}

/* Its link, or the site's rule, says how a job's hosts meet that does not say it itself. */
Test(statement, a_job_names_a_proxy_only_with_the_connection_that_goes_through_it)
{
    static const struct {
        Sealift__Connection connection;
        const char *proxy, *text;
    } cases[] = {
        {SEALIFT__CONNECTION__CONNECTION_NONE, "", NULL},
        {SEALIFT__CONNECTION__CONNECTION_REVERSE, "", NULL},
        {SEALIFT__CONNECTION__CONNECTION_DIRECT, "p.example:1080", NULL},
        {SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS, "p.example:9449", NULL},
        {SEALIFT__CONNECTION__CONNECTION_NONE, "p.example:1080",
         "a job names a proxy only with the connection that goes through it: direct or rendezvous"},
        {SEALIFT__CONNECTION__CONNECTION_REVERSE, "p.example:1080",
         "a job names a proxy only with the connection that goes through it: direct or rendezvous"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Sealift__JobBody body;
        Sealift__SealedCopy copy, *copies[1];
        site_job_body(&site, &body, &copy, copies, "web");
        body.connection = cases[i].connection;
        body.proxy = (char *)(uintptr_t)cases[i].proxy;
        AUTO(buf) struct buf encoded = {0}, bytes = {0};
        statement_body_encode(&body, &encoded);
        struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                        .site = site.id,
                                        .id = job,
                                        .version = 1,
                                        .body = buf_span(&encoded)};
        struct err err = {0};
        bool signs = statement_sign(site.admin->sign, &draft, &bytes, &err);
        cr_assert_eq(signs, cases[i].text == NULL, "case %zu: %s", i, err.text);
        if (cases[i].text) cr_assert_str_eq(err.text, cases[i].text);
    }
}

Test(statement, an_order_to_witness_is_about_nothing_else)
{
    static const struct {
        size_t repository, point, key, secret, answer_to;
        const char *says; /* NULL: it is signed */
    } cases[] = {
        {0, 0, 0, 0, SIGN_PK_LEN, NULL},
        {ID_LEN, 0, 0, 0, SIGN_PK_LEN, "an order to witness names no repository, no point and no key"},
        {0, ID_LEN, 0, 0, SIGN_PK_LEN, "an order to witness names no repository, no point and no key"},
        {0, 0, HASH_LEN, 0, SIGN_PK_LEN, "an order to witness names no repository, no point and no key"},
        {0, 0, HASH_LEN, 9, SIGN_PK_LEN, "an order to witness names no repository, no point and no key"},
        {0, 0, 0, 0, 0, "an order to witness names the operator that is answered"},
    };
    static const uint8_t some[HASH_LEN] = {1};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(buf) struct buf encoded = {0}, bytes = {0};
        struct err err = {0};
        Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
        body.kind = SEALIFT__ORDER_KIND__ORDER_WITNESS;
        body.repository = stored_bytes(span_of(some, cases[i].repository));
        body.point = stored_bytes(span_of(some, cases[i].point));
        body.key_id = stored_bytes(span_of(some, cases[i].key));
        body.secret = stored_bytes(span_of(some, cases[i].secret));
        body.answer_to = stored_bytes(span_of(some, cases[i].answer_to));
        body.point_hash = body.target = stored_bytes(span_of(some, HASH_LEN));
        statement_body_encode(&body, &encoded);
        struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                        .site = site.id,
                                        .id = job,
                                        .version = 1,
                                        .body = buf_span(&encoded)};
        bool signed_ = statement_sign(site.admin->sign, &draft, &bytes, &err);
        cr_assert_eq(signed_, !cases[i].says, "case %zu: %s", i, err.text);
        if (cases[i].says) cr_assert_str_eq(err.text, cases[i].says);
    }
}

/* What an order carries of wraps is bounded, and of a key that it names. */
Test(statement, an_order_with_wraps_of_no_key_or_too_many_is_refused)
{
    static const struct {
        size_t key_len, count;
        const char *says; /* NULL: it is signed */
    } cases[] = {
        {HASH_LEN, 1, NULL},
        {HASH_LEN, ORDER_WRAPS_MAX, NULL},
        {HASH_LEN, ORDER_WRAPS_MAX + 1, "an order carries too many wraps"},
        {0, 1, "an order carries wraps of no key"},
    };
    uint8_t bytes_32[32] = {1};
    Sealift__KmsWrap wrap = SEALIFT__KMS_WRAP__INIT, *list[ORDER_WRAPS_MAX + 1];
    wrap.wrapped = stored_bytes(span_of(bytes_32, sizeof(bytes_32)));
    for (size_t i = 0; i <= ORDER_WRAPS_MAX; i++)
        list[i] = &wrap;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(buf) struct buf encoded = {0}, bytes = {0};
        struct err err = {0};
        Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
        body.kind = SEALIFT__ORDER_KIND__ORDER_RESTORE;
        body.repository = stored_bytes(span_of(bytes_32, ID_LEN));
        body.point = body.repository;
        body.point_hash = wrap.wrapped;
        body.target = wrap.wrapped;
        body.open_at = SEALIFT__OPEN_AT__OPEN_AT_TARGET;
        body.key_id = stored_bytes(span_of(bytes_32, cases[i].key_len));
        body.n_kms = cases[i].count;
        body.kms = list;
        statement_body_encode(&body, &encoded);
        struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                        .site = site.id,
                                        .id = job,
                                        .version = 1,
                                        .body = buf_span(&encoded)};
        cr_assert_eq(statement_sign(site.admin->sign, &draft, &bytes, &err), cases[i].says == NULL, "%s",
                     err.text);
        if (cases[i].says) cr_assert_str_eq(err.text, cases[i].says);
    }
}

Test(statement, memory_is_the_same_after_storing_and_loading)
{
    struct err err;
    AUTO(statement) struct statement *first = site_job(&site, site.admin, &job, 5, "web");
    cr_assert_eq(check(first, NULL, &err), ERR_NONE);
    AUTO(version_memory) struct version_memory *loaded = version_memory_new();
    version_memory_put(loaded, first->type, &first->id, first->version, &first->hash);
    cr_assert_not(statement_check(first, roster, NULL, now_s, loaded, &err));
    cr_assert_eq(err.code, ERR_EXISTS);
}

Test(statement, box_context_binds_purpose_site_and_id)
{
    AUTO(buf) struct buf context = {0};
    statement_box_context("job", &site.id, &job, span_str("x"), &context);
    cr_assert_eq(context.len, strlen("sealift job v1") + 1 + 16 + 16 + 1);
    cr_assert_eq(memcmp(context.data, "sealift job v1", 15), 0);
    cr_assert_eq(memcmp(context.data + 15, site.id.bytes, 16), 0);
}
