/* Packs as bytes. */
#include "builder.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct pack_header ours = {.class_ = PACK_DATA, .site = {{1}}, .repository = {{2}}};

/* A pack of an envelope, two frames and a list, as offsets and lengths; its last bytes. */
static void make_toc(struct pack_toc *toc, struct buf *tail)
{
    static const struct {
        enum record_kind kind;
        uint32_t len;
    } records[] = {
        {RECORD_ENVELOPE, ENVELOPE_LEN}, {RECORD_FRAME, 1000}, {RECORD_FRAME, 100}, {RECORD_LIST, 192}};
    pack_toc_init(toc);
    for (size_t i = 0; i < 4; i++) {
        struct pack_entry entry = {.kind = records[i].kind, .len = records[i].len};
        if (entry.kind == RECORD_FRAME) {
            entry.type = FRAME_DATA;
            entry.envelope = 1;
            memset(entry.id.bytes, 0x30 + (int)i, HASH_LEN);
        } else if (entry.kind == RECORD_LIST) {
            le64_put(entry.id.bytes, 5);
            memset(entry.id.bytes + 8, 0x77, ID_LEN);
        } else {
            memset(entry.id.bytes, 0x77, ID_LEN);
        }
        pack_toc_add(toc, &entry);
    }
    pack_toc_encode(toc, tail);
}

Test(pack, a_table_of_contents_is_read_back)
{
    struct err err;
    AUTO(pack_toc) struct pack_toc toc;
    AUTO(pack_toc) struct pack_toc back;
    AUTO(buf) struct buf tail = {0};
    make_toc(&toc, &tail);
    pack_toc_init(&back);
    cr_assert(pack_toc_parse(buf_span(&tail), toc.end + tail.len, &back, &err), "%s", err.text);
    cr_assert_eq(back.count, 4);
    cr_assert_eq(back.frames, 2);
    cr_assert_eq(back.envelopes, 1);
    cr_assert_eq(back.end, toc.end);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(back.entries[i].offset, toc.entries[i].offset);
        cr_assert_eq(back.entries[i].envelope, toc.entries[i].envelope);
        cr_assert(hash_eq(&back.entries[i].id, &toc.entries[i].id));
    }
    struct id seal;
    memset(seal.bytes, 0x77, ID_LEN);
    struct id of_list = pack_entry_seal(&back.entries[3]);
    cr_assert(id_eq(&of_list, &seal));
    cr_assert_eq(pack_entry_number(&back.entries[3]), 5);
}

Test(pack, the_trailer_is_laid_out_as_documented)
{
    AUTO(pack_toc) struct pack_toc toc;
    AUTO(buf) struct buf tail = {0};
    make_toc(&toc, &tail);
    const uint8_t *payload = tail.data + RECORD_HEADER_LEN;
    cr_assert_eq(tail.len, (size_t)RECORD_HEADER_LEN + 8 + 4 * PACK_ENTRY_LEN + PACK_FOOTER_LEN);
    cr_assert_eq(tail.data[0], RECORD_TRAILER);
    cr_assert_eq(le32_get(payload), 4);
    cr_assert_eq(le32_get(payload + 4), 0);
    const uint8_t *frame = payload + 8 + PACK_ENTRY_LEN;
    cr_assert_eq(frame[0], RECORD_FRAME);
    cr_assert_eq(frame[1], FRAME_DATA);
    cr_assert_eq(le16_get(frame + 2), 1, "the first envelope of the pack");
    cr_assert_eq(le32_get(frame + 4), 1000);
    cr_assert_eq(le64_get(frame + 8), 64 + 16 + 352 + 16);
    cr_assert_eq(le64_get(tail.data + tail.len - 16), toc.end);
    cr_assert_arr_eq(tail.data + tail.len - 8, "SLPKEND1", 8);
}

Test(pack, every_flip_and_cut_of_a_tail_is_refused)
{
    struct err err;
    AUTO(pack_toc) struct pack_toc toc;
    AUTO(pack_toc) struct pack_toc back;
    AUTO(buf) struct buf tail = {0};
    make_toc(&toc, &tail);
    pack_toc_init(&back);
    uint64_t size = toc.end + tail.len;
    for (size_t bit = 0; bit < 8 * tail.len; bit++) {
        tail.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_not(pack_toc_parse(buf_span(&tail), size, &back, &err), "bit %zu", bit);
        tail.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < tail.len; len++) {
        cr_assert_not(pack_toc_parse(span_of(tail.data, len), size, &back, &err), "first %zu", len);
        cr_assert_not(pack_toc_parse(span_of(tail.data + tail.len - len, len), size, &back, &err), "last %zu",
                      len);
        cr_assert_not(pack_toc_parse(span_of(tail.data, len), toc.end + len, &back, &err), "cut to %zu", len);
    }
    cr_assert_not(pack_toc_parse(buf_span(&tail), size + 1, &back, &err));
    cr_assert_not(pack_toc_parse(buf_span(&tail), size - 1, &back, &err));
    cr_assert_eq(back.count, 0);
}

/* Trailers whose check fits and whose content does not: what a careless or hostile writer may make. */
Test(pack, impossible_entries_are_refused_though_the_check_fits)
{
    static const struct {
        size_t at; /* in the payload */
        uint8_t value;
        const char *what;
    } spoils[] = {
        {0, 5, "count"},
        {0, 0, "count of none"},
        {4, 1, "reserved"},
        {8, 9, "kind"},
        {8, 4, "a trailer inside"},
        {9, 1, "type of an envelope"},
        {10, 1, "envelope of an envelope"},
        {12, 0x61, "length of an envelope"},
        {16, 81, "first offset"},
        {8 + 15, 1, "high byte of an offset"},
        {8 + 16 + 20, 1, "padding of a seal id"},
        {8 + 48 + 1, 3, "type of a frame"},
        {8 + 48 + 2, 2, "an envelope that is not there"},
        {8 + 48 + 4, 1, "length of a frame"},
        {8 + 3 * 48 + 16, 0, "list number 0"},
        {8 + 3 * 48 + 0, 2, "a frame last"},
    };
    struct err err;
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        AUTO(pack_toc) struct pack_toc toc;
        AUTO(pack_toc) struct pack_toc back;
        AUTO(buf) struct buf tail = {0};
        AUTO(buf) struct buf spoiled = {0};
        make_toc(&toc, &tail);
        pack_toc_init(&back);
        size_t payload_len = tail.len - RECORD_HEADER_LEN - PACK_FOOTER_LEN;
        cr_assert_neq(tail.data[RECORD_HEADER_LEN + spoils[i].at], spoils[i].value, "%s", spoils[i].what);
        tail.data[RECORD_HEADER_LEN + spoils[i].at] = spoils[i].value;
        record_append(&spoiled, RECORD_TRAILER, span_of(tail.data + RECORD_HEADER_LEN, payload_len));
        buf_put(&spoiled, tail.data + tail.len - PACK_FOOTER_LEN, PACK_FOOTER_LEN);
        cr_expect_not(pack_toc_parse(buf_span(&spoiled), toc.end + spoiled.len, &back, &err), "%s",
                      spoils[i].what);
        cr_expect_eq(err.code, ERR_DAMAGED, "%s: %s", spoils[i].what, err.text);
    }
}

Test(pack, a_header_says_whose_pack_it_is)
{
    struct err err;
    uint8_t bytes[PACK_HEADER_LEN];
    struct pack_header back;
    pack_header_encode(&ours, bytes);
    cr_assert(pack_header_parse(span_of(bytes, sizeof(bytes)), &ours, &back, &err));
    cr_assert_eq(back.class_, PACK_DATA);
    for (size_t len = 0; len < sizeof(bytes); len++) {
        cr_assert_not(pack_header_parse(span_of(bytes, len), NULL, &back, &err));
        cr_assert_eq(err.code, ERR_TRUNCATED);
    }
    for (size_t bit = 0; bit < 8 * 48; bit++) { /* the rest is random */
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        bool class_bits = bit / 8 == 8 && (bytes[8] == PACK_DATA || bytes[8] == PACK_META);
        cr_assert_eq(pack_header_parse(span_of(bytes, sizeof(bytes)), &ours, &back, &err), class_bits,
                     "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    bytes[6] = '2';
    cr_assert_not(pack_header_parse(span_of(bytes, sizeof(bytes)), NULL, &back, &err));
    cr_assert_eq(err.code, ERR_VERSION);
}

Test(pack, names_are_parsed_only_as_they_are_made)
{
    struct hash hash = hash_of(span_str("pack"));
    struct hash back;
    char name[PACK_NAME_LEN];
    pack_name(&hash, name);
    cr_assert_eq(strlen(name), PACK_NAME_LEN - 1u);
    cr_assert(pack_parse_name(name, &back));
    cr_assert(hash_eq(&hash, &back));
    for (size_t i = 0; i < PACK_NAME_LEN - 1; i++) {
        char spoiled[PACK_NAME_LEN];
        memcpy(spoiled, name, sizeof(name));
        spoiled[i] = i == 5 || i == 8 ? '.' : 'X';
        cr_assert_not(pack_parse_name(spoiled, &back), "%s", spoiled);
        spoiled[i] = 0;
        cr_assert_not(pack_parse_name(spoiled, &back), "%s", spoiled);
    }
    struct id session = id_of(0xab);
    struct id session_back;
    uint32_t number;
    char journal[JOURNAL_NAME_LEN];
    journal_name(&session, 0xdeadbeef, journal);
    cr_assert_str_eq(journal, "open/abababababababababababababababab/deadbeef");
    cr_assert(journal_parse_name(journal, &session_back, &number));
    cr_assert_eq(number, 0xdeadbeef);
    journal[10] = 'A';
    cr_assert_not(journal_parse_name(journal, &session_back, &number));
    cr_assert_not(journal_parse_name("open/..", &session_back, &number));
}
