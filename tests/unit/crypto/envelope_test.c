#include "common/crypto/envelope.h"

#include "common/crypto/sign.h"
#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

static bool parses(struct span bytes, const void *context, struct err *err)
{
    struct envelope_view view;
    return envelope_parse(bytes, &view, err);
}
static const struct subject subject = {parses, NULL};

static void check_signed_but_refused(struct buf *envelope)
{
    AUTO(sign_pair) struct sign_pair *writer = fixture_writer();
    struct err err;
    sign_bytes(writer, "envelope", span_of(envelope->data, ENVELOPE_AT_SIGNATURE),
               envelope->data + ENVELOPE_AT_SIGNATURE);
    cr_assert(!subject_accepts(&subject, buf_span(envelope), &err));
    cr_assert_eq(err.code, ERR_DAMAGED, "code %d, %s", err.code, err.text);
}

Test(envelope, parse_finds_the_fields_of_the_format)
{
    AUTO(buf) struct buf envelope = golden("envelope", "envelope");
    AUTO(buf) struct buf key_id = golden("derive", "key_id");
    AUTO(buf) struct buf domain = golden("derive", "domain_id");
    AUTO(buf) struct buf unlock_pk = golden("derive", "unlock_pk");
    AUTO(sign_pair) struct sign_pair *writer = fixture_writer();
    struct id seal;
    fill_run(seal.bytes, 0xa0, ID_LEN);
    struct envelope_view view;
    struct err err;
    cr_assert_eq(envelope.len, (size_t)ENVELOPE_LEN);
    cr_assert(envelope_parse(buf_span(&envelope), &view, &err), "%s", err.text);
    cr_assert(id_eq(&view.seal, &seal));
    cr_assert_arr_eq(view.key_id.bytes, key_id.data, HASH_LEN);
    cr_assert_arr_eq(view.domain.bytes, domain.data, HASH_LEN);
    cr_assert_arr_eq(view.writer, writer->pk, SIGN_PK_LEN);
    cr_assert_arr_eq(view.unlock_pk, unlock_pk.data, 32);
    cr_assert_eq(view.bytes, envelope.data);
}

Test(envelope, parse_refuses_every_prefix_as_truncated)
{
    AUTO(buf) struct buf envelope = golden("envelope", "envelope");
    check_every_prefix(&subject, buf_span(&envelope), ERR_TRUNCATED);
    check_trailing_byte(&subject, buf_span(&envelope));
}

Test(envelope, parse_without_a_key_notices_every_bit)
{
    static const enum err_code codes[] = {ERR_NOT_AUTHENTIC, ERR_VERSION, ERR_NONE};
    AUTO(buf) struct buf envelope = golden("envelope", "envelope");
    check_every_bit(&subject, buf_span(&envelope), codes);
}

Test(envelope, parse_refuses_what_a_writer_may_not_sign)
{
    for (size_t at = ENVELOPE_AT_RESERVED; at < ENVELOPE_AT_SEAL; at++) {
        AUTO(buf) struct buf envelope = golden("envelope", "envelope");
        envelope.data[at] = 1;
        check_signed_but_refused(&envelope);
    }
    AUTO(buf) struct buf no_seal = golden("envelope", "envelope");
    memset(no_seal.data + ENVELOPE_AT_SEAL, 0, ID_LEN);
    check_signed_but_refused(&no_seal);
    AUTO(buf) struct buf other_key = golden("envelope", "envelope");
    other_key.data[ENVELOPE_AT_KEY_ID] ^= 1;
    check_signed_but_refused(&other_key);
    AUTO(buf) struct buf other_pk = golden("envelope", "envelope");
    other_pk.data[ENVELOPE_AT_UNLOCK_PK] ^= 1;
    check_signed_but_refused(&other_pk);
}
