/* Bundles: what is sealed with the lock alone opens with the password, and whatever was done to the file is
 * found. */
#include "common/crypto/bundle.h"

#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

static struct secret *password_of(const char *text)
{
    struct secret *out = NULL;
    enum password_strength strength;
    struct err err;
    cr_assert(password_normalise(span_str(text), &out, &strength, &err), "%s", err.text);
    return out;
}

/* A pair without a password: its derivation takes a second, and these tests do not need it. */
static struct bundle_facts facts_for(const struct box_pair *pair, uint64_t content_len)
{
    struct bundle_facts facts = {
        .time_ns = 77, .content_len = content_len, .program = "0.4.0", .lock.limits = PWHASH_INTERACTIVE};
    memset(facts.site.bytes, 5, ID_LEN);
    memcpy(facts.lock.pk, pair->pk, BOX_PK_LEN);
    return facts;
}

static void seal(const struct box_pair *pair, struct span content, struct buf *out)
{
    struct bundle_facts facts = facts_for(pair, content.len);
    AUTO(bundle_stream) struct bundle_stream *stream = NULL;
    struct err err;
    cr_assert(bundle_seal_begin(&facts, out, &stream, &err), "%s", err.text);
    while (!bundle_over(stream)) {
        size_t len = bundle_piece_len(stream);
        bundle_seal_piece(stream, span_of(content.data, len), out);
        content = span_of(content.data + len, content.len - len);
    }
    cr_assert_eq(out->len, bundle_file_len(facts.content_len));
}

/* The whole file in memory, as its readers do it piece by piece. */
static bool open_all(const struct box_pair *pair, struct span file, struct buf *content, struct err *err)
{
    struct bundle_facts facts;
    AUTO(bundle_stream) struct bundle_stream *stream = NULL;
    struct span header = span_of(file.data, file.len < BUNDLE_HEADER_LEN ? file.len : BUNDLE_HEADER_LEN);
    if (!bundle_header_decode(header, &facts, err)) return false;
    if (file.len < bundle_file_len(facts.content_len)) return err_set(err, ERR_TRUNCATED, "cut");
    if (!bundle_open_begin(header, pair, &stream, err)) return false;
    struct span rest = span_of(file.data + header.len, file.len - header.len);
    while (!bundle_over(stream)) {
        AUTO(secret) struct secret *piece = NULL;
        size_t len = bundle_piece_len(stream) + SMALL_OVERHEAD;
        if (len > rest.len) len = rest.len;
        if (!bundle_open_piece(stream, span_of(rest.data, len), &piece, err)) return false;
        if (content) buf_put(content, piece->data, piece->len);
        rest = span_of(rest.data + len, rest.len - len);
    }
    return rest.len == 0 || err_set(err, ERR_DAMAGED, "bytes follow");
}

static bool opens(struct span bytes, const void *pair, struct err *err)
{
    return open_all(pair, bytes, NULL, err);
}

Test(bundle, opens_that_of_another_implementation_with_its_password)
{
    AUTO(buf) struct buf file = golden("bundle", "short");
    AUTO(secret) struct secret *password = password_of(FIXTURE_PASSWORD);
    AUTO(box_pair) struct box_pair *pair = NULL;
    AUTO(buf) struct buf content = {0};
    struct bundle_facts facts;
    struct err err;
    cr_assert(bundle_header_decode(span_of(file.data, BUNDLE_HEADER_LEN), &facts, &err), "%s", err.text);
    cr_assert_eq(facts.content_len, FIXTURE_CONTENT_LEN);
    cr_assert_eq(facts.time_ns, UINT64_C(1764000000) * 1000000000);
    cr_assert_str_eq(facts.program, "0.4.0");
    cr_assert(bundle_unlock(&facts.lock, password, &pair, &err), "%s", err.text);
    cr_assert(open_all(pair, buf_span(&file), &content, &err), "%s", err.text);
    cr_assert(span_eq(buf_span(&content), fixture_content()));

    AUTO(buf) struct buf empty = golden("bundle", "empty");
    cr_assert(open_all(pair, buf_span(&empty), NULL, &err), "%s", err.text);
}

Test(bundle, another_password_is_a_wrong_key)
{
    AUTO(secret) struct secret *right = password_of("a password of its own");
    AUTO(secret) struct secret *wrong = password_of("a password of its Own");
    AUTO(box_pair) struct box_pair *pair = NULL;
    struct bundle_lock lock;
    struct err err;
    cr_assert(bundle_lock_make(right, &PWHASH_INTERACTIVE, &lock, &err), "%s", err.text);
    cr_assert(bundle_lock_check(&lock, &err), "%s", err.text);
    cr_assert_not(bundle_unlock(&lock, wrong, &pair, &err));
    cr_assert_eq(err.code, ERR_WRONG_KEY);
    cr_assert(bundle_unlock(&lock, right, &pair, &err), "%s", err.text);
}

Test(bundle, what_was_sealed_comes_back_at_every_length_around_a_piece)
{
    static const size_t lengths[] = {
        0, 1, BUNDLE_PIECE_LEN - 1, BUNDLE_PIECE_LEN, BUNDLE_PIECE_LEN + 1, 3 * BUNDLE_PIECE_LEN};
    AUTO(box_pair) struct box_pair *pair = box_pair_new(NULL);
    AUTO(buf) struct buf content = {0};
    fill_run(buf_grow(&content, 3 * BUNDLE_PIECE_LEN), 3, 3 * BUNDLE_PIECE_LEN);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        AUTO(buf) struct buf file = {0};
        AUTO(buf) struct buf back = {0};
        struct err err;
        seal(pair, span_of(content.data, lengths[i]), &file);
        cr_assert(open_all(pair, buf_span(&file), &back, &err), "%zu: %s", lengths[i], err.text);
        cr_assert(span_eq(buf_span(&back), span_of(content.data, lengths[i])));
    }
}

Test(bundle, a_cut_at_every_length_and_every_flipped_bit_is_found)
{
    static const enum err_code codes[] = {ERR_DAMAGED, ERR_VERSION, ERR_NONE};
    AUTO(box_pair) struct box_pair *pair = box_pair_new(NULL);
    AUTO(buf) struct buf file = {0};
    seal(pair, fixture_content(), &file);
    const struct subject subject = {opens, pair};
    check_every_prefix(&subject, buf_span(&file), ERR_TRUNCATED);
    check_every_bit(&subject, buf_span(&file), codes);
    check_trailing_byte(&subject, buf_span(&file));
}

Test(bundle, pieces_cannot_be_exchanged_repeated_or_brought_from_another_bundle)
{
    enum { FIRST = BUNDLE_HEADER_LEN, SECOND = FIRST + BUNDLE_SEALED_MAX };
    AUTO(box_pair) struct box_pair *pair = box_pair_new(NULL);
    AUTO(buf) struct buf content = {0}, file = {0}, other = {0}, changed = {0};
    struct err err;
    fill_run(buf_grow(&content, 3 * BUNDLE_PIECE_LEN), 9, 3 * BUNDLE_PIECE_LEN);
    seal(pair, buf_span(&content), &file);
    seal(pair, buf_span(&content), &other);

    buf_put_span(&changed, buf_span(&file));
    memcpy(changed.data + FIRST, file.data + SECOND, BUNDLE_SEALED_MAX);
    memcpy(changed.data + SECOND, file.data + FIRST, BUNDLE_SEALED_MAX);
    cr_assert_not(open_all(pair, buf_span(&changed), NULL, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);

    memcpy(changed.data + FIRST, file.data + FIRST, BUNDLE_SEALED_MAX);
    cr_assert_not(open_all(pair, buf_span(&changed), NULL, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);

    memcpy(changed.data + SECOND, other.data + SECOND, BUNDLE_SEALED_MAX);
    cr_assert_not(open_all(pair, buf_span(&changed), NULL, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
}

/* Whoever rewrites the clear header, with its checksum, has bound the pieces to another one. */
Test(bundle, a_header_that_tells_a_shorter_length_opens_nothing)
{
    AUTO(box_pair) struct box_pair *pair = box_pair_new(NULL);
    AUTO(buf) struct buf content = {0}, file = {0};
    struct err err;
    fill_run(buf_grow(&content, 2 * BUNDLE_PIECE_LEN), 9, 2 * BUNDLE_PIECE_LEN);
    seal(pair, buf_span(&content), &file);
    le64_put(file.data + 40, BUNDLE_PIECE_LEN);
    struct hash check = hash_of(span_of(file.data, BUNDLE_HEADER_LEN - HASH_LEN));
    memcpy(file.data + BUNDLE_HEADER_LEN - HASH_LEN, check.bytes, HASH_LEN);
    cr_assert_not(open_all(pair, span_of(file.data, BUNDLE_HEADER_LEN + BUNDLE_SEALED_MAX), NULL, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
}

Test(bundle, a_file_of_another_kind_or_version_is_named)
{
    AUTO(box_pair) struct box_pair *pair = box_pair_new(NULL);
    AUTO(buf) struct buf file = {0};
    struct err err;
    seal(pair, fixture_content(), &file);
    file.data[8] = 2;
    cr_assert_not(open_all(pair, buf_span(&file), NULL, &err));
    cr_assert_eq(err.code, ERR_VERSION);
    cr_assert_str_eq(err.text,
                     "the bundle has version 2, this program reads version 1: a newer Sealift wrote it");
    file.data[8] = 0;
    cr_assert_not(open_all(pair, buf_span(&file), NULL, &err));
    cr_assert_str_eq(err.text, "the bundle has version 0, this program reads version 1");
    cr_assert_not(open_all(pair, span_str("sealift-export1\n"), NULL, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    cr_assert_str_eq(err.text, "it is no bundle of a director's state");
}

Test(bundle, a_lock_that_costs_too_much_or_cannot_be_sealed_to_is_refused)
{
    AUTO(box_pair) struct box_pair *pair = box_pair_new(NULL);
    struct bundle_lock lock = facts_for(pair, 0).lock, bad = lock;
    struct err err;
    cr_assert(bundle_lock_check(&lock, &err), "%s", err.text);
    bad.limits.memory_bytes = PWHASH_MAX_MEMORY + 1;
    cr_assert_not(bundle_lock_check(&bad, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    bad = lock;
    memset(bad.pk, 0, sizeof(bad.pk));
    cr_assert_not(bundle_lock_check(&bad, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL);
}
