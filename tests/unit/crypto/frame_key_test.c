#include "common/crypto/seal/frame_key.h"

#include "common/crypto/padme.h"
#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <string.h>

static const struct {
    const char *name;
    enum frame_type type;
    enum cipher cipher;
    enum padding padding;
} GOLDENS[] = {
    {"aes_data", FRAME_DATA, CIPHER_AES_256_GCM, PADDING_PADME},
    {"aes_data_unpadded", FRAME_DATA, CIPHER_AES_256_GCM, PADDING_NONE},
    {"aes_node", FRAME_NODE, CIPHER_AES_256_GCM, PADDING_PADME},
    {"chacha_data", FRAME_DATA, CIPHER_CHACHA20_POLY1305, PADDING_PADME},
    {"chacha_node", FRAME_NODE, CIPHER_CHACHA20_POLY1305, PADDING_PADME},
    {"plain_data", FRAME_DATA, CIPHER_NONE, PADDING_PADME},
    {"plain_node", FRAME_NODE, CIPHER_NONE, PADDING_PADME},
};
#define GOLDEN_COUNT (sizeof(GOLDENS) / sizeof(GOLDENS[0]))
static const enum cipher SEALING[] = {CIPHER_AES_256_GCM, CIPHER_CHACHA20_POLY1305};

/* Parsing and opening in one, as a reader does it. */
static bool open_bytes(const struct run_key *run, struct span bytes, struct buf *stored, struct err *err)
{
    AUTO(frame_opener) struct frame_opener *opener = frame_opener_new();
    AUTO(buf) struct buf scratch = {0};
    struct frame_view view;
    struct frame_content content;
    if (!frame_parse(bytes, &view, err)) return false;
    if (!frame_open(opener, run, &view, &scratch, &content, err)) {
        cr_assert_eq(scratch.len, 0, "bytes that did not verify are left in the scratch buffer");
        return false;
    }
    if (stored) buf_put_span(stored, content.stored);
    return true;
}

static bool opens(struct span bytes, const void *run, struct err *err)
{
    return open_bytes(run, bytes, NULL, err);
}

static void check_refused(const struct run_key *run, struct span bytes, enum err_code code, const char *why)
{
    struct err err = {0};
    cr_assert(!open_bytes(run, bytes, NULL, &err), "opened: %s", why);
    cr_assert_eq(err.code, code, "%s: code %d, %s", why, err.code, err.text);
}

static struct buf seal_one(const struct run_key *run, enum cipher cipher, enum padding padding,
                           const struct frame_input *input)
{
    AUTO(frame_sealer) struct frame_sealer *sealer = NULL;
    struct buf out = {0};
    struct err err;
    cr_assert(frame_sealer_new(run, cipher, padding, &sealer, &err), "%s", err.text);
    size_t len = frame_sealed_len(sealer, input);
    cr_assert(frame_seal(sealer, input, buf_grow(&out, len), &err), "%s", err.text);
    return out;
}

static void check_input_refused(const struct frame_input *input, enum err_code code, const char *why)
{
    AUTO(run_key) struct run_key *run = run_key_new();
    AUTO(frame_sealer) struct frame_sealer *sealer = NULL;
    AUTO(buf) struct buf out = {0};
    struct err err;
    cr_assert(frame_sealer_new(run, CIPHER_AES_256_GCM, PADDING_PADME, &sealer, &err), "%s", err.text);
    cr_assert(!frame_seal(sealer, input, buf_grow(&out, frame_sealed_len(sealer, input)), &err), "%s", why);
    cr_assert_eq(err.code, code, "%s: %s", why, err.text);
}

Test(frame_key, opens_the_frames_of_another_implementation)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        AUTO(buf) struct buf frame = golden("frame", GOLDENS[i].name);
        AUTO(buf) struct buf stored = {0};
        struct err err;
        bool plain = GOLDENS[i].cipher == CIPHER_NONE;
        cr_assert(open_bytes(plain ? NULL : run, buf_span(&frame), &stored, &err), "%s: %s", GOLDENS[i].name,
                  err.text);
        cr_assert(span_eq(buf_span(&stored), fixture_content()), "%s", GOLDENS[i].name);
    }
}

/* All that is not random is compared byte for byte; the rest is the nonce, what it encrypts and the tag. */
Test(frame_key, sealed_bytes_are_those_of_the_format)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    struct hash nodes[3];
    struct hash datas[2];
    fixture_ids(nodes, datas);
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        AUTO(buf) struct buf expected = golden("frame", GOLDENS[i].name);
        bool plain = GOLDENS[i].cipher == CIPHER_NONE;
        struct frame_input input = fixture_input(GOLDENS[i].type, nodes, datas);
        AUTO(buf)
        struct buf built = seal_one(plain ? NULL : run, GOLDENS[i].cipher, GOLDENS[i].padding, &input);
        size_t clear_len = GOLDENS[i].type == FRAME_NODE ? 5 * HASH_LEN : 0;
        cr_assert_eq(built.len, expected.len, "%s", GOLDENS[i].name);
        cr_assert_arr_eq(built.data, expected.data, plain ? built.len : FRAME_AT_NONCE);
        cr_assert_arr_eq(built.data + FRAME_HEADER_LEN, expected.data + FRAME_HEADER_LEN, clear_len);
    }
}

Test(frame_key, what_is_sealed_is_opened_at_every_length)
{
    static const size_t lengths[] = {
        0, 1, 3, 4, 5, 15, 16, 17, 51, 52, 53, 500, 65535, 1048576, FRAME_MAX_RAW_DATA};
    AUTO(run_key) struct run_key *run = run_key_new();
    AUTO(buf) struct buf content = {0};
    random_bytes(buf_grow(&content, FRAME_MAX_RAW_DATA), FRAME_MAX_RAW_DATA);
    for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t len = lengths[i / 2];
        struct frame_input input = {
            .type = FRAME_DATA, .raw_len = (uint32_t)len, .stored = {content.data, len}};
        AUTO(buf) struct buf frame = seal_one(run, SEALING[i % 2], PADDING_PADME, &input);
        AUTO(buf) struct buf stored = {0};
        struct err err;
        cr_assert_eq(frame.len, FRAME_HEADER_LEN + padme(FRAME_INNER_LEN + len) + FRAME_TAG_LEN);
        cr_assert(open_bytes(run, buf_span(&frame), &stored, &err), "%zu bytes: %s", len, err.text);
        cr_assert(span_eq(buf_span(&stored), input.stored), "%zu bytes", len);
    }
}

Test(frame_key, open_tells_raw_length_and_compression)
{
    AUTO(run_key) struct run_key *run = run_key_new();
    AUTO(frame_opener) struct frame_opener *opener = frame_opener_new();
    AUTO(buf) struct buf scratch = {0};
    struct frame_input input = {
        .type = FRAME_NODE, .raw_len = 1000, .compression = 2, .stored = fixture_content()};
    AUTO(buf) struct buf frame = seal_one(run, CIPHER_AES_256_GCM, PADDING_PADME, &input);
    struct frame_view view;
    struct frame_content content;
    struct err err;
    cr_assert(frame_parse(buf_span(&frame), &view, &err), "%s", err.text);
    cr_assert(frame_open(opener, run, &view, &scratch, &content, &err), "%s", err.text);
    cr_assert_eq(content.raw_len, 1000);
    cr_assert_eq(content.compression, 2);
    cr_assert(span_eq(content.stored, fixture_content()));
}

Test(frame_key, one_opener_serves_both_ciphers_and_survives_a_damaged_frame)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    AUTO(frame_opener) struct frame_opener *opener = frame_opener_new();
    AUTO(buf) struct buf scratch = {0};
    for (size_t round = 0; round < 6; round++) {
        AUTO(buf) struct buf frame = golden("frame", round % 2 ? "aes_data" : "chacha_data");
        struct frame_view view;
        struct frame_content content;
        struct err err;
        cr_assert(frame_parse(buf_span(&frame), &view, &err), "%s", err.text);
        frame.data[frame.len - 1] ^= 1;
        cr_assert(!frame_open(opener, run, &view, &scratch, &content, &err));
        frame.data[frame.len - 1] ^= 1;
        cr_assert(frame_open(opener, run, &view, &scratch, &content, &err), "%s", err.text);
        cr_assert(span_eq(content.stored, fixture_content()));
    }
}

Test(frame_key, two_seals_of_the_same_plaintext_differ)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    struct frame_input input = fixture_input(FRAME_DATA, NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        AUTO(buf) struct buf a = seal_one(run, SEALING[i], PADDING_PADME, &input);
        AUTO(buf) struct buf b = seal_one(run, SEALING[i], PADDING_PADME, &input);
        cr_assert_neq(memcmp(a.data + FRAME_AT_NONCE, b.data + FRAME_AT_NONCE, FRAME_NONCE_LEN), 0);
        cr_assert_neq(memcmp(a.data + FRAME_HEADER_LEN, b.data + FRAME_HEADER_LEN, 16), 0);
        cr_assert_null(memmem(a.data, a.len, input.stored.data, 16), "plaintext in a sealed frame");
    }
}

Test(frame_key, open_refuses_every_bit_and_every_prefix)
{
    static const enum err_code codes[] = {ERR_DAMAGED, ERR_WRONG_KEY, ERR_VERSION, ERR_TRUNCATED, ERR_NONE};
    static const char *const names[] = {"aes_data", "aes_node", "chacha_node"};
    AUTO(run_key) struct run_key *run = fixture_run();
    const struct subject subject = {opens, run};
    for (size_t i = 0; i < 3; i++) {
        AUTO(buf) struct buf frame = golden("frame", names[i]);
        check_every_bit(&subject, buf_span(&frame), codes);
        check_every_prefix(&subject, buf_span(&frame), ERR_TRUNCATED);
    }
}

Test(frame_key, open_rejects_a_chunk_moved_to_another_id)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    for (size_t i = 0; i < 2; i++) {
        AUTO(buf) struct buf frame = golden("frame", i ? "chacha_data" : "aes_data");
        struct hash other = hash_of(span_str("another chunk"));
        memcpy(frame.data + FRAME_AT_CHUNK, other.bytes, HASH_LEN);
        check_refused(run, buf_span(&frame), ERR_DAMAGED, "another id");
    }
}

Test(frame_key, open_rejects_a_frame_moved_to_another_seal)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    AUTO(run_key) struct run_key *other = run_key_new();
    AUTO(buf) struct buf frame = golden("frame", "aes_data");
    check_refused(other, buf_span(&frame), ERR_WRONG_KEY, "opened by another seal");
    memcpy(frame.data + FRAME_AT_SEAL, other->seal.bytes, ID_LEN);
    check_refused(other, buf_span(&frame), ERR_DAMAGED, "relabelled as another seal's");
    run->seal = other->seal;
    check_refused(run, buf_span(&frame), ERR_DAMAGED, "the right key, but another seal id");
}

Test(frame_key, open_rejects_another_run_key_under_the_same_seal_id)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    AUTO(run_key) struct run_key *other = run_key_new();
    AUTO(buf) struct buf frame = golden("frame", "aes_data");
    other->seal = run->seal;
    check_refused(other, buf_span(&frame), ERR_DAMAGED, "another run key");
}

Test(frame_key, open_rejects_another_clear_list)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    AUTO(buf) struct buf changed = golden("frame", "aes_node");
    changed.data[FRAME_HEADER_LEN + 2 * HASH_LEN - 1] ^= 1; /* the order stays */
    check_refused(run, buf_span(&changed), ERR_DAMAGED, "one id exchanged");

    AUTO(buf) struct buf shorter = golden("frame", "aes_node");
    size_t cut = FRAME_HEADER_LEN + 4 * HASH_LEN;
    memmove(shorter.data + cut, shorter.data + cut + HASH_LEN, shorter.len - cut - HASH_LEN);
    shorter.len -= HASH_LEN;
    le16_put(shorter.data + FRAME_AT_DATA_IDS, 1);
    check_refused(run, buf_span(&shorter), ERR_DAMAGED, "one id dropped");

    AUTO(buf) struct buf regrouped = golden("frame", "aes_node");
    le16_put(regrouped.data + FRAME_AT_NODE_IDS, 2);
    memset(regrouped.data + FRAME_HEADER_LEN + 2 * HASH_LEN, 0, 1); /* keeps three data ids ascending */
    le16_put(regrouped.data + FRAME_AT_DATA_IDS, 3);
    check_refused(run, buf_span(&regrouped), ERR_DAMAGED, "a node id called a data id");
}

Test(frame_key, open_rejects_another_type_and_another_cipher)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    AUTO(buf) struct buf type = golden("frame", "aes_data");
    type.data[FRAME_AT_TYPE] = FRAME_NODE;
    check_refused(run, buf_span(&type), ERR_DAMAGED, "data called a node");
    AUTO(buf) struct buf aes = golden("frame", "aes_data");
    aes.data[FRAME_AT_CIPHER] = CIPHER_CHACHA20_POLY1305;
    check_refused(run, buf_span(&aes), ERR_DAMAGED, "AES called ChaCha20");
    AUTO(buf) struct buf chacha = golden("frame", "chacha_data");
    chacha.data[FRAME_AT_CIPHER] = CIPHER_AES_256_GCM;
    check_refused(run, buf_span(&chacha), ERR_DAMAGED, "ChaCha20 called AES");
}

Test(frame_key, open_rejects_the_body_of_another_frame)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    struct frame_input input = fixture_input(FRAME_DATA, NULL, NULL);
    AUTO(buf) struct buf a = seal_one(run, CIPHER_AES_256_GCM, PADDING_PADME, &input);
    input.chunk = hash_of(span_str("another chunk"));
    AUTO(buf) struct buf b = seal_one(run, CIPHER_AES_256_GCM, PADDING_PADME, &input);
    memcpy(a.data + FRAME_AT_NONCE, b.data + FRAME_AT_NONCE, b.len - FRAME_AT_NONCE);
    check_refused(run, buf_span(&a), ERR_DAMAGED, "nonce, body and tag of another frame");
}

Test(frame_key, nothing_falls_back_to_plaintext)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    AUTO(buf) struct buf plain = golden("frame", "plain_data");
    AUTO(buf) struct buf sealed = golden("frame", "aes_data");
    check_refused(run, buf_span(&plain), ERR_NOT_ENCRYPTED, "a plain frame where a sealed one is expected");
    check_refused(NULL, buf_span(&sealed), ERR_NO_KEY, "a sealed frame without a key");
}

/* A plain frame has the same inside as a sealed one, and anybody can write into it. */
Test(frame_key, open_refuses_an_inside_that_breaks_the_format)
{
    enum { RAW_LEN = 72, STORED_LEN = 76, COMPRESSION = 80, RESERVED = 81, PADDING = 72 + 12 + 225 };
    static const struct {
        size_t at;
        uint32_t value;
        const char *why;
    } rows[] = {
        {RAW_LEN, 226, "not compressed, but longer than what is stored"},
        {RAW_LEN, 224, "stored is longer than raw"},
        {STORED_LEN, 224, "stored is shorter than raw, but not compressed"},
        {STORED_LEN, 300, "stored is longer than the body"},
        {STORED_LEN, UINT32_MAX, "stored is longer than the body"},
        {COMPRESSION, 3, "unknown compression"},
        {RESERVED, 1, "reserved field"},
        {RESERVED + 2, 1, "reserved field, or the first stored byte"},
        {PADDING, 1, "padding is not zero"},
        {PADDING + 2, 1, "the last byte of the padding is not zero"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO(buf) struct buf frame = golden("frame", "plain_data");
        if (rows[i].at < COMPRESSION)
            le32_put(frame.data + rows[i].at, rows[i].value);
        else
            frame.data[rows[i].at] = (uint8_t)rows[i].value;
        check_refused(NULL, buf_span(&frame), ERR_DAMAGED, rows[i].why);
    }
}

Test(frame_key, open_refuses_a_padding_that_no_writer_makes)
{
    AUTO(buf) struct buf frame = golden("frame", "plain_data");
    for (uint32_t body = 237; body <= 250; body++) {
        struct err err;
        AUTO(buf) struct buf padded = {0};
        buf_put(&padded, frame.data, FRAME_HEADER_LEN + 237);
        memset(buf_grow(&padded, body - 237 + FRAME_TAG_LEN), 0, body - 237 + FRAME_TAG_LEN);
        le32_put(padded.data + FRAME_AT_BODY_LEN, body);
        bool allowed = body == 237 || body == 240;
        cr_assert_eq(open_bytes(NULL, buf_span(&padded), NULL, &err), allowed, "body of %u", body);
    }
}

Test(frame_key, raw_lengths_over_the_limit_of_the_type_are_refused)
{
    static const struct {
        const char *name;
        uint32_t most;
        size_t raw_at;
    } rows[] = {{"plain_data", FRAME_MAX_RAW_DATA, 72}, {"plain_node", FRAME_MAX_RAW_NODE, 72 + 160}};
    for (size_t i = 0; i < 2; i++) {
        AUTO(buf) struct buf frame = golden("frame", rows[i].name);
        struct err err;
        frame.data[rows[i].raw_at + 8] = 1; /* LZ4: raw may be longer than stored */
        le32_put(frame.data + rows[i].raw_at, rows[i].most);
        cr_assert(open_bytes(NULL, buf_span(&frame), NULL, &err), "%s", err.text);
        le32_put(frame.data + rows[i].raw_at, rows[i].most + 1);
        check_refused(NULL, buf_span(&frame), ERR_DAMAGED, rows[i].name);
    }
}

Test(frame_key, seal_refuses_what_the_format_has_no_room_for)
{
    AUTO(buf) struct buf content = {0};
    AUTO(buf) struct buf ids = {0};
    memset(buf_grow(&content, FRAME_MAX_RAW_DATA + 1), 0, FRAME_MAX_RAW_DATA + 1);
    memset(buf_grow(&ids, HASH_LEN * (FRAME_MAX_CLEAR + 1)), 0, HASH_LEN * (FRAME_MAX_CLEAR + 1));
    struct frame_input data = {
        .type = FRAME_DATA, .raw_len = FRAME_MAX_RAW_DATA + 1, .stored = buf_span(&content)};
    check_input_refused(&data, ERR_LIMIT, "data over the limit");
    struct frame_input node = {.type = FRAME_NODE,
                               .raw_len = FRAME_MAX_RAW_NODE + 1,
                               .stored = {content.data, FRAME_MAX_RAW_NODE + 1}};
    check_input_refused(&node, ERR_LIMIT, "node over the limit");
    struct frame_input listed = {
        .type = FRAME_NODE, .nodes = (const struct hash *)ids.data, .node_count = FRAME_MAX_CLEAR + 1};
    check_input_refused(&listed, ERR_LIMIT, "clear list over the limit");
}

Test(frame_key, seal_refuses_what_no_reader_would_open)
{
    const struct hash unordered[] = {{{2}}, {{1}}};
    const struct hash repeated[] = {{{2}}, {{2}}};
    struct frame_input input = {.type = FRAME_DATA, .raw_len = 5, .stored = span_str("longer")};
    check_input_refused(&input, ERR_FAILED, "stored is longer than raw");
    input = (struct frame_input){.type = FRAME_DATA, .raw_len = 7, .stored = span_str("longer")};
    check_input_refused(&input, ERR_FAILED, "not compressed, but raw is longer");
    input = (struct frame_input){
        .type = FRAME_DATA, .raw_len = 7, .compression = 3, .stored = span_str("longer")};
    check_input_refused(&input, ERR_FAILED, "unknown compression");
    input = (struct frame_input){.type = FRAME_DATA, .nodes = unordered, .node_count = 1};
    check_input_refused(&input, ERR_FAILED, "data with a clear list");
    input = (struct frame_input){.type = FRAME_NODE, .nodes = unordered, .node_count = 2};
    check_input_refused(&input, ERR_FAILED, "node ids out of order");
    input = (struct frame_input){.type = FRAME_NODE, .datas = repeated, .data_count = 2};
    check_input_refused(&input, ERR_FAILED, "data ids with a repeat");
    input = (struct frame_input){.type = 3};
    check_input_refused(&input, ERR_FAILED, "unknown type");
}

Test(frame_key, the_largest_clear_list_is_bound_too)
{
    AUTO(run_key) struct run_key *run = run_key_new();
    AUTO(buf) struct buf ids = {0};
    uint8_t *id = buf_grow(&ids, HASH_LEN * FRAME_MAX_CLEAR);
    memset(id, 0, HASH_LEN * FRAME_MAX_CLEAR);
    for (size_t i = 0; i < FRAME_MAX_CLEAR; i++, id += HASH_LEN) {
        id[0] = (uint8_t)(i >> 8);
        id[1] = (uint8_t)i;
    }
    struct frame_input input = {
        .type = FRAME_NODE, .datas = (const struct hash *)ids.data, .data_count = FRAME_MAX_CLEAR};
    AUTO(buf) struct buf frame = seal_one(run, CIPHER_AES_256_GCM, PADDING_PADME, &input);
    struct err err;
    cr_assert(open_bytes(run, buf_span(&frame), NULL, &err), "%s", err.text);
    frame.data[FRAME_HEADER_LEN + HASH_LEN * FRAME_MAX_CLEAR - 1] ^= 1;
    check_refused(run, buf_span(&frame), ERR_DAMAGED, "last id");
}

Test(frame_key, a_run_key_and_a_cipher_go_together)
{
    AUTO(run_key) struct run_key *run = run_key_new();
    const struct {
        const struct run_key *run;
        enum cipher cipher;
    } rows[] = {{NULL, CIPHER_AES_256_GCM}, {run, CIPHER_NONE}, {run, 3}, {run, 255}};
    for (size_t i = 0; i < 4; i++) {
        struct frame_sealer *sealer = NULL;
        struct err err;
        cr_assert(!frame_sealer_new(rows[i].run, rows[i].cipher, PADDING_PADME, &sealer, &err), "row %zu", i);
        cr_assert_eq(err.code, ERR_FAILED);
        cr_assert_null(sealer);
    }
}

/* Each test is a process of its own, so the ciphers have not been looked up yet. */
Test(frame_key, a_cipher_that_libcrypto_has_not_is_an_error_that_names_it)
{
    AUTO(run_key) struct run_key *run = fixture_run();
    AUTO(buf) struct buf frame = golden("frame", "chacha_data");
    struct frame_sealer *sealer = NULL;
    struct err err;
    cr_assert_eq(EVP_set_default_properties(NULL, "provider=none-such"), 1);
    cr_assert(!frame_sealer_new(run, CIPHER_AES_256_GCM, PADDING_PADME, &sealer, &err));
    cr_assert_eq(err.code, ERR_FAILED);
    cr_assert_not_null(strstr(err.text, "aes-256-gcm"));
    cr_assert_null(sealer);
    cr_assert(!open_bytes(run, buf_span(&frame), NULL, &err));
    cr_assert_eq(err.code, ERR_FAILED, "and not damage");
    cr_assert_not_null(strstr(err.text, "chacha20-poly1305"));
}
