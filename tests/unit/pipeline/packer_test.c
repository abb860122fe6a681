#include "chunks.h"
#include "fake_outlet.h"
#include "keys.h"
#include "transporter/core/manifest.h"

#include <criterion/criterion.h>
#include <string.h>

/* A sealing with one packer, and the outlet behind it. */
struct bench {
    struct keys keys;
    struct fake_outlet fake;
    struct sealing *sealing;
    struct chunk_pool *pool;
    struct packer *packer;
    struct err err;
};

static struct bench *bench_open(struct bench *bench, enum pack_class class_, struct sealing_options options)
{
    bench->pool = chunk_pool_new(8 << 20);
    cr_assert(sealing_new(&options, &bench->sealing, &bench->err), "%s", bench->err.text);
    cr_assert(packer_new(bench->sealing, bench->pool, class_, &bench->packer, &bench->err), "%s",
              bench->err.text);
    return bench;
}

static struct bench *bench_make(enum seal_place place)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    bench->keys = keys_make();
    fake_outlet_init(&bench->fake, place);
    return bench;
}

static struct bench *bench_sealed(enum pack_class class_)
{
    struct bench *bench = bench_make(SEAL_HERE);
    return bench_open(bench, class_, keys_sealing(&bench->keys, fake_outlet_outlet(&bench->fake)));
}

static void bench_free(struct bench *bench)
{
    packer_free(bench->packer);
    sealing_free(bench->sealing);
    chunk_pool_free(bench->pool);
    fake_outlet_deinit(&bench->fake);
    keys_drop(&bench->keys);
    free(bench);
}
DEFINE_AUTO(bench, struct bench *, bench_free)

static void put(struct bench *bench, uint64_t seed, size_t len)
{
    cr_assert(chunk_put(bench->packer, seed, len, &bench->err), "%s", bench->err.text);
}

static void flush(struct bench *bench)
{
    cr_assert(packer_flush(bench->packer, NULL, &bench->err), "%s", bench->err.text);
    cr_assert_eq(bench->fake.invalid.code, ERR_NONE, "%s", bench->fake.invalid.text);
}

static const struct fake_chunk *find(struct bench *bench, uint64_t seed, size_t len)
{
    struct hash content = chunk_content(seed, len);
    struct hash id = sealing_id(bench->sealing, FRAME_DATA, &content);
    return fake_outlet_find(&bench->fake, FRAME_DATA, &id);
}

Test(packer, every_chunk_opens_from_a_valid_batch)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
    static const size_t lens[] = {1, 100, 5000, 200000, 1 << 20, FRAME_MAX_RAW_DATA};
    for (size_t i = 0; i < 6; i++)
        put(bench, i, lens[i]);
    flush(bench);
    for (size_t i = 0; i < 6; i++) {
        const struct fake_chunk *chunk = find(bench, i, lens[i]);
        cr_assert_not_null(chunk, "chunk %zu", i);
        AUTO(buf) struct buf plain = {0};
        cr_assert(keys_open(&bench->keys, buf_span(&bench->fake.envelope),
                            fake_outlet_bytes(&bench->fake, chunk), &plain));
        cr_assert_eq(plain.len, lens[i]);
    }
}

Test(packer, equal_chunks_of_one_run_are_sent_once)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
    for (int i = 0; i < 100; i++)
        put(bench, 1, 5000);
    flush(bench);
    cr_assert_eq(fake_outlet_count(&bench->fake, FRAME_DATA), 1);
    cr_assert_eq(sealing_deduplicated_bytes(bench->sealing), 99 * 5000);
}

Test(packer, chunks_are_asked_for_in_groups_and_what_the_target_has_is_not_sent)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
    for (uint64_t i = 0; i < 64; i += 2) {
        struct hash content = chunk_content(i, 1000);
        struct hash id = sealing_id(bench->sealing, FRAME_DATA, &content);
        fake_outlet_knows(&bench->fake, &id);
    }
    for (uint64_t i = 0; i < 64; i++)
        put(bench, i, 1000);
    cr_assert_eq(bench->fake.calls[FAKE_ASK], 1);
    flush(bench);
    cr_assert_eq(bench->fake.asked, 64);
    cr_assert_eq(fake_outlet_count(&bench->fake, FRAME_DATA), 32);
    cr_assert_null(find(bench, 0, 1000));
    cr_assert_not_null(find(bench, 1, 1000));
    cr_assert_eq(sealing_deduplicated_bytes(bench->sealing), 32 * 1000);
}

Test(packer, a_group_is_also_ended_by_its_bytes)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
    put(bench, 1, 1 << 20);
    cr_assert_eq(bench->fake.calls[FAKE_ASK], 0);
    put(bench, 2, 1 << 20);
    cr_assert_eq(bench->fake.calls[FAKE_ASK], 1);
}

Test(packer, after_a_row_of_misses_most_chunks_go_unasked_until_a_hit)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
    for (uint64_t i = 0; i < SEALING_PATIENCE; i++)
        put(bench, i, 100);
    cr_assert_eq(bench->fake.asked, SEALING_PATIENCE);
    for (uint64_t i = 0; i < 160; i++)
        put(bench, 1000 + i, 100);
    flush(bench);
    cr_assert_eq(bench->fake.asked, SEALING_PATIENCE + 10);
    cr_assert_eq(fake_outlet_count(&bench->fake, FRAME_DATA), SEALING_PATIENCE + 160);

    bench->fake.has_everything = true;
    for (uint64_t i = 0; i < SEALING_PROBE; i++)
        put(bench, 2000 + i, 100);
    flush(bench); /* the probe is answered: a hit */
    size_t asked = bench->fake.asked;
    for (uint64_t i = 0; i < 64; i++)
        put(bench, 3000 + i, 100);
    cr_assert_eq(bench->fake.asked, asked + 64);
}

Test(packer, batches_are_about_a_mebibyte_and_hold_the_largest_chunk)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
    for (uint64_t i = 0; i < 40; i++)
        put(bench, i, 300000);
    put(bench, 99, FRAME_MAX_RAW_DATA);
    flush(bench);
    const size_t *lens = (const size_t *)(const void *)bench->fake.batch_lens.data;
    size_t count = bench->fake.batch_lens.len / sizeof(*lens);
    cr_assert_geq(count, 8);
    size_t large = 0;
    for (size_t i = 0; i < count; i++)
        large += lens[i] > PACKER_BATCH + 8192;
    cr_assert_eq(large, 1);
}

Test(packer, nothing_to_send_sends_no_envelope)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
    bench->fake.has_everything = true;
    put(bench, 1, 1000);
    flush(bench);
    cr_assert_eq(bench->fake.calls[FAKE_ENVELOPE], 0);
    cr_assert_eq(bench->fake.calls[FAKE_SEND], 0);
}

Test(packer, the_envelope_goes_once_and_first)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
    for (uint64_t i = 0; i < 20; i++)
        put(bench, i, 300000);
    flush(bench);
    cr_assert_eq(bench->fake.calls[FAKE_ENVELOPE], 1);
    struct envelope_view view;
    cr_assert(envelope_parse(buf_span(&bench->fake.envelope), &view, &bench->err));
    cr_assert(id_eq(&view.seal, sealing_seal(bench->sealing)));
    cr_assert(hash_eq(&view.domain, sealing_domain(bench->sealing)));
}

Test(packer, plaintext_repositories_get_plain_frames_and_no_envelope)
{
    AUTO(bench) struct bench *bench = bench_make(SEAL_HERE);
    bench_open(bench, PACK_DATA, keys_plain(&bench->keys, fake_outlet_outlet(&bench->fake)));
    put(bench, 1, 3000);
    flush(bench);
    cr_assert_eq(bench->fake.calls[FAKE_ENVELOPE], 0);
    const struct fake_chunk *chunk = find(bench, 1, 3000);
    cr_assert_not_null(chunk);
    struct frame_view frame;
    cr_assert(frame_parse(fake_outlet_bytes(&bench->fake, chunk), &frame, &bench->err));
    cr_assert(frame.cipher == CIPHER_NONE && id_is_zero(&frame.seal));
    AUTO(buf) struct buf plain = {0};
    cr_assert(keys_open(&bench->keys, span_of(NULL, 0), fake_outlet_bytes(&bench->fake, chunk), &plain));
}

Test(packer, raw_batches_carry_content_hashes_and_compressed_bytes)
{
    AUTO(bench) struct bench *bench = bench_make(SEAL_THERE);
    bench_open(bench, PACK_DATA, keys_raw(fake_outlet_outlet(&bench->fake)));
    put(bench, 1, 3000);
    put(bench, 1, 3000);
    put(bench, 2, 3000);
    flush(bench);
    cr_assert_eq(fake_outlet_count(&bench->fake, FRAME_DATA), 2);
    struct hash content = chunk_content(1, 3000);
    const struct fake_chunk *chunk = fake_outlet_find(&bench->fake, FRAME_DATA, &content);
    cr_assert_not_null(chunk);
    cr_assert(chunk->compression == COMPRESS_LZ4 && chunk->raw_len == 3000 && chunk->len < 3000);
}

Test(packer, chunks_that_the_format_has_no_room_for_are_refused)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
    struct err err = {0};
    cr_assert_not(chunk_put(bench->packer, 1, 0, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_not(chunk_put(bench->packer, 1, FRAME_MAX_RAW_DATA + 1, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
}

/* One refs node of `count` chunks, numbered downwards from `count`, each named twice. */
static bool keep_node(void *arg, struct span node, struct hash *content, struct err *err)
{
    struct buf *out = arg;
    buf_clear(out);
    buf_put_span(out, node);
    *content = hash_of(node);
    return true;
}

static void make_refs_node(struct buf *out, struct err *err)
{
    AUTO(refs_writer) struct refs_writer *writer = refs_writer_new(keep_node, out);
    for (uint64_t i = 0; i < REFS_INLINE_MAX + 1; i++) {
        struct ref ref = {.content = chunk_content(1000 - i / 2 * 2, 10), .length = 10};
        cr_assert(refs_add(writer, &ref, err));
    }
    AUTO(buf) struct buf refs = {0};
    uint32_t count;
    uint8_t flags;
    cr_assert(refs_finish(writer, &refs, &count, &flags, err));
}

Test(packer, a_nodes_clear_list_names_each_child_once_in_order)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_META);
    AUTO(buf) struct buf node = {0};
    make_refs_node(&node, &bench->err);
    struct hash content = hash_of(buf_span(&node));
    cr_assert(packer_put(bench->packer, &node, &content, &bench->err), "%s", bench->err.text);
    flush(bench);
    struct hash id = sealing_id(bench->sealing, FRAME_NODE, &content);
    const struct fake_chunk *chunk = fake_outlet_find(&bench->fake, FRAME_NODE, &id);
    cr_assert_not_null(chunk);
    struct frame_view frame; /* frame_parse insists on order and no repeats */
    cr_assert(frame_parse(fake_outlet_bytes(&bench->fake, chunk), &frame, &bench->err));
    cr_assert_gt(frame.data_ids, 20);
    struct hash child = chunk_content(1000, 10);
    struct hash child_id = sealing_id(bench->sealing, FRAME_DATA, &child);
    size_t seen = 0;
    for (size_t i = 0; i < frame.data_ids; i++)
        seen += memcmp(frame.clear_data + i * HASH_LEN, child_id.bytes, HASH_LEN) == 0;
    cr_assert_leq(seen, 1);
}

Test(packer, a_node_is_sent_although_a_file_has_the_same_bytes)
{
    AUTO(bench) struct bench *bench = bench_make(SEAL_THERE);
    bench_open(bench, PACK_META, keys_raw(fake_outlet_outlet(&bench->fake)));
    AUTO(packer) struct packer *data = NULL;
    AUTO(buf) struct buf node = {0};
    AUTO(buf) struct buf same = {0};
    make_refs_node(&node, &bench->err);
    buf_put_span(&same, buf_span(&node));
    struct hash content = hash_of(buf_span(&node));
    cr_assert(packer_new(bench->sealing, bench->pool, PACK_DATA, &data, &bench->err));
    cr_assert(packer_put(data, &same, &content, &bench->err));
    cr_assert(packer_put(bench->packer, &node, &content, &bench->err));
    cr_assert(packer_flush(data, NULL, &bench->err));
    flush(bench);
    cr_assert_not_null(fake_outlet_find(&bench->fake, FRAME_DATA, &content));
    cr_assert_not_null(fake_outlet_find(&bench->fake, FRAME_NODE, &content));
}

Test(packer, bytes_that_are_no_node_are_not_sealed_as_one)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_META);
    struct err err = {0};
    cr_assert_not(chunk_put(bench->packer, 1, 100, &err));
    cr_assert(err.code == ERR_DAMAGED || err.code == ERR_VERSION || err.code == ERR_TRUNCATED);
}

Test(packer, an_error_of_the_outlet_is_the_packers_error)
{
    static const enum fake_call calls[] = {FAKE_ASK, FAKE_ENVELOPE, FAKE_SEND};
    for (size_t i = 0; i < 3; i++) {
        AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
        bench->fake.fail_at[calls[i]] = 1;
        put(bench, 1, 1000);
        struct err err = {0};
        cr_assert_not(packer_flush(bench->packer, NULL, &err));
        cr_assert_eq(err.code, ERR_UNREACHABLE);
    }
}

/* Threads that have not heard of it yet go on packing. */
Test(packer, sends_nothing_behind_a_batch_that_failed)
{
    static const enum fake_call calls[] = {FAKE_ENVELOPE, FAKE_SEND};
    for (size_t i = 0; i < 2; i++) {
        AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
        AUTO(packer) struct packer *other = NULL;
        struct err err = {0};
        cr_assert(packer_new(bench->sealing, bench->pool, PACK_DATA, &other, &err));
        bench->fake.fail_at[calls[i]] = 1;
        put(bench, 1, 1000);
        cr_assert_not(packer_flush(bench->packer, NULL, &err));
        put(bench, 2, 1000);
        cr_assert(chunk_put(other, 3, 1000, &err), "%s", err.text);
        struct packer *const packers[] = {bench->packer, other};
        for (size_t k = 0; k < 2; k++) {
            struct err later = {0};
            cr_assert_not(packer_flush(packers[k], NULL, &later));
            cr_assert_eq(later.code, ERR_UNREACHABLE, "%s", later.text);
        }
        cr_assert_eq(bench->fake.invalid.code, ERR_NONE, "%s", bench->fake.invalid.text);
        cr_assert_eq(bench->fake.chunks.len, 0);
    }
}

Test(sealing, cipher_and_key_go_together_or_not_at_all)
{
    AUTO(keys) struct keys keys = keys_make();
    AUTO(fake_outlet) struct fake_outlet fake;
    fake_outlet_init(&fake, SEAL_HERE);
    struct sealing *sealing = NULL;
    struct sealing_options options = keys_sealing(&keys, fake_outlet_outlet(&fake));
    struct err err = {0};
    options.half = NULL;
    cr_assert_not(sealing_new(&options, &sealing, &err));
    cr_assert_eq(err.code, ERR_POLICY);
    options = keys_sealing(&keys, fake_outlet_outlet(&fake));
    options.cipher = CIPHER_NONE;
    cr_assert_not(sealing_new(&options, &sealing, &err));
    cr_assert_eq(err.code, ERR_POLICY);
    options = keys_raw(fake_outlet_outlet(&fake));
    options.half = keys.write;
    cr_assert_not(sealing_new(&options, &sealing, &err));
    cr_assert_eq(err.code, ERR_POLICY);
    cr_assert_null(sealing);
}

struct crowd {
    struct sealing *sealing;
    struct chunk_pool *pool;
    uint64_t first;
    struct err err;
    bool fine;
};

static void *pack_many(void *arg)
{
    struct crowd *crowd = arg;
    AUTO(packer) struct packer *packer = NULL;
    crowd->fine = packer_new(crowd->sealing, crowd->pool, PACK_DATA, &packer, &crowd->err);
    for (uint64_t i = 0; crowd->fine && i < 60; i++)
        crowd->fine = chunk_put(packer, crowd->first + i, 100000, &crowd->err);
    crowd->fine = crowd->fine && packer_flush(packer, NULL, &crowd->err);
    return NULL;
}

Test(sealing, batches_of_several_threads_reach_the_outlet_in_order)
{
    AUTO(bench) struct bench *bench = bench_sealed(PACK_DATA);
    struct crowd crowds[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        crowds[i] = (struct crowd){.sealing = bench->sealing, .pool = bench->pool, .first = 40 * i};
        cr_assert_eq(pthread_create(&threads[i], NULL, pack_many, &crowds[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        cr_assert(crowds[i].fine, "%s", crowds[i].err.text);
    }
    cr_assert_eq(bench->fake.invalid.code, ERR_NONE, "%s", bench->fake.invalid.text);
    cr_assert_eq(fake_outlet_count(&bench->fake, FRAME_DATA), 3 * 40 + 60);
}
