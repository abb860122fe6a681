#include "fake_outlet.h"
#include "keys.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct point_origin origin = {
    .point = {{5}}, .run = {{6}}, .writer = {7}, .writer_name = "beta", .written_ns = 9, .key_label = "old"};

static const struct point_draft draft = {
    .root = {{9, 9}},
    .counts = {.entries = 10, .files = 7, .directories = 3, .content_bytes = 12345, .warnings = 1},
    .started_ns = 1000,
    .written_ns = 2000,
    .object = OBJECT_TREE,
    .origin = &origin,
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

Test(point, that_was_sealed_anew_says_what_it_was_made_from)
{
    AUTO(keys) struct keys keys = keys_make();
    struct sealing_options options = keys_sealing(&keys, (struct outlet){0});
    struct point_draft first = draft;
    AUTO(buf) struct buf file = {0};
    make(&keys, &options, &file);
    AUTO(point) struct point *point = NULL;
    struct err err = {0};
    cr_assert(point_decode(buf_span(&file), &point, &err), "%s", err.text);
    cr_assert(point->has_origin);
    struct point_origin said = point_origin_of(point);
    cr_assert(id_eq(&said.point, &origin.point) && id_eq(&said.run, &origin.run) && said.written_ns == 9);
    cr_assert_arr_eq(said.writer, origin.writer, SIGN_PK_LEN);
    cr_assert_str_eq(said.writer_name, "beta");
    cr_assert_str_eq(said.key_label, "old");

    first.origin = NULL;
    buf_clear(&file);
    AUTO(sealing) struct sealing *sealing = NULL;
    AUTO(point) struct point *backed_up = NULL;
    struct backup_identity identity = keys_identity(&keys);
    cr_assert(sealing_new(&options, &sealing, &err), "%s", err.text);
    cr_assert(point_encode(&identity, sealing, &first, &file, &err), "%s", err.text);
    cr_assert(point_decode(buf_span(&file), &backed_up, &err), "%s", err.text);
    cr_assert_not(backed_up->has_origin);
    said = point_origin_of(backed_up);
    cr_assert(id_eq(&said.point, &backed_up->point) && said.written_ns == draft.written_ns, "its own origin");
}

/* Who copies must find it again, and who has not the domain's key must not be able to take its place. */
Test(point, that_is_made_from_another_has_an_id_that_follows_from_it_and_the_domain)
{
    AUTO(keys) struct keys keys = keys_make();
    AUTO(keys) struct keys other = keys_make();
    struct sealing_options options = keys_sealing(&keys, (struct outlet){0});
    struct sealing_options others = keys_sealing(&other, (struct outlet){0});
    AUTO(sealing) struct sealing *one = NULL;
    AUTO(sealing) struct sealing *again = NULL;
    AUTO(sealing) struct sealing *elsewhere = NULL;
    AUTO(run_key) struct run_key *next = run_key_new();
    const struct id made_from = {{5}}, another = {{6}};
    struct err err = {0};
    cr_assert(sealing_new(&options, &one, &err));
    options.run = next;
    cr_assert(sealing_new(&options, &again, &err) && sealing_new(&others, &elsewhere, &err));
    struct id id = sealing_point_of(one, &made_from), same = sealing_point_of(again, &made_from);
    struct id of_another = sealing_point_of(one, &another), there = sealing_point_of(elsewhere, &made_from);
    cr_assert(id_eq(&id, &same), "whichever run makes it");
    cr_assert_not(id_eq(&id, &of_another) || id_eq(&id, &there) || id_eq(&id, &made_from));
    struct hash hash = hash_of(span_of(made_from.bytes, ID_LEN));
    struct hash documented = chunk_id(keys.write->dedup_key->data, (enum frame_type)3, &hash);
    cr_assert_arr_eq(id.bytes, documented.bytes, ID_LEN, "as docs/format.md says");
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
