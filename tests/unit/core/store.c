#include "store.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

void store_deinit(struct store *store)
{
    for (size_t i = 0; i < store->slots; i++)
        buf_deinit(&store->nodes[i].node);
    free(store->nodes);
    *store = (struct store){0};
}

static struct stored *slot_of(struct store *store, const struct hash *content)
{
    size_t at = (size_t)le64_get(content->bytes) & (store->slots - 1);
    while (store->nodes[at].node.len > 0 && !hash_eq(&store->nodes[at].content, content))
        at = (at + 1) & (store->slots - 1);
    return &store->nodes[at];
}

static void grow(struct store *store)
{
    if (store->slots > store->count * 2) return;
    struct store bigger = {.slots = store->slots ? store->slots * 2 : 64};
    bigger.nodes = xcalloc(bigger.slots, sizeof(*bigger.nodes));
    for (size_t i = 0; i < store->slots; i++)
        if (store->nodes[i].node.len > 0) *slot_of(&bigger, &store->nodes[i].content) = store->nodes[i];
    free(store->nodes);
    store->nodes = bigger.nodes;
    store->slots = bigger.slots;
}

void store_put_as(struct store *store, const struct hash *content, struct span node)
{
    grow(store);
    struct stored *slot = slot_of(store, content);
    if (slot->node.len == 0) store->count++;
    slot->content = *content;
    buf_clear(&slot->node);
    buf_put_span(&slot->node, node);
}

bool store_put(void *arg, struct span node, struct hash *content, struct err *err)
{
    struct store *store = arg;
    store->puts++;
    if (store->fail_at && store->puts + store->loads == store->fail_at)
        return err_set(err, ERR_NO_SPACE, "the store is full");
    *content = hash_of(node);
    if (!store->forget) store_put_as(store, content, node);
    return true;
}

struct buf *store_find(struct store *store, const struct hash *content)
{
    if (store->slots == 0) return NULL;
    struct stored *slot = slot_of(store, content);
    return slot->node.len > 0 ? &slot->node : NULL;
}

bool store_load(void *arg, const struct hash *content, struct buf *node, struct err *err)
{
    struct store *store = arg;
    store->loads++;
    if (store->fail_at && store->puts + store->loads == store->fail_at)
        return err_set(err, ERR_UNREACHABLE, "the store is gone");
    const struct buf *found = store_find(store, content);
    if (!found) return err_set(err, ERR_NOT_FOUND, "no such node");
    buf_clear(node);
    buf_put_span(node, buf_span(found));
    return true;
}

void sample_encode(const struct sample *sample, struct buf *out)
{
    AUTO(buf) struct buf refs = {0};
    struct entry entry = {.type = sample->type,
                          .mode = 0644,
                          .mtime_ns = sample->mtime_ns,
                          .size = sample->size,
                          .depth = (uint16_t)(path_depth(span_str(sample->parent)) + 1),
                          .name = span_str(sample->name)};
    if (sample->type == ENTRY_SYMLINK) entry.target = span_str("anywhere");
    if (sample->size > 0) {
        struct ref ref = {.length = sample->size, .kind = REF_DATA};
        ref.content = hash_of(entry.name);
        ref_encode(&ref, &refs);
        entry.ref_count = 1;
        entry.refs = buf_span(&refs);
    }
    struct err err;
    cr_assert(entry_encode(&entry, out, &err), "%s", err.text);
}

void sample_add(struct manifest_writer *writer, const struct sample *sample)
{
    AUTO(buf) struct buf encoded = {0};
    struct err err;
    sample_encode(sample, &encoded);
    cr_assert(manifest_add(writer, span_str(sample->parent), buf_span(&encoded), &err), "%s", err.text);
}

struct hash manifest_close(struct manifest_writer *writer)
{
    struct manifest_root root = {.kind = OBJECT_TREE};
    struct hash content;
    struct err err;
    cr_assert(manifest_finish(writer, &root, &content, &err), "%s", err.text);
    return content;
}

struct manifest_reader *store_reader(struct store *store, const struct hash *root)
{
    struct manifest_reader *reader = NULL;
    struct err err;
    cr_assert(manifest_reader_new(store_load, store, root, &reader, &err), "%s", err.text);
    return reader;
}

void sample_path(const struct sample *sample, struct buf *out)
{
    buf_clear(out);
    buf_printf(out, "%s%s%s", sample->parent, *sample->parent ? "/" : "", sample->name);
}

void expect_next(struct manifest_reader *reader, const struct sample *sample)
{
    AUTO(buf) struct buf path = {0};
    struct span found_path;
    struct entry entry;
    bool found;
    struct err err;
    sample_path(sample, &path);
    cr_assert(manifest_next(reader, &found_path, &entry, &found, &err), "%s: %s", buf_cstr(&path), err.text);
    cr_assert(found, "%s", buf_cstr(&path));
    cr_assert(span_eq(found_path, buf_span(&path)), "%s", buf_cstr(&path));
    cr_assert_eq(entry.type, sample->type);
    cr_assert_eq(entry.size, sample->size);
    cr_assert_eq(entry.mtime_ns, sample->mtime_ns);
}

void expect_end(struct manifest_reader *reader)
{
    struct span path;
    struct entry entry;
    bool found = true;
    struct err err;
    cr_assert(manifest_next(reader, &path, &entry, &found, &err), "%s", err.text);
    cr_assert(!found);
}
