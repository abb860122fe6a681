#include "common/crypto/box.h"

#include "common/base/text.h"
#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

static const char CONTEXT[] = "sealift test box\0web"; /* without its last NUL */
static const struct span context = {(const uint8_t *)CONTEXT, sizeof(CONTEXT) - 1};

static struct box_pair *fixture_pair(void)
{
    uint8_t sk[BOX_SK_LEN];
    fill_run(sk, 0x70, sizeof(sk));
    return box_pair_new(sk);
}

static bool opens(struct span bytes, const void *pair, struct err *err)
{
    AUTO(secret) struct secret *plain = NULL;
    return box_open(pair, context, bytes, &plain, err);
}

Test(box, a_secret_key_gives_the_public_key_of_rfc_7748)
{
    uint8_t sk[BOX_SK_LEN];
    uint8_t pk[BOX_PK_LEN];
    struct err err;
    cr_assert(hex_decode("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", sk, 32, &err));
    cr_assert(hex_decode("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", pk, 32, &err));
    AUTO(box_pair) struct box_pair *pair = box_pair_new(sk);
    cr_assert_eq(pair->sk->len, (size_t)BOX_SK_LEN);
    cr_assert_arr_eq(pair->pk, pk, BOX_PK_LEN);
}

Test(box, opens_the_box_of_another_implementation)
{
    AUTO(box_pair) struct box_pair *pair = fixture_pair();
    AUTO(buf) struct buf box = golden("box", "box");
    AUTO(secret) struct secret *plain = NULL;
    struct err err;
    cr_assert(box_open(pair, context, buf_span(&box), &plain, &err), "%s", err.text);
    cr_assert_eq(plain->len, 32);
    cr_assert_arr_eq(plain->data, fixture_s(), 32);
}

Test(box, what_is_sealed_is_opened_and_no_two_boxes_are_alike)
{
    AUTO(box_pair) struct box_pair *pair = box_pair_new(NULL);
    AUTO(buf) struct buf a = {0};
    AUTO(buf) struct buf b = {0};
    AUTO(secret) struct secret *plain = NULL;
    struct err err;
    cr_assert(box_seal(pair->pk, context, fixture_content(), &a, &err), "%s", err.text);
    cr_assert(box_seal(pair->pk, context, fixture_content(), &b, &err), "%s", err.text);
    cr_assert_eq(a.len, FIXTURE_CONTENT_LEN + BOX_OVERHEAD);
    cr_assert_neq(memcmp(a.data + 1, b.data + 1, 32), 0);
    cr_assert_neq(memcmp(a.data + 33, b.data + 33, 24), 0);
    cr_assert_neq(memcmp(a.data + 57, b.data + 57, a.len - 57), 0);
    cr_assert(box_open(pair, context, buf_span(&a), &plain, &err), "%s", err.text);
    cr_assert(span_eq(span_of(plain->data, plain->len), fixture_content()));
}

Test(box, an_empty_secret_can_be_sealed)
{
    AUTO(box_pair) struct box_pair *pair = box_pair_new(NULL);
    AUTO(buf) struct buf box = {0};
    AUTO(secret) struct secret *plain = NULL;
    struct err err;
    cr_assert(box_seal(pair->pk, span_of(NULL, 0), span_of(NULL, 0), &box, &err), "%s", err.text);
    cr_assert(box_open(pair, span_of(NULL, 0), buf_span(&box), &plain, &err), "%s", err.text);
    cr_assert_eq(plain->len, 0);
}

Test(box, open_refuses_every_bit_and_every_prefix)
{
    static const enum err_code codes[] = {ERR_VERSION, ERR_WRONG_KEY, ERR_NONE};
    AUTO(box_pair) struct box_pair *pair = fixture_pair();
    AUTO(buf) struct buf box = golden("box", "box");
    const struct subject subject = {opens, pair};
    struct err err;
    check_every_bit(&subject, buf_span(&box), codes);
    for (size_t len = 0; len < box.len; len++) {
        cr_assert(!subject_accepts(&subject, span_of(box.data, len), &err), "%zu bytes", len);
        cr_assert_eq(err.code, len < BOX_OVERHEAD ? ERR_TRUNCATED : ERR_WRONG_KEY, "%zu bytes", len);
    }
}

Test(box, open_refuses_another_recipient_and_another_use)
{
    AUTO(box_pair) struct box_pair *pair = fixture_pair();
    AUTO(box_pair) struct box_pair *other = box_pair_new(NULL);
    AUTO(buf) struct buf box = golden("box", "box");
    struct secret *plain = NULL;
    struct err err;
    cr_assert(!box_open(other, context, buf_span(&box), &plain, &err));
    cr_assert_eq(err.code, ERR_WRONG_KEY);
    cr_assert(!box_open(pair, span_str("sealift test box"), buf_span(&box), &plain, &err));
    cr_assert_eq(err.code, ERR_WRONG_KEY);
    cr_assert_null(plain);
}

Test(box, public_keys_of_low_order_are_refused)
{
    const uint8_t points[2][BOX_PK_LEN] = {{0}, {1}};
    AUTO(box_pair) struct box_pair *pair = fixture_pair();
    for (size_t i = 0; i < 2; i++) {
        AUTO(buf) struct buf out = {0};
        AUTO(buf) struct buf box = golden("box", "box");
        struct secret *plain = NULL;
        struct err err;
        cr_assert(!box_seal(points[i], context, fixture_content(), &out, &err));
        cr_assert_eq(err.code, ERR_PROTOCOL);
        cr_assert_eq(out.len, 0);
        memcpy(box.data + 1, points[i], BOX_PK_LEN);
        cr_assert(!box_open(pair, context, buf_span(&box), &plain, &err));
        cr_assert_eq(err.code, ERR_DAMAGED);
    }
}

Test(box, small_sealed_bytes_are_bound_to_key_and_associated_data)
{
    const uint8_t key[32] = {1};
    const uint8_t other[32] = {2};
    AUTO(buf) struct buf sealed = {0};
    AUTO(secret) struct secret *plain = NULL;
    struct secret *none = NULL;
    struct err err;
    small_seal(key, span_str("use"), span_str("secret"), &sealed);
    cr_assert_eq(sealed.len, strlen("secret") + SMALL_OVERHEAD);
    cr_assert(small_open(key, span_str("use"), buf_span(&sealed), &plain, &err), "%s", err.text);
    cr_assert(span_eq(span_of(plain->data, plain->len), span_str("secret")));
    cr_assert(!small_open(other, span_str("use"), buf_span(&sealed), &none, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    cr_assert(!small_open(key, span_str("Use"), buf_span(&sealed), &none, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    cr_assert(!small_open(key, span_str("use"), span_of(sealed.data, SMALL_OVERHEAD - 1), &none, &err));
    cr_assert_eq(err.code, ERR_TRUNCATED);
    cr_assert_null(none);
}
