/* Writing the references of a content, into as many refs nodes as it takes. */
#include "transporter/core/refs.h"

#include "common/base/alloc.h"

#include <string.h>

/* A level holds its references until they are too many for the entry; from then on it hands them up
 * in nodes. */
struct level {
    struct buf items;
    uint32_t count;
    bool in_nodes;
    uint64_t length; /* of `items` while in_nodes */
};

struct refs_writer {
    manifest_node_fn *node;
    void *arg;
    struct level levels[NODE_LEVEL_MAX + 1];
};

struct refs_writer *refs_writer_new(manifest_node_fn *node, void *arg)
{
    struct refs_writer *writer = xcalloc(1, sizeof(*writer));
    writer->node = node;
    writer->arg = arg;
    return writer;
}

void refs_writer_free(struct refs_writer *writer)
{
    if (!writer) return;
    for (unsigned i = 0; i <= NODE_LEVEL_MAX; i++)
        buf_deinit(&writer->levels[i].items);
    free(writer);
}

static bool level_add(struct refs_writer *writer, unsigned at, const struct ref *ref, struct err *err);

/* Appends to an open node, which begins with its header. */
static void node_append(struct level *level, const struct ref *ref)
{
    if (level->count == 0) (void)buf_grow(&level->items, NODE_HEADER_LEN);
    ref_encode(ref, &level->items);
    level->count++;
    level->length += ref->length;
}

static bool node_emit(struct refs_writer *writer, unsigned at, struct err *err)
{
    struct level *level = &writer->levels[at];
    const struct node_header header = {.kind = NODE_REFS, .level = at, .count = level->count};
    node_header_encode(&header, level->items.data);
    struct ref up = {.kind = REF_NODE, .length = level->length};
    if (!writer->node(writer->arg, buf_span(&level->items), &up.content, err)) return false;
    buf_clear(&level->items);
    level->count = 0;
    level->length = 0;
    return level_add(writer, at + 1, &up, err);
}

/* Holes all look alike: they would end every node of a sparse file. */
static bool ends_node(const struct level *level, const struct ref *ref)
{
    if (level->count >= REFS_NODE_MAX) return true;
    return level->count >= 64 && ref->kind != REF_HOLE && ref->content.bytes[0] == 0;
}

static bool add_in_node(struct refs_writer *writer, unsigned at, const struct ref *ref, struct err *err)
{
    struct level *level = &writer->levels[at];
    node_append(level, ref);
    return ends_node(level, ref) ? node_emit(writer, at, err) : true;
}

/* Hands what the level held so far to its nodes. */
static bool spill(struct refs_writer *writer, unsigned at, struct err *err)
{
    if (at == NODE_LEVEL_MAX) return err_set(err, ERR_LIMIT, "a content of too many chunks");
    struct level *level = &writer->levels[at];
    AUTO(buf) struct buf held = level->items;
    level->items = (struct buf){0};
    level->count = 0;
    level->length = 0;
    level->in_nodes = true;
    struct reader reader = reader_of(buf_span(&held));
    while (reader_left(&reader) > 0) {
        struct ref ref;
        if (!ref_decode(&reader, &ref, err)) return false;
        if (!add_in_node(writer, at, &ref, err)) return false;
    }
    return true;
}

static bool level_add(struct refs_writer *writer, unsigned at, const struct ref *ref, struct err *err)
{
    struct level *level = &writer->levels[at];
    if (!level->in_nodes && level->count < REFS_INLINE_MAX) {
        ref_encode(ref, &level->items);
        level->count++;
        return true;
    }
    if (!level->in_nodes && !spill(writer, at, err)) return false;
    return add_in_node(writer, at, ref, err);
}

bool refs_add(struct refs_writer *writer, const struct ref *ref, struct err *err)
{
    return level_add(writer, 0, ref, err);
}

bool refs_finish(struct refs_writer *writer, struct buf *out, uint32_t *count, uint8_t *flags,
                 struct err *err)
{
    unsigned at = 0;
    for (; writer->levels[at].in_nodes; at++)
        if (writer->levels[at].count > 0 && !node_emit(writer, at, err)) return false;
    struct level *top = &writer->levels[at];
    buf_put_span(out, buf_span(&top->items));
    *count = top->count;
    *flags = at > 0 ? ENTRY_REFS_IN_NODES : 0;
    for (unsigned i = 0; i <= at; i++) {
        struct level *level = &writer->levels[i];
        buf_clear(&level->items);
        level->count = 0;
        level->length = 0;
        level->in_nodes = false;
    }
    return true;
}
