#include "golden.h"
#include "store.h"

#include <criterion/criterion.h>
#include <string.h>

/* Reference number i of the golden vector "long". */
static struct ref numbered(uint32_t i)
{
    if (i % 5 == 4) return (struct ref){.kind = REF_HOLE, .length = 4096};
    struct ref ref = {.kind = REF_DATA, .length = i % 1000 + 1};
    uint16_t mixed = (uint16_t)(i * 40503u);
    ref.content.bytes[0] = (uint8_t)(mixed >> 8);
    ref.content.bytes[1] = (uint8_t)mixed;
    le32_put(ref.content.bytes + 2, i);
    return ref;
}

static uint64_t write_refs(struct refs_writer *writer, uint32_t count)
{
    uint64_t sum = 0;
    struct err err;
    for (uint32_t i = 0; i < count; i++) {
        struct ref ref = numbered(i);
        sum += ref.length;
        cr_assert(refs_add(writer, &ref, &err), "%s", err.text);
    }
    return sum;
}

static void expect_refs(struct refs_reader *reader, uint32_t count)
{
    struct ref ref;
    bool found;
    struct err err;
    for (uint32_t i = 0; i < count; i++) {
        struct ref expected = numbered(i);
        cr_assert(refs_next(reader, &ref, &found, &err), "%s", err.text);
        cr_assert(found);
        if (!hash_eq(&ref.content, &expected.content) || ref.length != expected.length ||
            ref.kind != expected.kind)
            cr_assert_fail("reference %u", i);
    }
    cr_assert(refs_next(reader, &ref, &found, &err), "%s", err.text);
    cr_assert(!found);
}

Test(refs, come_back_whatever_their_number)
{
    static const uint32_t counts[] = {0, 1, 999, 1000, 1001, 1064, 100000, 400000};
    AUTO(store) struct store store = {0};
    AUTO(refs_writer) struct refs_writer *writer = refs_writer_new(store_put, &store);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        AUTO(buf) struct buf out = {0};
        uint32_t count;
        uint8_t flags;
        struct err err;
        (void)write_refs(writer, counts[i]);
        cr_assert(refs_finish(writer, &out, &count, &flags, &err), "%s", err.text);
        cr_assert_eq(out.len, (size_t)count * REF_LEN);
        cr_assert_leq(count, REFS_INLINE_MAX);
        cr_assert_eq(flags, counts[i] > REFS_INLINE_MAX ? ENTRY_REFS_IN_NODES : 0);
        AUTO(refs_reader) struct refs_reader *reader = refs_reader_new(store_load, &store, buf_span(&out));
        expect_refs(reader, counts[i]);
    }
}

Test(refs, three_million_make_the_golden_references)
{
    AUTO(store) struct store store = {.forget = true};
    AUTO(refs_writer) struct refs_writer *writer = refs_writer_new(store_put, &store);
    AUTO(buf) struct buf out = {0}, expected = {0};
    uint32_t count;
    uint8_t flags;
    struct err err;
    (void)write_refs(writer, 3000000);
    cr_assert(refs_finish(writer, &out, &count, &flags, &err), "%s", err.text);
    golden("long", &expected);
    cr_assert_eq(count, le32_get(expected.data + 4));
    struct hash hash = hash_of(buf_span(&out));
    cr_assert_arr_eq(hash.bytes, expected.data + 8, HASH_LEN);
}

/* An entry of `count` references; gives its encoded references. */
static uint64_t long_refs(struct store *store, uint32_t count, struct buf *out)
{
    AUTO(refs_writer) struct refs_writer *writer = refs_writer_new(store_put, store);
    uint32_t made;
    uint8_t flags;
    struct err err;
    uint64_t sum = write_refs(writer, count);
    cr_assert(refs_finish(writer, out, &made, &flags, &err), "%s", err.text);
    return sum;
}

Test(refs, node_lengths_add_up_to_the_content)
{
    AUTO(store) struct store store = {0};
    AUTO(buf) struct buf out = {0};
    uint64_t sum = long_refs(&store, 50000, &out), found = 0;
    struct reader reader = reader_of(buf_span(&out));
    while (reader_left(&reader) > 0) {
        struct ref ref;
        struct err err;
        cr_assert(ref_decode(&reader, &ref, &err), "%s", err.text);
        cr_assert_eq(ref.kind, REF_NODE);
        found += ref.length;
    }
    cr_assert_eq(found, sum);
}

static bool drain(struct refs_reader *reader, size_t *count, struct err *err)
{
    for (*count = 0;; ++*count) {
        struct ref ref;
        bool found;
        if (!refs_next(reader, &ref, &found, err)) return false;
        if (!found) return true;
        cr_assert_lt(*count, (size_t)10000000, "no end");
    }
}

Test(refs, each_failing_node_is_reported)
{
    AUTO(store) struct store store = {0};
    AUTO(buf) struct buf out = {0};
    (void)long_refs(&store, 3000, &out);
    size_t nodes = store.puts, count;
    struct err err;
    for (size_t at = 1; at <= nodes; at++) {
        store.puts = store.loads = 0;
        store.fail_at = at;
        AUTO(refs_reader) struct refs_reader *reader = refs_reader_new(store_load, &store, buf_span(&out));
        cr_assert(!drain(reader, &count, &err));
        cr_assert_eq(err.code, ERR_UNREACHABLE);
        store.puts = store.loads = 0;
        AUTO(refs_writer) struct refs_writer *writer = refs_writer_new(store_put, &store);
        AUTO(buf) struct buf unused = {0};
        uint32_t made;
        uint8_t flags;
        bool ok = true;
        for (uint32_t i = 0; i < 3000 && ok; i++) {
            struct ref ref = numbered(i);
            ok = refs_add(writer, &ref, &err);
        }
        cr_assert(!ok || !refs_finish(writer, &unused, &made, &flags, &err));
        cr_assert_eq(err.code, ERR_NO_SPACE);
    }
}

static void put_node(struct store *store, unsigned level, const struct ref *refs, uint32_t count,
                     struct hash *as)
{
    AUTO(buf) struct buf node = {0};
    const struct node_header header = {.kind = NODE_REFS, .level = level, .count = count};
    node_header_encode(&header, buf_grow(&node, NODE_HEADER_LEN));
    for (uint32_t i = 0; i < count; i++)
        ref_encode(&refs[i], &node);
    store_put_as(store, as, buf_span(&node));
}

static void expect_damage(struct store *store, const struct ref *top)
{
    AUTO(buf) struct buf refs = {0};
    ref_encode(top, &refs);
    AUTO(refs_reader) struct refs_reader *reader = refs_reader_new(store_load, store, buf_span(&refs));
    size_t count;
    struct err err;
    cr_assert(!drain(reader, &count, &err));
    cr_assert_eq(err.code, ERR_DAMAGED, "%s", err.text);
    cr_assert_lt(store->loads, (size_t)40, "the descent is bounded");
}

Test(refs, nodes_that_lie_are_refused)
{
    AUTO(store) struct store store = {0};
    struct hash a = {{1}}, b = {{2}};
    const struct ref to_a = {.kind = REF_NODE, .length = 10, .content = a};
    const struct ref data = {.kind = REF_DATA, .length = 9, .content = a};
    const struct ref more = {.kind = REF_DATA, .length = 11, .content = a};
    const struct ref to_b = {.kind = REF_NODE, .length = 10, .content = b};

    put_node(&store, 0, &data, 1, &a);
    expect_damage(&store, &to_a); /* less than the reference says */
    put_node(&store, 0, &more, 1, &a);
    expect_damage(&store, &to_a); /* more */
    put_node(&store, 0, &to_b, 1, &a);
    expect_damage(&store, &to_a); /* a node below level 0 */
    put_node(&store, 1, &data, 1, &a);
    expect_damage(&store, &to_a); /* data on level 1 */
    put_node(&store, 0, NULL, 0, &a);
    expect_damage(&store, &to_a); /* nothing */
    put_node(&store, 1, &to_a, 1, &a);
    expect_damage(&store, &to_a); /* itself */
    put_node(&store, 2, &to_b, 1, &a);
    put_node(&store, 0, &(struct ref){.kind = REF_DATA, .length = 10}, 1, &b);
    expect_damage(&store, &to_a); /* a level left out */
    put_node(&store, 15, &to_b, 1, &a);
    put_node(&store, 15, &to_a, 1, &b);
    expect_damage(&store, &to_a); /* in a circle */
}
