#include "common/crypto/seal_list.h"

#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

static bool parses(struct span bytes, const void *context, struct err *err)
{
    struct seal_list_view view;
    return seal_list_parse(bytes, &view, err);
}
static const struct subject subject = {parses, NULL};

static struct id fixture_seal(void)
{
    struct id seal;
    fill_run(seal.bytes, 0xa0, ID_LEN);
    return seal;
}

/* Signs the list again after a change to it: a writer that breaks the rules. */
static void sign_again(struct buf *list)
{
    AUTO(sign_pair) struct sign_pair *writer = fixture_writer();
    size_t signed_len = list->len - SIGNATURE_LEN;
    sign_bytes(writer, "list", span_of(list->data, signed_len), list->data + signed_len);
}

static void check_refused(struct buf *list, enum err_code code)
{
    struct err err;
    cr_assert(!subject_accepts(&subject, buf_span(list), &err));
    cr_assert_eq(err.code, code, "code %d, %s", err.code, err.text);
}

Test(seal_list, bytes_are_those_of_the_format)
{
    AUTO(sign_pair) struct sign_pair *writer = fixture_writer();
    AUTO(buf) struct buf expected = golden("list", "list");
    AUTO(buf) struct buf built = {0};
    struct id seal = fixture_seal();
    const struct hash hashes[] = {hash_of(span_str("first")), hash_of(span_str("second"))};
    buf_put_str(&built, "before");
    seal_list_encode(writer, PACK_META, &seal, 7, hashes, 2, &built);
    cr_assert(span_eq(span_of(built.data + 6, built.len - 6), buf_span(&expected)));
    cr_assert_eq(expected.len, SEAL_LIST_FIXED_LEN + 2 * HASH_LEN);

    struct seal_list_view view;
    struct err err;
    cr_assert(seal_list_parse(buf_span(&expected), &view, &err), "%s", err.text);
    cr_assert_eq(view.class_, PACK_META);
    cr_assert_eq(view.number, 7);
    cr_assert_eq(view.count, 2);
    cr_assert(id_eq(&view.seal, &seal));
    cr_assert_arr_eq(view.writer, writer->pk, SIGN_PK_LEN);
    cr_assert_arr_eq(view.hashes, hashes, sizeof(hashes));
}

Test(seal_list, parse_refuses_every_prefix_as_truncated)
{
    AUTO(buf) struct buf list = golden("list", "list");
    check_every_prefix(&subject, buf_span(&list), ERR_TRUNCATED);
    check_trailing_byte(&subject, buf_span(&list));
}

Test(seal_list, parse_notices_every_bit)
{
    static const enum err_code codes[] = {ERR_NOT_AUTHENTIC, ERR_VERSION, ERR_TRUNCATED, ERR_DAMAGED,
                                          ERR_NONE};
    AUTO(buf) struct buf list = golden("list", "list");
    check_every_bit(&subject, buf_span(&list), codes);
}

Test(seal_list, a_list_that_another_signed_is_not_authentic)
{
    AUTO(sign_pair) struct sign_pair *thief = sign_pair_new(NULL);
    AUTO(buf) struct buf list = golden("list", "list");
    size_t signed_len = list.len - SIGNATURE_LEN;
    sign_bytes(thief, "list", span_of(list.data, signed_len), list.data + signed_len);
    check_refused(&list, ERR_NOT_AUTHENTIC);
}

Test(seal_list, parse_refuses_what_a_writer_may_not_sign)
{
    static const struct {
        size_t at;
        uint8_t value;
    } rows[] = {{1, 0}, {1, 3}, {2, 1}, {3, 1}, {56, 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO(buf) struct buf list = golden("list", "list");
        list.data[rows[i].at] = rows[i].value;
        sign_again(&list);
        check_refused(&list, ERR_DAMAGED);
    }
    AUTO(buf) struct buf list = golden("list", "list");
    memset(list.data + 8, 0, ID_LEN);
    sign_again(&list);
    check_refused(&list, ERR_DAMAGED);
}

Test(seal_list, count_is_one_to_the_limit)
{
    AUTO(sign_pair) struct sign_pair *writer = fixture_writer();
    AUTO(buf) struct buf hashes = {0};
    AUTO(buf) struct buf list = {0};
    struct id seal = fixture_seal();
    struct err err;
    memset(buf_grow(&hashes, HASH_LEN * SEAL_LIST_MAX), 0x33, HASH_LEN * SEAL_LIST_MAX);
    seal_list_encode(writer, PACK_DATA, &seal, 1, (const struct hash *)hashes.data, SEAL_LIST_MAX, &list);
    cr_assert(subject_accepts(&subject, buf_span(&list), &err), "%s", err.text);

    le32_put(list.data + 4, SEAL_LIST_MAX + 1);
    check_refused(&list, ERR_DAMAGED);
    le32_put(list.data + 4, UINT32_MAX);
    check_refused(&list, ERR_DAMAGED);
    uint8_t none[SEAL_LIST_FIXED_LEN] = {1, PACK_DATA};
    cr_assert(!subject_accepts(&subject, span_of(none, sizeof(none)), &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
}
