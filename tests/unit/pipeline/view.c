#include "view.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

struct source {
    const struct keys *keys;
    const struct fake_outlet *fake;
    struct buf seen; /* struct hash each: of data chunks */
    uint64_t seen_bytes;
};

/* Counts a chunk the first time. */
static void see(struct source *source, const struct hash *content, size_t len)
{
    const struct hash *seen = (const struct hash *)(const void *)source->seen.data;
    for (size_t i = source->seen.len / sizeof(*seen); i > 0; i--)
        if (hash_eq(&seen[i - 1], content)) return;
    buf_put(&source->seen, content, sizeof(*content));
    source->seen_bytes += len;
}

static bool open_by_id(const struct source *source, enum frame_type type, const struct hash *id,
                       struct buf *plain)
{
    const struct fake_chunk *chunk = fake_outlet_find(source->fake, type, id);
    return chunk && keys_open(source->keys, buf_span(&source->fake->envelope),
                              fake_outlet_bytes(source->fake, chunk), plain);
}

static bool open_content(const struct source *source, enum frame_type type, const struct hash *content,
                         struct buf *plain)
{
    struct hash id = chunk_id(source->keys->write->dedup_key->data, type, content);
    return open_by_id(source, type, &id, plain);
}

static bool load(void *arg, const struct hash *content, struct buf *node, struct err *err)
{
    if (open_content(arg, FRAME_NODE, content, node)) return true;
    return err_set(err, ERR_NOT_FOUND, "a node is missing");
}

static void add_zeros(struct hasher *hasher, uint64_t length)
{
    static const uint8_t zeros[4096];
    for (; length > 0; length -= length < sizeof(zeros) ? length : sizeof(zeros))
        hasher_add(hasher, zeros, length < sizeof(zeros) ? (size_t)length : sizeof(zeros));
}

static void read_content(struct source *source, const struct entry *entry, struct view_entry *out)
{
    AUTO(refs_reader) struct refs_reader *reader = refs_reader_new(load, source, entry->refs);
    AUTO(buf) struct buf plain = {0};
    struct hasher hasher;
    hasher_init(&hasher);
    struct err err = {0};
    struct ref ref;
    bool found = true;
    while (true) {
        cr_assert(refs_next(reader, &ref, &found, &err), "%s: %s", out->path, err.text);
        if (!found) break;
        out->refs++;
        buf_put(&out->ref_list, &ref, sizeof(ref));
        if (ref.kind == REF_HOLE) {
            out->holes++;
            add_zeros(&hasher, ref.length);
            continue;
        }
        cr_assert(open_content(source, FRAME_DATA, &ref.content, &plain), "%s: a chunk is missing",
                  out->path);
        cr_assert_leq(ref.offset + ref.length, plain.len);
        see(source, &ref.content, plain.len);
        hasher_add(&hasher, plain.data + ref.offset, (size_t)ref.length);
    }
    out->content = hasher_result(&hasher);
}

static char *text_of(struct span span)
{
    char *text = xmalloc(span.len + 1);
    if (span.len > 0) memcpy(text, span.data, span.len);
    text[span.len] = '\0';
    return text;
}

static void add_entry(struct view *view, struct source *source, struct span path, const struct entry *entry)
{
    view->entries = xreallocarray(view->entries, view->count + 1, sizeof(*view->entries));
    struct view_entry *out = &view->entries[view->count++];
    *out = (struct view_entry){
        .path = text_of(path),
        .type = entry->type,
        .flags = entry->flags,
        .mode = entry->mode,
        .size = entry->size,
        .target = text_of(entry->target),
        .xattr_count = entry->xattr_count,
        .file_hash = entry->file_hash,
    };
    if (entry->type == ENTRY_FILE) read_content(source, entry, out);
}

struct view *view_read(const struct keys *keys, const struct fake_outlet *fake)
{
    struct source source = {.keys = keys, .fake = fake};
    struct view *view = xcalloc(1, sizeof(*view));
    AUTO(buf) struct buf root = {0};
    cr_assert(open_by_id(&source, FRAME_NODE, &fake->committed.root, &root), "the root node is missing");
    struct hash content = hash_of(buf_span(&root));
    AUTO(manifest_reader) struct manifest_reader *reader = NULL;
    struct err err = {0};
    cr_assert(manifest_reader_new(load, &source, &content, &reader, &err), "%s", err.text);
    view->root = *manifest_reader_root(reader);
    struct entry entry;
    struct span path;
    bool found = true;
    while (true) {
        cr_assert(manifest_next(reader, &path, &entry, &found, &err), "%s", err.text);
        if (!found) break;
        add_entry(view, &source, path, &entry);
    }
    view->chunk_bytes = source.seen_bytes;
    buf_deinit(&source.seen);
    return view;
}

void view_free(struct view *view)
{
    if (!view) return;
    for (size_t i = 0; i < view->count; i++) {
        free(view->entries[i].path);
        free(view->entries[i].target);
        buf_deinit(&view->entries[i].ref_list);
    }
    free(view->entries);
    free(view);
}

const struct view_entry *view_find(const struct view *view, const char *path)
{
    for (size_t i = 0; i < view->count; i++)
        if (strcmp(view->entries[i].path, path) == 0) return &view->entries[i];
    return NULL;
}
