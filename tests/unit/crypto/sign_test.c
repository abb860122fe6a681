#include "common/crypto/sign.h"

#include "common/base/text.h"
#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

Test(sign, a_seed_gives_the_public_key_of_rfc_8032)
{
    uint8_t seed[SIGN_SEED_LEN];
    uint8_t pk[SIGN_PK_LEN];
    struct err err;
    cr_assert(hex_decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", seed, 32, &err));
    cr_assert(hex_decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", pk, 32, &err));
    AUTO(sign_pair) struct sign_pair *pair = sign_pair_new(seed);
    cr_assert_arr_eq(pair->pk, pk, SIGN_PK_LEN);
    AUTO(secret) struct secret *again = sign_pair_seed(pair);
    cr_assert_eq(again->len, (size_t)SIGN_SEED_LEN);
    cr_assert_arr_eq(again->data, seed, SIGN_SEED_LEN);
}

Test(sign, signature_is_that_of_the_format)
{
    AUTO(sign_pair) struct sign_pair *pair = fixture_writer();
    AUTO(buf) struct buf expected = golden("sign", "point");
    uint8_t signature[SIGNATURE_LEN];
    sign_bytes(pair, "point", fixture_content(), signature);
    cr_assert(span_eq(span_of(signature, sizeof(signature)), buf_span(&expected)));
    cr_assert(sign_verify(pair->pk, "point", fixture_content(), signature));
}

Test(sign, verify_refuses_another_kind_of_object)
{
    AUTO(sign_pair) struct sign_pair *pair = sign_pair_new(NULL);
    uint8_t signature[SIGNATURE_LEN];
    sign_bytes(pair, "list", fixture_content(), signature);
    cr_assert(sign_verify(pair->pk, "list", fixture_content(), signature));
    cr_assert(!sign_verify(pair->pk, "point", fixture_content(), signature));
    cr_assert(!sign_verify(pair->pk, "lis", fixture_content(), signature));
    cr_assert(!sign_verify(pair->pk, "", fixture_content(), signature));
}

Test(sign, verify_refuses_another_signer_and_other_bytes)
{
    AUTO(sign_pair) struct sign_pair *pair = sign_pair_new(NULL);
    AUTO(sign_pair) struct sign_pair *other = sign_pair_new(NULL);
    struct span content = fixture_content();
    uint8_t signature[SIGNATURE_LEN];
    sign_bytes(pair, "log", content, signature);
    cr_assert(!sign_verify(other->pk, "log", content, signature));
    cr_assert(!sign_verify(pair->pk, "log", span_of(content.data, content.len - 1), signature));
    cr_assert(!sign_verify(pair->pk, "log", span_of(NULL, 0), signature));
    for (size_t bit = 0; bit < 8 * SIGNATURE_LEN; bit++) {
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert(!sign_verify(pair->pk, "log", content, signature), "bit %zu", bit);
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* With the neutral element as key, R = neutral and s = 0 verify any message in a careless library. */
Test(sign, verify_refuses_a_public_key_of_low_order)
{
    const uint8_t neutral[SIGN_PK_LEN] = {1};
    uint8_t signature[SIGNATURE_LEN] = {1};
    cr_assert(!sign_verify(neutral, "log", fixture_content(), signature));
    const uint8_t zero[SIGN_PK_LEN] = {0};
    cr_assert(!sign_verify(zero, "log", fixture_content(), signature));
}

Test(sign, empty_bytes_can_be_signed)
{
    AUTO(sign_pair) struct sign_pair *pair = sign_pair_new(NULL);
    uint8_t signature[SIGNATURE_LEN];
    sign_bytes(pair, "log", span_of(NULL, 0), signature);
    cr_assert(sign_verify(pair->pk, "log", span_of(NULL, 0), signature));
}
