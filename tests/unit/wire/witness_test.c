/* What a host says of keys: the bytes are those that the protocol writes down, and nothing else is taken for
 * the answer of this host, for this order, in this place. */
#include "common/wire/witness.h"

#include "common/wire/stored.h"
#include "tests/unit/crypto/golden.h"

#include <criterion/criterion.h>
#include <string.h>

enum { GRANT_MOST = 1024 * 1024 }; /* bytes, as of every statement */

static struct sign_pair *host;
static struct witness_place place = {.number = 3, .last = true};
static struct err err;

static void fill_run(uint8_t *out, uint8_t first, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + i);
}

/* As tests/golden/crypto.py has them. */
static void setup(void)
{
    uint8_t seed[SIGN_SEED_LEN];
    fill_run(seed, 0x60, sizeof(seed));
    host = sign_pair_new(seed);
    fill_run(place.order.bytes, 0xa0, ID_LEN);
}

static void teardown(void)
{
    sign_pair_free(host);
}

TestSuite(witness, .init = setup, .fini = teardown);

static enum err_code opened(struct span bytes, const struct witness_place *at, const uint8_t *by)
{
    AUTO(payload_witness) Sealift__Witness *said = NULL;
    bool opens = witness_open(bytes, by, at, &said, &err);
    cr_assert_eq(opens, said != NULL);
    return opens ? ERR_NONE : err.code;
}

/* Anything, signed by the host for this place. */
static enum err_code opened_said(struct span said)
{
    AUTO(buf) struct buf payload = {0}, bytes = {0};
    uint8_t rest[9];
    le64_put(rest, place.number);
    rest[8] = place.last;
    buf_put(&payload, place.order.bytes, ID_LEN);
    buf_put(&payload, rest, sizeof(rest));
    buf_put_span(&payload, said);
    stored_sign(host, "witness", buf_span(&payload), &bytes);
    return opened(buf_span(&bytes), &place, host->pk);
}

Test(witness, has_the_golden_bytes_and_is_read_from_them)
{
    AUTO(buf) struct buf signed_bytes = golden("witness", "signed");
    AUTO(buf) struct buf again = {0};
    AUTO(payload_witness) Sealift__Witness *said = NULL;
    cr_assert(witness_open(buf_span(&signed_bytes), host->pk, &place, &said, &err), "%s", err.text);
    cr_assert_eq(said->roster_version, 7);
    cr_assert_eq(said->n_grants, 2);
    cr_assert(span_eq(stored_span(&said->grants[1]), span_of("second", 6)));
    cr_assert_eq(said->own_key->key_id.len, (size_t)HASH_LEN);
    cr_assert_eq(said->own_key->domain_id.len, (size_t)HASH_LEN);
    witness_sign(host, &place, said, &again);
    cr_assert(span_eq(buf_span(&again), buf_span(&signed_bytes)));
}

Test(witness, cut_at_every_length_or_with_a_flipped_bit_says_nothing)
{
    AUTO(buf) struct buf bytes = golden("witness", "signed");
    for (size_t len = 0; len < bytes.len; len++) {
        AUTO(buf) struct buf exact = {0}; /* of its own, so that a read past its end is seen */
        buf_put(&exact, bytes.data, len);
        cr_assert_neq(opened(buf_span(&exact), &place, host->pk), ERR_NONE, "%zu bytes", len);
    }
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_neq(opened(buf_span(&bytes), &place, host->pk), ERR_NONE, "bit %zu", bit);
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* The same behind a signature that is good: a host that is hostile signs what it likes. */
Test(witness, that_a_hostile_host_cut_or_flipped_is_refused_or_is_another_one)
{
    AUTO(buf) struct buf bytes = golden("witness", "signed");
    AUTO(payload_witness) Sealift__Witness *said = NULL;
    AUTO(buf) struct buf plain = {0};
    cr_assert(witness_open(buf_span(&bytes), host->pk, &place, &said, &err), "%s", err.text);
    payload_witness_encode(said, &plain);
    size_t refused = 0;
    for (size_t len = 0; len < plain.len; len++)
        if (opened_said(span_of(plain.data, len)) != ERR_NONE) refused++;
    /* a cut between two fields leaves a message */
    cr_assert_eq(refused, plain.len - 4, "%zu of %zu", refused, plain.len);
    for (size_t bit = 0; bit < 8 * plain.len; bit++) {
        plain.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        (void)opened_said(buf_span(&plain));
        plain.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

Test(witness, of_another_host_order_number_or_end_is_refused)
{
    AUTO(buf) struct buf bytes = golden("witness", "signed");
    AUTO(sign_pair) struct sign_pair *other = sign_pair_new(NULL);
    struct witness_place elsewhere[] = {place, place, place};
    elsewhere[0].order.bytes[15] ^= 1;
    elsewhere[1].number++;
    elsewhere[2].last = false;
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
        cr_assert_eq(opened(buf_span(&bytes), &elsewhere[i], host->pk), ERR_NOT_AUTHENTIC, "%zu", i);
    cr_assert_eq(opened(buf_span(&bytes), &place, other->pk), ERR_NOT_AUTHENTIC);
    AUTO(buf) struct buf short_one = {0};
    stored_sign(host, "witness", span_of(place.order.bytes, ID_LEN), &short_one);
    cr_assert_eq(opened(buf_span(&short_one), &place, host->pk), ERR_NOT_AUTHENTIC, "no place at all");
}

/* A witness with grants of these lengths, and an own key of these. */
static enum err_code opened_lengths(size_t grant, size_t key_id, size_t domain)
{
    AUTO(buf) struct buf filler = {0}, plain = {0};
    Sealift__Witness said = SEALIFT__WITNESS__INIT;
    Sealift__OwnKey own = SEALIFT__OWN_KEY__INIT;
    for (size_t i = 0; i < grant || i < HASH_LEN + 1; i++)
        buf_put_u8(&filler, 1);
    ProtobufCBinaryData grants[] = {stored_bytes(span_of(filler.data, grant))};
    own.key_id = stored_bytes(span_of(filler.data, key_id));
    own.domain_id = stored_bytes(span_of(filler.data, domain));
    said.grants = grants;
    said.n_grants = 1;
    said.own_key = &own;
    payload_witness_encode(&said, &plain);
    return opened_said(buf_span(&plain));
}

Test(witness, has_limits_of_each_field)
{
    cr_assert_eq(opened_lengths(1, HASH_LEN, HASH_LEN), ERR_NONE, "%s", err.text);
    cr_assert_eq(opened_lengths(GRANT_MOST, HASH_LEN, HASH_LEN), ERR_NONE, "%s", err.text);
    cr_assert_neq(opened_lengths(GRANT_MOST + 1, HASH_LEN, HASH_LEN), ERR_NONE);
    cr_assert_neq(opened_lengths(0, HASH_LEN, HASH_LEN), ERR_NONE);
    cr_assert_neq(opened_lengths(1, HASH_LEN + 1, HASH_LEN), ERR_NONE);
    cr_assert_neq(opened_lengths(1, HASH_LEN, HASH_LEN - 1), ERR_NONE);
    cr_assert_neq(opened_said(span_of("\x20\x01", 2)), ERR_NONE, "an unknown field");
}
