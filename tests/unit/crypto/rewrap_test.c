#include "common/crypto/seal/rewrap_key.h"

#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

/* The generation after the one of the golden envelope; without the earlier S: what a rewrap is there for. */
static struct read_half *next_half(void)
{
    uint8_t s[32];
    AUTO(read_half) struct read_half *old = fixture_read_half();
    fill_run(s, 0x30, sizeof(s));
    struct read_half *half = read_half_new(s);
    memcpy(half->psk->data, old->psk->data, old->psk->len);
    return half;
}

static struct sign_pair *rewrapper(void)
{
    uint8_t seed[SIGN_SEED_LEN];
    fill_run(seed, 0x61, sizeof(seed));
    return sign_pair_new(seed);
}

struct golden_rewrap {
    struct buf envelope;
    struct read_half *half;
    struct sign_pair *signer;
};

static void init(struct golden_rewrap *with)
{
    *with = (struct golden_rewrap){
        .envelope = golden("envelope", "envelope"), .half = next_half(), .signer = rewrapper()};
}

static void deinit(struct golden_rewrap *with)
{
    buf_deinit(&with->envelope);
    read_half_free(with->half);
    sign_pair_free(with->signer);
}

static bool opens(struct span bytes, const void *context, struct err *err)
{
    const struct golden_rewrap *with = context;
    AUTO(run_key) struct run_key *run = NULL;
    return rewrap_open(bytes, with->signer->pk, buf_span(&with->envelope), with->half, &run, err);
}

Test(rewrap, opens_that_of_another_implementation_without_the_earlier_secret)
{
    struct golden_rewrap with;
    init(&with);
    AUTO(buf) struct buf rewrap = golden("rewrap", "rewrap");
    AUTO(run_key) struct run_key *run = NULL;
    AUTO(run_key) struct run_key *expected = fixture_run();
    struct err err;
    cr_assert(
        rewrap_open(buf_span(&rewrap), with.signer->pk, buf_span(&with.envelope), with.half, &run, &err),
        "%s", err.text);
    cr_assert(id_eq(&run->seal, &expected->seal));
    cr_assert_arr_eq(run->key->data, expected->key->data, 32);
    cr_assert_arr_eq(run->frames->data, expected->frames->data, 32);
    deinit(&with);
}

Test(rewrap, what_a_holder_of_both_secrets_makes_is_opened_with_the_new_one_alone)
{
    struct golden_rewrap with;
    init(&with);
    AUTO(read_half) struct read_half *old = fixture_read_half();
    AUTO(read_half) struct read_half *both = NULL;
    AUTO(run_key) struct run_key *run = NULL;
    uint8_t rewrap[REWRAP_LEN];
    struct err err;
    cr_assert(read_half_rotate(old, with.half->s->data, ROTATE_KEEP_DEDUP, &both, &err), "%s", err.text);
    cr_assert(rewrap_make(buf_span(&with.envelope), both, with.signer->pk, rewrap, &err), "%s", err.text);
    struct span bytes = span_of(rewrap, sizeof(rewrap));
    cr_assert(opens(bytes, &with, &err), "%s", err.text);
    cr_assert_not(rewrap_open(bytes, with.signer->pk, buf_span(&with.envelope), old, &run, &err));
    cr_assert_eq(err.code, ERR_WRONG_KEY);
    cr_assert_not(rewrap_make(buf_span(&with.envelope), with.half, with.signer->pk, rewrap, &err),
                  "nobody rewraps what he cannot open");
    cr_assert_eq(err.code, ERR_WRONG_KEY);
    deinit(&with);
}

Test(rewrap, one_that_is_cut_or_flipped_anywhere_is_refused)
{
    static const enum err_code codes[] = {ERR_DAMAGED, ERR_VERSION, ERR_NONE};
    struct golden_rewrap with;
    init(&with);
    const struct subject subject = {opens, &with};
    AUTO(buf) struct buf rewrap = golden("rewrap", "rewrap");
    check_every_prefix(&subject, buf_span(&rewrap), ERR_TRUNCATED);
    check_every_bit(&subject, buf_span(&rewrap), codes);
    check_trailing_byte(&subject, buf_span(&rewrap));
    deinit(&with);
}

Test(rewrap, one_moved_to_another_envelope_or_signer_is_damaged)
{
    struct golden_rewrap with;
    init(&with);
    AUTO(buf) struct buf rewrap = golden("rewrap", "rewrap");
    AUTO(read_half) struct read_half *half = fixture_read_half();
    AUTO(write_half) struct write_half *write = write_half_of(half, FIXTURE_DOMAIN);
    AUTO(sign_pair) struct sign_pair *writer = fixture_writer();
    AUTO(run_key) struct run_key *same = fixture_run(); /* the same seal and run key, another envelope */
    AUTO(run_key) struct run_key *run = NULL;
    uint8_t other[ENVELOPE_LEN];
    struct err err;
    cr_assert(envelope_seal(same, write, writer, other, &err), "%s", err.text);
    struct span bytes = buf_span(&rewrap);
    cr_assert_not(rewrap_open(bytes, with.signer->pk, span_of(other, sizeof(other)), with.half, &run, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    cr_assert_not(rewrap_open(bytes, writer->pk, buf_span(&with.envelope), with.half, &run, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    deinit(&with);
}

/* Whoever has the unlock public key and the pre-shared secret, as every source does, can seal any run key to
 * it. */
Test(rewrap, a_run_key_that_the_writer_did_not_commit_to_is_damaged)
{
    struct golden_rewrap with;
    init(&with);
    AUTO(read_half) struct read_half *half = fixture_read_half();
    AUTO(read_half) struct read_half *both = NULL;
    AUTO(write_half) struct write_half *write = write_half_of(half, FIXTURE_DOMAIN);
    AUTO(sign_pair) struct sign_pair *writer = fixture_writer();
    AUTO(run_key) struct run_key *other = run_key_new();
    AUTO(run_key) struct run_key *run = NULL;
    uint8_t envelope[ENVELOPE_LEN], rewrap[REWRAP_LEN];
    struct err err;
    other->seal = (struct id){{0}};
    memcpy(other->seal.bytes, with.envelope.data + ENVELOPE_AT_SEAL, ID_LEN);
    cr_assert(read_half_rotate(half, with.half->s->data, ROTATE_KEEP_DEDUP, &both, &err), "%s", err.text);
    cr_assert(envelope_seal(other, write, writer, envelope, &err), "%s", err.text);
    cr_assert(rewrap_make(span_of(envelope, sizeof(envelope)), both, with.signer->pk, rewrap, &err), "%s",
              err.text);
    /* the liar's rewrap is of his own envelope of the same seal: it does not open the true one */
    cr_assert_not(rewrap_open(span_of(rewrap, sizeof(rewrap)), with.signer->pk, buf_span(&with.envelope),
                              with.half, &run, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    AUTO(secret) struct secret *key = secret_copy(other->key->data, other->key->len);
    cr_assert_not(envelope_commits(buf_span(&with.envelope), &key, &run, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    deinit(&with);
}
