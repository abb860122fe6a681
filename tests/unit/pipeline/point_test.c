#include "fake_outlet.h"
#include "keys.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct point_draft draft = {
    .root = {{9, 9}},
    .counts = {.entries = 10, .files = 7, .directories = 3, .content_bytes = 12345, .warnings = 1},
    .started_ns = 1000,
    .written_ns = 2000,
    .object = OBJECT_TREE,
};

static void make(const struct keys *keys, const struct sealing_options *options, struct buf *file)
{
    AUTO(sealing) struct sealing *sealing = NULL;
    struct err err = {0};
    struct backup_identity identity = keys_identity(keys);
    cr_assert(sealing_new(options, &sealing, &err), "%s", err.text);
    cr_assert(point_encode(&identity, sealing, &draft, file, &err), "%s", err.text);
}

Test(point, says_what_the_writer_put_in)
{
    AUTO(keys) struct keys keys = keys_make();
    struct sealing_options options = keys_sealing(&keys, (struct outlet){0});
    AUTO(buf) struct buf file = {0};
    make(&keys, &options, &file);
    AUTO(point) struct point *point = NULL;
    struct err err = {0};
    cr_assert(point_decode(buf_span(&file), &point, &err), "%s", err.text);
    cr_assert(hash_eq(&point->root, &draft.root) && hash_eq(&point->key_id, &keys.write->key_id));
    cr_assert_str_eq(point->job, "home");
    cr_assert_str_eq(point->writer_name, "alpha");
    cr_assert_str_eq(point->key_label, "main");
    cr_assert_str_eq(point->domain, KEYS_DOMAIN);
    cr_assert_arr_eq(point->writer, keys.writer->pk, SIGN_PK_LEN);
    cr_assert(point->cipher == options.cipher && point->object == OBJECT_TREE);
    cr_assert(memcmp(&point->counts, &draft.counts, sizeof(draft.counts)) == 0);
    cr_assert(point->started_ns == 1000 && point->written_ns == 2000 && point->attempt == 1);
    cr_assert(span_eq(point->unlock_section, buf_span(&keys.unlock)));
}

Test(point, of_a_plaintext_repository_has_neither_key_nor_unlock_section)
{
    AUTO(keys) struct keys keys = keys_make();
    struct sealing_options options = keys_plain(&keys, (struct outlet){0});
    AUTO(buf) struct buf file = {0};
    make(&keys, &options, &file);
    AUTO(point) struct point *point = NULL;
    struct err err = {0};
    cr_assert(point_decode(buf_span(&file), &point, &err), "%s", err.text);
    cr_assert(point->cipher == CIPHER_NONE && hash_is_zero(&point->key_id));
    cr_assert_eq(point->unlock_section.len, 0);
}

Test(point, is_not_made_encrypted_without_an_unlock_section)
{
    AUTO(keys) struct keys keys = keys_make();
    struct sealing_options options = keys_sealing(&keys, (struct outlet){0});
    AUTO(sealing) struct sealing *sealing = NULL;
    struct err err = {0};
    cr_assert(sealing_new(&options, &sealing, &err));
    struct backup_identity identity = keys_identity(&keys);
    identity.unlock_section = (struct span){0};
    AUTO(buf) struct buf file = {0};
    cr_assert_not(point_encode(&identity, sealing, &draft, &file, &err));
    cr_assert(err.code == ERR_POLICY && file.len == 0);
}

Test(point, truncated_at_any_length_is_refused)
{
    AUTO(keys) struct keys keys = keys_make();
    struct sealing_options options = keys_sealing(&keys, (struct outlet){0});
    AUTO(buf) struct buf file = {0};
    make(&keys, &options, &file);
    for (size_t len = 0; len < file.len; len++) {
        AUTO(point) struct point *point = NULL;
        struct err err = {0};
        cr_assert_not(point_decode(span_of(file.data, len), &point, &err), "length %zu", len);
        cr_assert_null(point);
    }
}

Test(point, with_any_bit_flipped_is_refused)
{
    AUTO(keys) struct keys keys = keys_make();
    struct sealing_options options = keys_sealing(&keys, (struct outlet){0});
    AUTO(buf) struct buf file = {0};
    make(&keys, &options, &file);
    for (size_t bit = 0; bit < file.len * 8; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        AUTO(point) struct point *point = NULL;
        struct err err = {0};
        cr_assert_not(point_decode(buf_span(&file), &point, &err), "bit %zu", bit);
        file.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}
