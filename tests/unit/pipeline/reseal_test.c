#include "chunks.h"
#include "fake_outlet.h"
#include "keys.h"
#include "transporter/core/manifest.h"
#include "transporter/pipeline/outlet_reseal.h"
#include "transporter/pipeline/reseal.h"

#include <criterion/criterion.h>
#include <string.h>

/* The target side: a resealing outlet before a fake one. */
struct target {
    struct keys keys;
    struct fake_outlet fake;
    struct outlet_reseal *reseal;
    uint64_t acknowledged;
};

static void note_acknowledged(void *arg, uint64_t number)
{
    struct target *target = arg;
    target->acknowledged = number;
}

static struct target *target_make(unsigned threads)
{
    struct target *target = calloc(1, sizeof(*target));
    target->keys = keys_make();
    fake_outlet_init(&target->fake, SEAL_HERE);
    struct outlet_reseal_options options = {
        .sealing = keys_sealing(&target->keys, fake_outlet_outlet(&target->fake)),
        .identity = keys_identity(&target->keys),
        .threads = threads,
        .queue_bytes = 4 << 20,
        .acknowledged = note_acknowledged,
        .arg = target,
    };
    struct err err = {0};
    cr_assert(outlet_reseal_new(&options, &target->reseal, &err), "%s", err.text);
    return target;
}

static void target_free(struct target *target)
{
    outlet_reseal_free(target->reseal);
    fake_outlet_deinit(&target->fake);
    keys_drop(&target->keys);
    free(target);
}
DEFINE_AUTO(target, struct target *, target_free)

static struct hash target_id(const struct target *target, enum frame_type type, const struct hash *content)
{
    return chunk_id(target->keys.write->dedup_key->data, type, content);
}

/* Some data chunks and one node, through `options`; the node's content hash is returned. */
static struct hash pack_sample(const struct sealing_options *options)
{
    AUTO(sealing) struct sealing *sealing = NULL;
    AUTO(chunk_pool) struct chunk_pool *pool = chunk_pool_new(1 << 20);
    AUTO(packer) struct packer *data = NULL;
    AUTO(packer) struct packer *nodes = NULL;
    struct err err = {0};
    cr_assert(sealing_new(options, &sealing, &err));
    cr_assert(packer_new(sealing, pool, PACK_DATA, &data, &err));
    cr_assert(packer_new(sealing, pool, PACK_META, &nodes, &err));
    for (uint64_t i = 0; i < 50; i++)
        cr_assert(chunk_put(data, i, 100000, &err), "%s", err.text);
    AUTO(buf) struct buf node = {0};
    static const uint8_t head[8] = {1, NODE_REFS, 0, 0, 2, 0, 0, 0};
    buf_put(&node, head, sizeof(head));
    for (uint64_t i = 0; i < 2; i++) {
        struct ref ref = {.content = chunk_content(i, 100000), .length = 100000};
        ref_encode(&ref, &node);
    }
    struct hash content = hash_of(buf_span(&node));
    cr_assert(packer_put(nodes, &node, &content, &err), "%s", err.text);
    cr_assert(packer_flush(data, NULL, &err) && packer_flush(nodes, NULL, &err), "%s", err.text);
    return content;
}

static void open_node(const struct keys *keys, const struct fake_outlet *fake, const struct hash *id,
                      struct buf *plain, struct buf *clear)
{
    const struct fake_chunk *chunk = fake_outlet_find(fake, FRAME_NODE, id);
    cr_assert_not_null(chunk);
    struct frame_view frame;
    struct err err = {0};
    cr_assert(frame_parse(fake_outlet_bytes(fake, chunk), &frame, &err));
    buf_put_span(clear, frame.clear);
    cr_assert(keys_open(keys, buf_span(&fake->envelope), fake_outlet_bytes(fake, chunk), plain));
}

Test(reseal, seals_what_sealing_at_the_source_would_have_sealed)
{
    AUTO(target) struct target *target = target_make(2);
    struct sealing_options raw = keys_raw(outlet_reseal_outlet(target->reseal));
    struct hash node = pack_sample(&raw);
    AUTO(fake_outlet) struct fake_outlet direct;
    fake_outlet_init(&direct, SEAL_HERE);
    struct sealing_options sealed = keys_sealing(&target->keys, fake_outlet_outlet(&direct));
    struct hash same_node = pack_sample(&sealed);
    cr_assert(hash_eq(&node, &same_node));

    struct outlet outlet = outlet_reseal_outlet(target->reseal);
    struct commit_request request = {.root = node};
    struct commit_receipt receipt;
    AUTO(buf) struct buf missing = {0};
    struct err err = {0};
    cr_assert(outlet.ops->commit(outlet.self, &request, &receipt, &missing, &err), "%s", err.text);
    cr_assert_eq(target->fake.invalid.code, ERR_NONE, "%s", target->fake.invalid.text);

    cr_assert_eq(fake_outlet_count(&target->fake, FRAME_DATA), 50);
    for (size_t i = 0; i < 50; i++)
        cr_assert_not_null(fake_outlet_find(&target->fake, FRAME_DATA, &fake_outlet_chunk(&direct, i)->name));
    struct hash id = target_id(target, FRAME_NODE, &node);
    AUTO(buf) struct buf there = {0};
    AUTO(buf) struct buf here = {0};
    AUTO(buf) struct buf clear_there = {0};
    AUTO(buf) struct buf clear_here = {0};
    open_node(&target->keys, &target->fake, &id, &there, &clear_there);
    open_node(&target->keys, &direct, &id, &here, &clear_here);
    cr_assert(span_eq(buf_span(&there), buf_span(&here)));
    cr_assert(span_eq(buf_span(&clear_there), buf_span(&clear_here)) && clear_here.len == 2 * HASH_LEN);
}

Test(reseal, the_commit_names_the_roots_id_in_a_point_file_of_its_own)
{
    AUTO(target) struct target *target = target_make(1);
    struct sealing_options raw = keys_raw(outlet_reseal_outlet(target->reseal));
    struct hash node = pack_sample(&raw);
    struct outlet outlet = outlet_reseal_outlet(target->reseal);
    struct commit_request request = {.root = node, .counts = {.files = 4}};
    struct commit_receipt receipt;
    AUTO(buf) struct buf missing = {0};
    struct err err = {0};
    cr_assert(outlet.ops->commit(outlet.self, &request, &receipt, &missing, &err), "%s", err.text);
    AUTO(point) struct point *point = NULL;
    cr_assert(point_decode(buf_span(&target->fake.point_file), &point, &err), "%s", err.text);
    struct hash id = target_id(target, FRAME_NODE, &node);
    cr_assert(hash_eq(&point->root, &id) && hash_eq(&target->fake.committed.root, &id));
    cr_assert_eq(point->counts.files, 4);
}

Test(reseal, asks_by_content_hash_are_about_ids)
{
    AUTO(target) struct target *target = target_make(1);
    struct hash contents[2] = {chunk_content(1, 10), chunk_content(2, 10)};
    struct hash known = target_id(target, FRAME_DATA, &contents[1]);
    fake_outlet_knows(&target->fake, &known);
    enum frame_type types[2] = {FRAME_DATA, FRAME_DATA};
    uint8_t have[2] = {9, 9};
    struct outlet outlet = outlet_reseal_outlet(target->reseal);
    struct err err = {0};
    cr_assert(outlet.ops->ask(outlet.self, types, contents, 2, have, &err));
    cr_assert(have[0] == 0 && have[1] == 1);
}

/* One raw batch of one chunk, built by hand. */
static void make_raw(struct buf *out, const struct raw_chunk *chunk)
{
    buf_clear(out);
    raw_chunk_header(chunk, buf_grow(out, RAW_CHUNK_HEADER_LEN));
    buf_put_span(out, chunk->stored);
}

static void assert_lie(const struct raw_chunk *chunk, const char *what)
{
    AUTO(keys) struct keys keys = keys_make();
    AUTO(fake_outlet) struct fake_outlet fake;
    fake_outlet_init(&fake, SEAL_HERE);
    struct sealing_options options = keys_sealing(&keys, fake_outlet_outlet(&fake));
    AUTO(sealing) struct sealing *sealing = NULL;
    AUTO(chunk_pool) struct chunk_pool *pool = chunk_pool_new(1 << 20);
    AUTO(resealer) struct resealer *resealer = NULL;
    AUTO(buf) struct buf raw = {0};
    struct err err = {0};
    cr_assert(sealing_new(&options, &sealing, &err));
    cr_assert(resealer_new(sealing, pool, &resealer, &err));
    make_raw(&raw, chunk);
    uint64_t last;
    cr_assert_not(reseal_batch(resealer, buf_span(&raw), &last, &err), "%s", what);
    cr_assert_eq(err.code, ERR_PROTOCOL, "%s: %s", what, err.text);
    cr_assert_eq(fake.calls[FAKE_SEND], 0, "%s", what);
}

Test(reseal, a_lie_about_a_chunk_is_a_breach_of_protocol)
{
    struct raw_chunk chunk = {
        .type = FRAME_DATA, .raw_len = 3, .content = hash_of(span_str("abd")), .stored = span_str("abc")};
    assert_lie(&chunk, "another content hash");
    chunk.content = hash_of(span_str("abc"));
    chunk.type = FRAME_NODE;
    assert_lie(&chunk, "bytes that are no node");
    chunk.type = FRAME_DATA;
    chunk.compression = COMPRESS_LZ4;
    chunk.raw_len = 4;
    assert_lie(&chunk, "bytes that do not decompress");
}

static void send_one(struct target *target, uint64_t number, uint64_t seed)
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(buf) struct buf raw = {0};
    chunk_fill(&bytes, seed, 1000);
    struct raw_chunk chunk = {.type = FRAME_DATA,
                              .raw_len = 1000,
                              .content = hash_of(buf_span(&bytes)),
                              .stored = buf_span(&bytes)};
    make_raw(&raw, &chunk);
    struct outlet outlet = outlet_reseal_outlet(target->reseal);
    struct err err = {0};
    cr_assert(outlet.ops->send(outlet.self, number, &raw, &err), "%s", err.text);
}

Test(reseal, raw_batches_are_acknowledged_in_order_when_what_they_became_is_durable)
{
    AUTO(target) struct target *target = target_make(1);
    struct outlet outlet = outlet_reseal_outlet(target->reseal);
    for (uint64_t i = 1; i <= 3; i++)
        send_one(target, i, i);
    send_one(target, 4, 1); /* nothing new in it */
    struct commit_request request = {0};
    struct commit_receipt receipt;
    AUTO(buf) struct buf missing = {0};
    struct err err = {0};
    cr_assert(outlet.ops->commit(outlet.self, &request, &receipt, &missing, &err), "%s", err.text);
    cr_assert_eq(target->acknowledged, 0);
    outlet_reseal_acknowledged(target->reseal, 2);
    cr_assert_eq(target->acknowledged, 2);
    outlet_reseal_acknowledged(target->reseal, 3);
    cr_assert_eq(target->acknowledged, 4);
}

Test(reseal, a_batch_that_comes_again_is_ignored_and_a_gap_is_refused)
{
    AUTO(target) struct target *target = target_make(1);
    struct outlet outlet = outlet_reseal_outlet(target->reseal);
    send_one(target, 1, 1);
    send_one(target, 1, 99);
    AUTO(buf) struct buf raw = {0};
    struct err err = {0};
    buf_put_str(&raw, "x");
    cr_assert_not(outlet.ops->send(outlet.self, 3, &raw, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL);
    struct commit_request request = {0};
    struct commit_receipt receipt;
    AUTO(buf) struct buf missing = {0};
    cr_assert(outlet.ops->commit(outlet.self, &request, &receipt, &missing, &err), "%s", err.text);
    cr_assert_eq(fake_outlet_count(&target->fake, FRAME_DATA), 1);
}

Test(reseal, a_lie_in_a_thread_fails_the_next_send_and_the_commit)
{
    AUTO(target) struct target *target = target_make(2);
    struct outlet outlet = outlet_reseal_outlet(target->reseal);
    AUTO(buf) struct buf raw = {0};
    struct raw_chunk chunk = {
        .type = FRAME_DATA, .raw_len = 3, .content = hash_of(span_str("abd")), .stored = span_str("abc")};
    make_raw(&raw, &chunk);
    struct err err = {0};
    cr_assert(outlet.ops->send(outlet.self, 1, &raw, &err));
    struct commit_request request = {0};
    struct commit_receipt receipt;
    AUTO(buf) struct buf missing = {0};
    cr_assert_not(outlet.ops->commit(outlet.self, &request, &receipt, &missing, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL);
    cr_assert_not(outlet.ops->send(outlet.self, 2, &raw, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL);
}
