#include "common/crypto/frame.h"

#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *const NAMES[] = {"aes_data",    "aes_data_unpadded", "aes_node",  "chacha_data",
                                    "chacha_node", "plain_data",        "plain_node"};
#define NAME_COUNT (sizeof(NAMES) / sizeof(NAMES[0]))

static bool parses(struct span bytes, const void *context, struct err *err)
{
    struct frame_view view;
    return frame_parse(bytes, &view, err);
}
static const struct subject subject = {parses, NULL};

static void check_refused(const struct buf *frame, enum err_code code, const char *why)
{
    struct err err;
    cr_assert(!subject_accepts(&subject, buf_span(frame), &err), "%s", why);
    cr_assert_eq(err.code, code, "%s: code %d, %s", why, err.code, err.text);
}

Test(frame, parse_finds_the_fields_of_the_format)
{
    AUTO(buf) struct buf frame = golden("frame", "aes_node");
    AUTO(buf) struct buf chunk = golden("derive", "chunk_id_node");
    struct hash nodes[3];
    struct hash datas[2];
    uint8_t nonce[FRAME_NONCE_LEN];
    struct id seal;
    struct frame_view view;
    struct err err;
    fixture_ids(nodes, datas);
    fill_run(nonce, 0xe0, sizeof(nonce));
    fill_run(seal.bytes, 0xa0, ID_LEN);
    cr_assert(frame_parse(buf_span(&frame), &view, &err), "%s", err.text);
    cr_assert(span_eq(view.bytes, buf_span(&frame)));
    cr_assert_eq(view.type, FRAME_NODE);
    cr_assert_eq(view.cipher, CIPHER_AES_256_GCM);
    cr_assert(id_eq(&view.seal, &seal));
    cr_assert_arr_eq(view.chunk.bytes, chunk.data, HASH_LEN);
    cr_assert_eq(view.node_ids, 3);
    cr_assert_eq(view.data_ids, 2);
    cr_assert_arr_eq(view.clear_nodes, nodes, sizeof(nodes));
    cr_assert_arr_eq(view.clear_data, datas, sizeof(datas));
    cr_assert(span_eq(view.clear, span_of(frame.data + 72, 160)));
    cr_assert_arr_eq(view.nonce, nonce, sizeof(nonce));
    cr_assert_eq(view.body.data, frame.data + 72 + 160);
    cr_assert_eq(view.body.len, 240, "12 + 225 is padded to 240");
    cr_assert_eq(view.tag, frame.data + frame.len - FRAME_TAG_LEN);
}

Test(frame, parse_refuses_every_prefix_as_truncated)
{
    for (size_t i = 0; i < NAME_COUNT; i++) {
        AUTO(buf) struct buf frame = golden("frame", NAMES[i]);
        check_every_prefix(&subject, buf_span(&frame), ERR_TRUNCATED);
        check_trailing_byte(&subject, buf_span(&frame));
    }
}

Test(frame, parse_survives_every_byte_being_any_value)
{
    AUTO(buf) struct buf frame = golden("frame", "aes_node");
    for (size_t at = 0; at < FRAME_HEADER_LEN; at++) {
        uint8_t saved = frame.data[at];
        for (unsigned value = 0; value < 256; value++) {
            struct err err;
            frame.data[at] = (uint8_t)value;
            if (!subject_accepts(&subject, buf_span(&frame), &err)) cr_assert_neq(err.text[0], '\0');
        }
        frame.data[at] = saved;
    }
}

Test(frame, parse_refuses_fields_outside_the_format)
{
    static const struct {
        size_t at;
        uint8_t value;
        enum err_code code;
        const char *why;
    } rows[] = {
        {0, 0, ERR_VERSION, "version 0"},      {0, 2, ERR_VERSION, "version 2"},
        {1, 0, ERR_DAMAGED, "type 0"},         {1, 3, ERR_DAMAGED, "type 3"},
        {1, 1, ERR_DAMAGED, "data with ids"},  {2, 3, ERR_DAMAGED, "cipher 3"},
        {3, 1, ERR_DAMAGED, "reserved"},       {2, 0, ERR_DAMAGED, "plain with a seal"},
        {57, 0x40, ERR_DAMAGED, "16387 ids"},  {59, 0x40, ERR_DAMAGED, "16386 ids"},
        {7, 1, ERR_DAMAGED, "body of 16 MiB"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO(buf) struct buf frame = golden("frame", "aes_node");
        frame.data[rows[i].at] = rows[i].value;
        check_refused(&frame, rows[i].code, rows[i].why);
    }
}

Test(frame, body_length_has_both_limits)
{
    AUTO(buf) struct buf frame = golden("frame", "aes_data");
    le32_put(frame.data + FRAME_AT_BODY_LEN, FRAME_INNER_LEN - 1);
    check_refused(&frame, ERR_DAMAGED, "shorter than what is always inside");
    le32_put(frame.data + FRAME_AT_BODY_LEN, FRAME_MAX_BODY + 1);
    check_refused(&frame, ERR_DAMAGED, "over the limit");
    le32_put(frame.data + FRAME_AT_BODY_LEN, FRAME_MAX_BODY);
    check_refused(&frame, ERR_TRUNCATED, "at the limit, but not there");
    le32_put(frame.data + FRAME_AT_BODY_LEN, UINT32_MAX);
    check_refused(&frame, ERR_DAMAGED, "over the limit");
}

Test(frame, parse_refuses_a_clear_list_out_of_order_or_with_repeats)
{
    static const size_t firsts[] = {72, 72 + 32, 72 + 96};
    for (size_t i = 0; i < 3; i++) {
        AUTO(buf) struct buf frame = golden("frame", "plain_node");
        uint8_t id[HASH_LEN];
        memcpy(id, frame.data + firsts[i], HASH_LEN);
        memcpy(frame.data + firsts[i], frame.data + firsts[i] + HASH_LEN, HASH_LEN);
        check_refused(&frame, ERR_DAMAGED, "repeat");
        memcpy(frame.data + firsts[i] + HASH_LEN, id, HASH_LEN);
        check_refused(&frame, ERR_DAMAGED, "out of order");
    }
}

Test(frame, cipher_none_has_no_seal_no_nonce_and_no_tag)
{
    AUTO(buf) struct buf whole = golden("frame", "plain_data");
    const size_t ats[] = {FRAME_AT_SEAL, FRAME_AT_NONCE + 11, whole.len - 1};
    for (size_t i = 0; i < 3; i++) {
        AUTO(buf) struct buf frame = golden("frame", "plain_data");
        frame.data[ats[i]] = 1;
        check_refused(&frame, ERR_DAMAGED, "plain frame with a field of a sealed one");
    }
    AUTO(buf) struct buf sealed = golden("frame", "aes_data");
    memset(sealed.data + FRAME_AT_SEAL, 0, ID_LEN);
    check_refused(&sealed, ERR_DAMAGED, "sealed without a seal id");
}

Test(frame, the_largest_frame_is_parsed)
{
    AUTO(buf) struct buf frame = {0};
    struct err err;
    memset(buf_grow(&frame, FRAME_MAX_LEN), 0, FRAME_MAX_LEN);
    frame.data[FRAME_AT_VERSION] = 1;
    frame.data[FRAME_AT_TYPE] = FRAME_NODE;
    frame.data[FRAME_AT_CIPHER] = CIPHER_CHACHA20_POLY1305;
    frame.data[FRAME_AT_SEAL] = 1;
    le32_put(frame.data + FRAME_AT_BODY_LEN, FRAME_MAX_BODY);
    le16_put(frame.data + FRAME_AT_DATA_IDS, FRAME_MAX_CLEAR);
    for (size_t i = 0; i < FRAME_MAX_CLEAR; i++) {
        frame.data[FRAME_HEADER_LEN + HASH_LEN * i] = (uint8_t)(i >> 8);
        frame.data[FRAME_HEADER_LEN + HASH_LEN * i + 1] = (uint8_t)i;
    }
    cr_assert(subject_accepts(&subject, buf_span(&frame), &err), "%s", err.text);
}

Test(frame, ciphers_are_known_by_name_and_others_refused_by_name)
{
    static const struct {
        enum cipher cipher;
        const char *name;
    } rows[] = {{CIPHER_NONE, "none"},
                {CIPHER_AES_256_GCM, "aes-256-gcm"},
                {CIPHER_CHACHA20_POLY1305, "chacha20-poly1305"}};
    struct err err;
    enum cipher cipher = CIPHER_NONE;
    for (size_t i = 0; i < 3; i++) {
        cr_assert(cipher_parse(rows[i].name, &cipher, &err), "%s", err.text);
        cr_assert_eq(cipher, rows[i].cipher);
        cr_assert_str_eq(cipher_name(cipher), rows[i].name);
    }
    cr_assert(!cipher_parse("3des-cbc", &cipher, &err));
    cr_assert_eq(err.code, ERR_USAGE);
    cr_assert_not_null(strstr(err.text, "3des-cbc"));
    cr_assert(!cipher_parse("", &cipher, &err));
    cr_assert(!cipher_parse("AES-256-GCM", &cipher, &err));
    cr_assert_eq(cipher, CIPHER_CHACHA20_POLY1305, "a failure leaves the output alone");
    cr_assert_neq(cipher_default(), CIPHER_NONE);
    cr_assert_str_eq(cipher_name(3), "unknown");
}
