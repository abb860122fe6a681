#include "common/crypto/seal/envelope_key.h"

#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

static bool opens(struct span bytes, const void *context, struct err *err)
{
    AUTO(run_key) struct run_key *run = NULL;
    return envelope_open(bytes, context, &run, err);
}

static void check_refused(struct span envelope, const struct read_half *half, enum err_code code)
{
    struct run_key *run = NULL;
    struct err err;
    cr_assert(!envelope_open(envelope, half, &run, &err));
    cr_assert_eq(err.code, code, "code %d, %s", err.code, err.text);
    cr_assert_null(run);
}

/* Signed again by its writer, so that what is behind the signature is reached. */
static void sign_again(uint8_t *envelope)
{
    AUTO(sign_pair) struct sign_pair *writer = fixture_writer();
    sign_bytes(writer, "envelope", span_of(envelope, ENVELOPE_AT_SIGNATURE),
               envelope + ENVELOPE_AT_SIGNATURE);
}

Test(envelope_key, opens_the_envelope_of_another_implementation)
{
    AUTO(read_half) struct read_half *half = fixture_read_half();
    AUTO(buf) struct buf envelope = golden("envelope", "envelope");
    AUTO(run_key) struct run_key *run = NULL;
    AUTO(run_key) struct run_key *expected = fixture_run();
    struct err err;
    cr_assert(envelope_open(buf_span(&envelope), half, &run, &err), "%s", err.text);
    cr_assert(id_eq(&run->seal, &expected->seal));
    cr_assert_arr_eq(run->key->data, expected->key->data, 32);
    cr_assert_arr_eq(run->frames->data, expected->frames->data, 32);
}

Test(envelope_key, what_is_sealed_is_opened)
{
    AUTO(read_half) struct read_half *half = read_half_new(fixture_s());
    AUTO(write_half) struct write_half *write = write_half_of(half, FIXTURE_DOMAIN);
    AUTO(sign_pair) struct sign_pair *writer = sign_pair_new(NULL);
    AUTO(run_key) struct run_key *run = run_key_new();
    AUTO(run_key) struct run_key *again = NULL;
    uint8_t envelope[ENVELOPE_LEN];
    struct err err;
    cr_assert(envelope_seal(run, write, writer, envelope, &err), "%s", err.text);
    cr_assert(envelope_open(span_of(envelope, sizeof(envelope)), half, &again, &err), "%s", err.text);
    cr_assert(id_eq(&run->seal, &again->seal));
    cr_assert_arr_eq(run->key->data, again->key->data, 32);
    cr_assert_arr_eq(run->frames->data, again->frames->data, 32);
}

Test(envelope_key, two_envelopes_of_one_run_key_share_no_secret_bytes)
{
    AUTO(read_half) struct read_half *half = read_half_new(fixture_s());
    AUTO(write_half) struct write_half *write = write_half_of(half, FIXTURE_DOMAIN);
    AUTO(sign_pair) struct sign_pair *writer = sign_pair_new(NULL);
    AUTO(run_key) struct run_key *run = run_key_new();
    uint8_t a[ENVELOPE_LEN];
    uint8_t b[ENVELOPE_LEN];
    struct err err;
    cr_assert(envelope_seal(run, write, writer, a, &err), "%s", err.text);
    cr_assert(envelope_seal(run, write, writer, b, &err), "%s", err.text);
    cr_assert_arr_eq(a, b, ENVELOPE_AT_EPH_PK);
    cr_assert_neq(memcmp(a + ENVELOPE_AT_EPH_PK, b + ENVELOPE_AT_EPH_PK, 32), 0);
    cr_assert_neq(memcmp(a + ENVELOPE_AT_SEALED, b + ENVELOPE_AT_SEALED, 24), 0);
    cr_assert_neq(memcmp(a + ENVELOPE_AT_SEALED + 24, b + ENVELOPE_AT_SEALED + 24, 48), 0);
    cr_assert_null(memmem(a, sizeof(a), run->key->data, 32), "the run key stands in the clear");
    cr_assert_null(memmem(a, sizeof(a), write->psk->data, 32));
    cr_assert_null(memmem(a, sizeof(a), write->dedup_key->data, 32));
}

Test(envelope_key, two_run_keys_differ)
{
    AUTO(run_key) struct run_key *a = run_key_new();
    AUTO(run_key) struct run_key *b = run_key_new();
    cr_assert(!id_eq(&a->seal, &b->seal));
    cr_assert_neq(memcmp(a->key->data, b->key->data, 32), 0);
    cr_assert_neq(memcmp(a->frames->data, b->frames->data, 32), 0);
    cr_assert_neq(memcmp(a->frames->data, a->key->data, 32), 0);
}

Test(envelope_key, open_refuses_every_prefix_and_every_bit)
{
    static const enum err_code codes[] = {ERR_NOT_AUTHENTIC, ERR_VERSION, ERR_NONE};
    AUTO(read_half) struct read_half *half = fixture_read_half();
    AUTO(buf) struct buf envelope = golden("envelope", "envelope");
    const struct subject subject = {opens, half};
    check_every_prefix(&subject, buf_span(&envelope), ERR_TRUNCATED);
    check_every_bit(&subject, buf_span(&envelope), codes);
    check_trailing_byte(&subject, buf_span(&envelope));
}

Test(envelope_key, another_key_is_the_wrong_key_and_not_damage)
{
    uint8_t s[32];
    fill_run(s, 0x77, sizeof(s));
    AUTO(read_half) struct read_half *other = read_half_new(s);
    AUTO(buf) struct buf envelope = golden("envelope", "envelope");
    check_refused(buf_span(&envelope), other, ERR_WRONG_KEY);
}

/* Every byte that the writer signs again: a field is either refused as such or bound to the run key. */
Test(envelope_key, open_refuses_every_byte_that_its_writer_signed_wrong)
{
    AUTO(read_half) struct read_half *half = fixture_read_half();
    for (size_t at = ENVELOPE_AT_RESERVED; at < ENVELOPE_AT_SIGNATURE; at++) {
        if (at >= ENVELOPE_AT_WRITER && at < ENVELOPE_AT_UNLOCK_PK) continue; /* that is another writer */
        AUTO(buf) struct buf envelope = golden("envelope", "envelope");
        envelope.data[at] ^= 0x40;
        sign_again(envelope.data);
        check_refused(buf_span(&envelope), half, ERR_DAMAGED);
    }
}

Test(envelope_key, another_writer_cannot_sign_the_same_sealed_run_key)
{
    AUTO(read_half) struct read_half *half = fixture_read_half();
    AUTO(sign_pair) struct sign_pair *thief = sign_pair_new(NULL);
    AUTO(buf) struct buf envelope = golden("envelope", "envelope");
    memcpy(envelope.data + ENVELOPE_AT_WRITER, thief->pk, SIGN_PK_LEN);
    sign_bytes(thief, "envelope", span_of(envelope.data, ENVELOPE_AT_SIGNATURE),
               envelope.data + ENVELOPE_AT_SIGNATURE);
    check_refused(buf_span(&envelope), half, ERR_DAMAGED);
}

Test(envelope_key, the_pre_shared_secret_is_needed_beside_the_unlock_key)
{
    AUTO(read_half) struct read_half *half = fixture_read_half();
    AUTO(buf) struct buf envelope = golden("envelope", "envelope");
    half->psk->data[0] ^= 1;
    check_refused(buf_span(&envelope), half, ERR_DAMAGED);
}

Test(envelope_key, an_ephemeral_key_of_low_order_is_refused)
{
    AUTO(read_half) struct read_half *half = fixture_read_half();
    AUTO(buf) struct buf envelope = golden("envelope", "envelope");
    memset(envelope.data + ENVELOPE_AT_EPH_PK, 0, 32);
    sign_again(envelope.data);
    check_refused(buf_span(&envelope), half, ERR_DAMAGED);
}

Test(envelope_key, seal_refuses_an_unlock_key_of_low_order)
{
    AUTO(read_half) struct read_half *half = fixture_read_half();
    AUTO(write_half) struct write_half *write = write_half_of(half, FIXTURE_DOMAIN);
    AUTO(sign_pair) struct sign_pair *writer = fixture_writer();
    AUTO(run_key) struct run_key *run = run_key_new();
    uint8_t envelope[ENVELOPE_LEN] = {0};
    struct err err;
    memset(write->unlock_pk, 0, sizeof(write->unlock_pk));
    cr_assert(!envelope_seal(run, write, writer, envelope, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL);
    cr_assert_eq(envelope[0], 0, "the output was touched");
}

Test(envelope_key, a_rotated_key_opens_what_the_earlier_ones_sealed)
{
    uint8_t s[32];
    uint8_t envelope[ENVELOPE_LEN];
    struct err err;
    AUTO(read_half) struct read_half *first = fixture_read_half();
    AUTO(read_half) struct read_half *second = NULL;
    AUTO(read_half) struct read_half *third = NULL;
    AUTO(sign_pair) struct sign_pair *writer = fixture_writer();
    AUTO(run_key) struct run_key *run = run_key_new();
    AUTO(run_key) struct run_key *again = NULL;
    AUTO(write_half) struct write_half *write = write_half_of(first, FIXTURE_DOMAIN);
    cr_assert(envelope_seal(run, write, writer, envelope, &err), "%s", err.text);
    fill_run(s, 0x33, sizeof(s));
    cr_assert(read_half_rotate(first, s, ROTATE_KEEP_DEDUP, &second, &err), "%s", err.text);
    fill_run(s, 0x44, sizeof(s));
    cr_assert(read_half_rotate(second, s, ROTATE_KEEP_DEDUP, &third, &err), "%s", err.text);
    cr_assert(envelope_open(span_of(envelope, sizeof(envelope)), third, &again, &err), "%s", err.text);
    cr_assert_arr_eq(run->key->data, again->key->data, 32);

    AUTO(write_half) struct write_half *new_write = write_half_of(third, FIXTURE_DOMAIN);
    cr_assert(envelope_seal(run, new_write, writer, envelope, &err), "%s", err.text);
    check_refused(span_of(envelope, sizeof(envelope)), first, ERR_WRONG_KEY);
}
