#include "common/crypto/hash.h"

#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

static void check_hex(const uint8_t *bytes, const char *hex)
{
    char text[2 * HASH_LEN + 1];
    for (size_t i = 0; i < HASH_LEN; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    cr_assert_str_eq(text, hex);
}

static void check_golden(const uint8_t *bytes, const char *name)
{
    AUTO(buf) struct buf expected = golden("derive", name);
    cr_assert(span_eq(span_of(bytes, HASH_LEN), buf_span(&expected)), "%s", name);
}

/* Of the test vectors that come with BLAKE3: input 0, 1, 2, … 250, 0, … */
Test(hash, agrees_with_the_vectors_of_blake3)
{
    static const char key[] = "whats the Elvish word for friend";
    struct hash empty = hash_of(span_of(NULL, 0));
    check_hex(empty.bytes, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    struct hash keyed = hash_keyed((const uint8_t *)key, span_of(NULL, 0));
    check_hex(keyed.bytes, "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26");
    uint8_t derived[HASH_LEN];
    hash_derive("BLAKE3 2019-12-27 16:29:52 test vectors context", NULL, 0, derived);
    check_hex(derived, "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d");
}

Test(hash, of_parts_is_of_their_concatenation)
{
    struct span content = fixture_content();
    struct hash whole = hash_of(content);
    check_golden(whole.bytes, "hash_of_content");
    for (size_t cut = 0; cut <= content.len; cut++) {
        const struct span parts[] = {{content.data, cut}, {content.data + cut, content.len - cut}};
        struct hash joined = hash_of_parts(parts, 2);
        cr_assert(hash_eq(&joined, &whole), "cut at %zu", cut);
    }
}

Test(hash, incremental_hashing_may_be_asked_in_between)
{
    uint8_t bytes[5000];
    fill_run(bytes, 0, sizeof(bytes));
    struct hasher hasher;
    hasher_init(&hasher);
    for (size_t at = 0; at < sizeof(bytes); at += 500) {
        struct hash expected = hash_of(span_of(bytes, at));
        struct hash result = hasher_result(&hasher);
        cr_assert(hash_eq(&result, &expected), "after %zu bytes", at);
        hasher_add(&hasher, bytes + at, 500);
    }
    struct hash expected = hash_of(span_of(bytes, sizeof(bytes)));
    struct hash result = hasher_result(&hasher);
    cr_assert(hash_eq(&result, &expected));
}

Test(hash, chunk_ids_are_those_of_the_format)
{
    AUTO(buf) struct buf key = golden("derive", "dedup_key");
    struct hash content = hash_of(fixture_content());
    struct hash data = chunk_id(key.data, FRAME_DATA, &content);
    struct hash node = chunk_id(key.data, FRAME_NODE, &content);
    check_golden(data.bytes, "chunk_id_data");
    check_golden(node.bytes, "chunk_id_node");
    struct hash domain = domain_id(key.data);
    check_golden(domain.bytes, "domain_id");
    uint8_t constant[HASH_LEN];
    plaintext_dedup_key(constant);
    check_golden(constant, "plaintext_dedup_key");
}

Test(hash, order_is_bytewise)
{
    struct hash low = {{0, 0xff}};
    struct hash high = {{1}};
    cr_assert_lt(hash_cmp(&low, &high), 0);
    cr_assert_gt(hash_cmp(&high, &low), 0);
    cr_assert_eq(hash_cmp(&low, &low), 0);
    cr_assert(!hash_eq(&low, &high));
    cr_assert(!hash_is_zero(&high));
    cr_assert(hash_is_zero(&(struct hash){{0}}));
}

Test(hash, random_ids_differ_and_are_never_zero)
{
    struct id a = id_random();
    struct id b = id_random();
    cr_assert(!id_eq(&a, &b));
    cr_assert(id_eq(&a, &a));
    cr_assert(!id_is_zero(&a));
    cr_assert(id_is_zero(&(struct id){{0}}));
}
