#include "director/cli/kit.h"

#include "common/base/alloc.h"
#include "common/wire/lent.h"
#include "director/cli/kit_lines.h"

#include <criterion/criterion.h>
#include <string.h>

/* --- lines --- */

static void sealed_of(size_t len, struct buf *out)
{
    buf_put(out, "SKT1", 4);
    buf_put_u32(out, (uint32_t)len);
    for (size_t i = 8; i < len; i++)
        buf_put_u8(out, (uint8_t)(i * 37));
}

static enum err_code taken(struct span text, struct buf *sealed, struct err *err)
{
    AUTO(kit_reader) struct kit_reader reader = {0};
    *err = (struct err){0};
    if (!kit_reader_take_text(&reader, text, err)) return err->code;
    buf_put_span(sealed, buf_span(&reader.sealed));
    return ERR_NONE;
}

Test(kit_lines, look_as_they_did_in_the_first_release)
{
    AUTO(buf) struct buf sealed = {0}, text = {0};
    sealed_of(30, &sealed);
    kit_lines_write(buf_span(&sealed), &text);
    cr_assert_str_eq(buf_cstr(&text), "   1  KNFVI MI6AA AAAKC NOKL3 ZYIGF NIHLG V74QE S4U3Y  236B\n"
                                      "   2  TXBOO DBR  SKEX\n");
}

Test(kit_lines, of_every_length_come_back)
{
    for (size_t len = 8; len < 120; len++) {
        AUTO(buf) struct buf sealed = {0}, text = {0}, back = {0};
        struct err err;
        sealed_of(len, &sealed);
        kit_lines_write(buf_span(&sealed), &text);
        cr_assert_eq(taken(buf_span(&text), &back, &err), ERR_NONE, "%zu: %s", len, err.text);
        cr_assert(span_eq(buf_span(&sealed), buf_span(&back)));
    }
}

Test(kit_lines, are_taken_as_people_type_them)
{
    AUTO(buf) struct buf sealed = {0}, text = {0}, typed = {0}, back = {0};
    struct err err;
    sealed_of(60, &sealed);
    kit_lines_write(buf_span(&sealed), &text);
    buf_put_str(&typed, "what somebody wrote above\n\n");
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        buf_put_u8(&typed, (uint8_t)(c == 'O'   ? '0'
                                     : c == 'I' ? '1'
                                     : c == 'B' ? '8'
                                     : c >= 'A' ? c + 32
                                                : c));
        if (c >= 'A' && i % 7 == 0) buf_put_u8(&typed, i % 2 ? '-' : ' ');
    }
    cr_assert_eq(taken(buf_span(&typed), &back, &err), ERR_NONE, "%s", err.text);
    cr_assert(span_eq(buf_span(&sealed), buf_span(&back)));
}

Test(kit_lines, name_the_line_with_a_wrong_character)
{
    AUTO(buf) struct buf sealed = {0}, text = {0};
    sealed_of(90, &sealed);
    kit_lines_write(buf_span(&sealed), &text);
    unsigned line = 1;
    for (size_t i = 0; i < text.len; i++) {
        AUTO(buf) struct buf back = {0};
        struct err err;
        char wanted[16];
        uint8_t was = text.data[i];
        if (was == '\n') line++;
        if (was < 'A') continue;
        (void)snprintf(wanted, sizeof(wanted), "line %u ", line);
        text.data[i] = was == 'Q' ? 'R' : 'Q';
        cr_assert_eq(taken(buf_span(&text), &back, &err), ERR_DAMAGED, "place %zu", i);
        cr_assert(strstr(err.text, wanted), "place %zu: %s", i, err.text);
        text.data[i] = was;
    }
}

Test(kit_lines, cut_at_any_place_are_cut_or_wrong)
{
    AUTO(buf) struct buf sealed = {0}, text = {0};
    sealed_of(90, &sealed);
    kit_lines_write(buf_span(&sealed), &text);
    for (size_t len = 0; len + 1 < text.len; len++) {
        AUTO(buf) struct buf back = {0};
        struct err err;
        enum err_code code = taken(span_of(text.data, len), &back, &err);
        cr_assert(code == ERR_TRUNCATED || code == ERR_DAMAGED, "%zu: %d", len, code);
    }
}

Test(kit_lines, that_say_more_than_a_kit_can_have_are_refused)
{
    AUTO(buf) struct buf sealed = {0}, text = {0}, back = {0};
    struct err err;
    sealed_of(60, &sealed);
    le32_put(sealed.data + KIT_LENGTH_AT, KIT_SEALED_MAX + 1);
    kit_lines_write(buf_span(&sealed), &text);
    cr_assert_eq(taken(buf_span(&text), &back, &err), ERR_DAMAGED);
}

/* --- sealed --- */

static struct secret *words(const char *text)
{
    return secret_copy(text, strlen(text));
}

static struct kit *kit_new(void)
{
    static const uint8_t s[KEY_SECRET_LEN] = {7};
    struct err err = {0};
    struct kit *kit = xcalloc(1, sizeof(*kit));
    AUTO(buf) struct buf keyring = {0};
    Sealift__UnlockSection section = SEALIFT__UNLOCK_SECTION__INIT;
    kit->half = read_half_new(s);
    keyring_seal(kit->half, &keyring);
    section.version = 1;
    section.key_id = lent_bytes(kit->half->key_id.bytes, HASH_LEN);
    section.unlock_pk = lent_bytes(kit->half->unlock_pk, sizeof(kit->half->unlock_pk));
    section.label = lent_text("main");
    section.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    section.keyring = lent_bytes(keyring.data, keyring.len);
    cr_assert(stored_unlock_encode(&section, &kit->section_bytes, &err), "%s", err.text);
    kit->made_ns = 12345;
    memset(kit->site.bytes, 9, ID_LEN);
    kit->operators = xcalloc(2, sizeof(*kit->operators));
    kit->operators[1][0] = 3;
    kit->operator_count = 2;
    kit->heads = xcalloc(1, sizeof(*kit->heads));
    kit->heads[0].number = 77;
    kit->head_count = 1;
    return kit;
}

static void sealed_kit(struct buf *sealed)
{
    struct err err = {0};
    AUTO(kit) struct kit *kit = kit_new();
    AUTO(secret) struct secret *password = words("a sheet of paper");
    cr_assert(kit_seal(kit, password, &PWHASH_INTERACTIVE, sealed, &err), "%s", err.text);
}

static enum err_code opened(struct span sealed, const char *password, struct kit **out)
{
    struct err err = {0};
    AUTO(secret) struct secret *secret = words(password);
    return kit_open(sealed, secret, out, &err) ? ERR_NONE : err.code;
}

Test(kit, gives_back_the_key_and_what_it_remembers)
{
    AUTO(buf) struct buf sealed = {0};
    AUTO(kit) struct kit *kit = NULL, *made = kit_new();
    AUTO(secret) struct secret *s = NULL, *none = NULL;
    struct err err = {0};
    sealed_kit(&sealed);
    cr_assert_eq(opened(buf_span(&sealed), "a sheet of paper", &kit), ERR_NONE);
    cr_assert(hash_eq(&kit->half->key_id, &made->half->key_id));
    cr_assert_eq(kit->made_ns, 12345);
    cr_assert_eq(kit->operator_count, 2);
    cr_assert_eq(kit->operators[1][0], 3);
    struct id repository = {0}, other = {.bytes = {1}};
    cr_assert_eq(kit_head_of(kit, &repository)->number, 77);
    cr_assert_null(kit_head_of(kit, &other));
    cr_assert(kit_secret(kit, &made->half->key_id, &s, &err));
    cr_assert_eq(memcmp(s->data, made->half->s->data, KEY_SECRET_LEN), 0);
    struct hash foreign = {.bytes = {1}};
    cr_assert_not(kit_secret(kit, &foreign, &none, &err));
    cr_assert_eq(err.code, ERR_NO_KEY);
    cr_assert(strstr(err.text, "'main'"));
}

Test(kit, another_password_is_the_wrong_key_and_not_damage)
{
    AUTO(buf) struct buf sealed = {0};
    AUTO(kit) struct kit *kit = NULL;
    sealed_kit(&sealed);
    cr_assert_eq(opened(buf_span(&sealed), "another sheet", &kit), ERR_WRONG_KEY);
    cr_assert_null(kit);
}

Test(kit, cut_at_every_length_is_cut)
{
    AUTO(buf) struct buf sealed = {0};
    AUTO(kit) struct kit *kit = NULL;
    sealed_kit(&sealed);
    for (size_t len = 0; len < sealed.len; len++)
        cr_assert_eq(opened(span_of(sealed.data, len), "a sheet of paper", &kit), ERR_TRUNCATED, "%zu", len);
}

Test(kit, hostile_limits_are_refused_before_anything_is_derived)
{
    AUTO(buf) struct buf sealed = {0};
    AUTO(kit) struct kit *kit = NULL;
    sealed_kit(&sealed);
    le32_put(sealed.data + 8, UINT32_MAX);
    cr_assert_eq(opened(buf_span(&sealed), "a sheet of paper", &kit), ERR_LIMIT);
    le32_put(sealed.data + 8, 2);
    le32_put(sealed.data + 12, UINT32_MAX);
    cr_assert_eq(opened(buf_span(&sealed), "a sheet of paper", &kit), ERR_LIMIT);
    le32_put(sealed.data + 12, 1);
    cr_assert_eq(opened(buf_span(&sealed), "a sheet of paper", &kit), ERR_LIMIT);
}

Test(kit, of_a_later_version_says_so)
{
    AUTO(buf) struct buf sealed = {0};
    AUTO(kit) struct kit *kit = NULL;
    sealed_kit(&sealed);
    sealed.data[3] = '2';
    cr_assert_eq(opened(buf_span(&sealed), "a sheet of paper", &kit), ERR_VERSION);
    sealed.data[0] = 'X';
    cr_assert_eq(opened(buf_span(&sealed), "a sheet of paper", &kit), ERR_DAMAGED);
}

Test(kit, a_flipped_bit_never_opens)
{
    AUTO(buf) struct buf sealed = {0};
    sealed_kit(&sealed);
    for (size_t i = 16; i < sealed.len; i += sealed.len / 8) { /* each try derives a key */
        AUTO(kit) struct kit *kit = NULL;
        sealed.data[i] ^= 1;
        cr_assert_eq(opened(buf_span(&sealed), "a sheet of paper", &kit), ERR_WRONG_KEY, "byte %zu", i);
        sealed.data[i] ^= 1;
    }
}
