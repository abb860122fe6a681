/* Manifests of very many entries, and of very long paths. */
#include "store.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <string.h>

static void million(struct manifest_writer *writer, size_t *most)
{
    AUTO(buf) struct buf encoded = {0};
    struct err err;
    sample_add(writer, &(struct sample){.parent = "", .name = "dir", .type = ENTRY_DIRECTORY});
    for (unsigned i = 0; i < 1000000; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%07u", i);
        buf_clear(&encoded);
        sample_encode(&(struct sample){.parent = "dir", .name = name, .type = ENTRY_FILE, .size = 100},
                      &encoded);
        cr_assert(manifest_add(writer, span_str("dir"), buf_span(&encoded), &err), "%s", err.text);
        if (i % 1000) continue;
        size_t used = mallinfo2().uordblks;
        if (used > *most) *most = used;
    }
}

Test(manifest_large, a_directory_of_a_million_names_takes_little_memory)
{
    AUTO(store) struct store store = {.forget = true};
    size_t before = mallinfo2().uordblks, most = before;
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, &store);
    million(writer, &most);
    (void)manifest_close(writer);
    cr_assert_lt(most - before, 1u << 20, "%zu", most - before);
    cr_assert_gt(store.puts, 1000);
}

Test(manifest_large, a_directory_of_a_million_names_comes_back_through_two_levels)
{
    AUTO(store) struct store store = {0};
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, &store);
    size_t most = 0;
    million(writer, &most);
    struct hash root = manifest_close(writer);
    AUTO(manifest_reader) struct manifest_reader *reader = store_reader(&store, &root);
    struct node_header header;
    struct reader body;
    struct err err;
    struct buf *top = store_find(&store, &manifest_reader_root(reader)->top);
    cr_assert(node_header_decode(buf_span(top), &header, &body, &err), "%s", err.text);
    cr_assert_eq(header.level, 2);
    expect_next(reader, &(struct sample){.parent = "", .name = "dir", .type = ENTRY_DIRECTORY});
    for (unsigned i = 0; i < 1000000; i++) {
        struct span path;
        struct entry entry;
        bool found;
        if (!manifest_next(reader, &path, &entry, &found, &err) || !found)
            cr_assert_fail("entry %u: %s", i, err.text);
    }
    expect_end(reader);
    store.loads = 0;
    cr_assert(manifest_seek(reader, span_str("dir/0777777"), &err), "%s", err.text);
    expect_next(reader,
                &(struct sample){.parent = "dir", .name = "0777777", .type = ENTRY_FILE, .size = 100});
    cr_assert_eq(store.loads, 3);
}

Test(manifest_large, long_paths_close_tree_nodes_early)
{
    AUTO(store) struct store store = {0};
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, &store);
    AUTO(buf) struct buf parent = {0}, name = {0}, encoded = {0};
    struct err err;
    memset(buf_grow(&name, 250), 'n', 250);
    for (unsigned depth = 1; depth <= 240; depth++) {
        const struct entry entry = {
            .type = ENTRY_DIRECTORY, .depth = (uint16_t)depth, .name = buf_span(&name)};
        buf_clear(&encoded);
        cr_assert(entry_encode(&entry, &encoded, &err), "%s", err.text);
        cr_assert(manifest_add(writer, buf_span(&parent), buf_span(&encoded), &err), "%s", err.text);
        if (depth > 1) buf_put_u8(&parent, '/');
        buf_put_span(&parent, buf_span(&name));
    }
    for (unsigned i = 0; i < 40000; i++) {
        char number[16];
        (void)snprintf(number, sizeof(number), "%06u", i);
        const struct entry entry = {.type = ENTRY_FIFO, .depth = 241, .name = span_str(number)};
        buf_clear(&encoded);
        cr_assert(entry_encode(&entry, &encoded, &err), "%s", err.text);
        cr_assert(manifest_add(writer, buf_span(&parent), buf_span(&encoded), &err), "%s", err.text);
    }
    struct hash root = manifest_close(writer);
    for (size_t i = 0; i < store.slots; i++)
        cr_assert_leq(store.nodes[i].node.len, NODE_MAX_LEN / 2 + TREE_CHILD_FIXED_LEN + PATH_LEN_MAX);
    AUTO(manifest_reader) struct manifest_reader *reader = store_reader(&store, &root);
    for (unsigned i = 0; i < 40240; i++) {
        struct span path;
        struct entry entry;
        bool found;
        cr_assert(manifest_next(reader, &path, &entry, &found, &err), "%s", err.text);
        cr_assert(found);
    }
    expect_end(reader);
}
