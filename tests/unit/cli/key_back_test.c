/* Transporters that give back what is not the key, or not for the order. */
#include "director/cli/key_back.h"

#include "common/wire/grant.h"
#include "common/wire/lent.h"
#include "tests/unit/base/capture.h"
#include "tests/unit/cli/small_site.h"

#include <criterion/criterion.h>
#include <string.h>

static struct small_site site;
static struct read_half *half;
static struct buf grant; /* the one that the director hands out: web's write half */
static unsigned grants_put, sections_put;

static const struct id order = {{7}}, other_order = {{8}};

static void answers(const struct request *request)
{
    switch (request->head->kind_case) {
    case SEALIFT__HEAD__KIND_GET:
        small_site_answer_blobs(request, &grant,
                                request->head->get->type == SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT);
        return;
    case SEALIFT__HEAD__KIND_PUT:
        grants_put++;
        break;
    case SEALIFT__HEAD__KIND_PUT_UNLOCK:
        sections_put++;
        break;
    default:
        break;
    }
    answer_done(request, 0, span_of(NULL, 0));
}

static void make_section(struct buf *out)
{
    struct err err = {0};
    AUTO(buf) struct buf keyring = {0};
    Sealift__UnlockSection section = SEALIFT__UNLOCK_SECTION__INIT;
    keyring_seal(half, &keyring);
    section.version = 1;
    section.key_id = lent_bytes(half->key_id.bytes, HASH_LEN);
    section.unlock_pk = lent_bytes(half->unlock_pk, 32);
    section.label = lent_text("main");
    section.description = lent_text("a test");
    section.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    section.keyring = stored_bytes(buf_span(&keyring));
    cr_assert(stored_unlock_encode(&section, out, &err), "%s", err.text);
}

/* web has a write half: so the operator knows the key and its section, and has no copy. */
static void make_grant(const struct hash *unlock_hash)
{
    struct err err = {0};
    AUTO(buf) struct buf body_bytes = {0};
    const uint8_t *web = site.web->known.sign_pk;
    const struct hash domain = {{3}};
    Sealift__GrantBody body = SEALIFT__GRANT_BODY__INIT;
    body.key_id = lent_bytes(half->key_id.bytes, HASH_LEN);
    body.key_label = lent_text("main");
    body.recipient = lent_bytes(web, SIGN_PK_LEN);
    body.half = SEALIFT__HALF__HALF_WRITE;
    body.domain = lent_text("t:web");
    body.domain_id = lent_bytes(domain.bytes, HASH_LEN);
    body.sealed = lent_bytes("sealed", 6);
    body.unlock_hash = lent_bytes(unlock_hash->bytes, HASH_LEN);
    statement_body_encode(&body, &body_bytes);
    const struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT,
                                          .site = site.id,
                                          .audience = web,
                                          .id = grant_id(&half->key_id, web, body.half, &domain),
                                          .version = 1,
                                          .body = buf_span(&body_bytes)};
    cr_assert(statement_sign(site.anna->sign, &draft, &grant, &err), "%s", err.text);
}

static void setup(void)
{
    struct err err = {0};
    uint8_t s[KEY_SECRET_LEN] = {1};
    AUTO(buf) struct buf section = {0};
    half = read_half_new(s);
    small_site_init(&site, answers);
    site.cli.output.quiet = false;
    make_section(&section);
    struct hash unlock_hash = hash_of(buf_span(&section));
    make_grant(&unlock_hash);
    cr_assert(state_keep_unlock(site.cli.state, buf_span(&section), &err), "%s", err.text);
}

static void teardown(void)
{
    small_site_deinit(&site);
    read_half_free(half);
    buf_deinit(&grant);
}

TestSuite(key_back, .init = setup, .fini = teardown);

/* A run of `order` ends, and these bytes come with it, sealed for `sealed_for`. */
static const char *comes_back(const uint8_t *bytes, size_t len, const struct id *sealed_for, struct buf *said)
{
    struct err err = {0};
    AUTO(buf) struct buf context = {0};
    AUTO(buf) struct buf sealed = {0};
    Sealift__SealedCopy copy = SEALIFT__SEALED_COPY__INIT;
    Sealift__SealedCopy *list[] = {&copy};
    Sealift__Warnings warnings = SEALIFT__WARNINGS__INIT;
    order_key_back_context(&site.id, sealed_for, &half->key_id, &context);
    cr_assert(box_seal(site.anna->known.box_pk, buf_span(&context), span_of(bytes, len), &sealed, &err));
    copy.recipient = lent_bytes(site.anna->known.sign_pk, SIGN_PK_LEN);
    copy.sealed = stored_bytes(buf_span(&sealed));
    warnings.n_keys_back = 1;
    warnings.keys_back = list;
    struct capture capture = capture_start();
    key_back_take(&site.cli, &order, NULL, &warnings);
    return capture_stop(&capture, said);
}

static bool has_copy(void)
{
    struct err err;
    AUTO(secret) struct secret *s = NULL;
    return keys_local_secret(&site.cli, &half->key_id, &s, &err);
}

Test(key_back, the_key_is_kept_and_granted_again)
{
    AUTO(buf) struct buf buf = {0};
    const char *said = comes_back(half->s->data, KEY_SECRET_LEN, &order, &buf);
    cr_assert_not_null(strstr(said, "password hash restored"), "said: %s", said);
    cr_assert_eq(grants_put, 1, "%u", grants_put);
    cr_assert_eq(sections_put, 1);
    cr_assert(has_copy());
}

Test(key_back, what_is_not_the_key_is_left_alone)
{
    AUTO(buf) struct buf wrong = {0};
    AUTO(buf) struct buf shorter = {0};
    uint8_t other[KEY_SECRET_LEN] = {2};
    const char *said = comes_back(other, sizeof(other), &order, &wrong);
    cr_assert_not_null(strstr(said, "what the transporter gave back is not the key"), "%s", said);
    said = comes_back(half->s->data, KEY_SECRET_LEN - 1, &order, &shorter);
    cr_assert_not_null(strstr(said, "what the transporter gave back is not the key"), "%s", said);
    cr_assert_eq(grants_put + sections_put, 0);
    cr_assert_not(has_copy());
}

Test(key_back, the_key_of_another_order_is_left_alone)
{
    AUTO(buf) struct buf buf = {0};
    const char *said = comes_back(half->s->data, KEY_SECRET_LEN, &other_order, &buf);
    cr_assert_not_null(strstr(said, "it is not for this order"), "%s", said);
    cr_assert_eq(grants_put + sections_put, 0);
    cr_assert_not(has_copy());
}
