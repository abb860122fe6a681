#include "transporter/pipeline/node_loader.h"

#include "common/base/alloc.h"

#include <string.h>

enum { AHEAD = 32, KEPT = 8 };
#define BESIDE SIZE_MAX

const struct hash node_loader_root = {{0}};

struct slot {
    size_t index; /* among the siblings; BESIDE: it is none of them */
    struct hash content;
    struct hash id;
    struct buf node;
    bool here;
};

/* A node that was asked for out of order: on the way of a seek, and then of the next one too. */
struct kept {
    struct hash content;
    struct buf node; /* empty: none */
};

struct node_loader {
    struct opener_thread *thread;
    struct opener *opener;
    const struct inlet *inlet;
    struct hash root;
    struct hash *siblings; /* children of the tree node that was loaded last */
    size_t sibling_count, sibling_cap;
    size_t last;  /* index of the sibling that was asked for last; BESIDE: none of these yet */
    size_t ahead; /* how many to bring at once: grows while they are asked for in order */
    struct slot slots[AHEAD];
    size_t slot_count;
    struct err bad; /* why the copy of the wanted node that came does not open */
    struct kept kept[KEPT];
    size_t next_kept; /* is replaced next */
};

bool node_loader_new(struct opener *opener, const struct inlet *inlet, const struct hash *root,
                     struct node_loader **out, struct err *err)
{
    AUTO(node_loader) struct node_loader *loader = xcalloc(1, sizeof(*loader));
    if (!opener_thread_new(opener, &loader->thread, err)) return false;
    loader->opener = opener;
    loader->inlet = inlet;
    loader->root = *root;
    loader->last = BESIDE;
    loader->ahead = 1;
    *out = loader;
    loader = NULL;
    return true;
}

void node_loader_free(struct node_loader *loader)
{
    if (!loader) return;
    opener_thread_free(loader->thread);
    for (size_t i = 0; i < AHEAD; i++)
        buf_deinit(&loader->slots[i].node);
    for (size_t i = 0; i < KEPT; i++)
        buf_deinit(&loader->kept[i].node);
    free(loader->siblings);
    free(loader);
}

static bool remember_child(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    (void)err;
    struct node_loader *loader = arg;
    if (type != FRAME_NODE) return true;
    if (loader->sibling_count == loader->sibling_cap) {
        loader->sibling_cap = loader->sibling_cap ? 2 * loader->sibling_cap : 64;
        loader->siblings = xreallocarray(loader->siblings, loader->sibling_cap, sizeof(*loader->siblings));
    }
    loader->siblings[loader->sibling_count++] = *content;
    return true;
}

/* Only tree nodes: what a leaf refers to is read by whoever wants the content. */
static bool remember_children(struct node_loader *loader, const struct buf *node, struct err *err)
{
    struct node_header header;
    struct reader body;
    if (!node_header_decode(buf_span(node), &header, &body, err)) return false;
    if (header.kind != NODE_TREE) return true;
    loader->sibling_count = 0;
    loader->last = BESIDE;
    enum node_kind kind;
    return node_children(buf_span(node), &kind, remember_child, loader, err);
}

static struct slot *slot_of(struct node_loader *loader, const struct hash *content)
{
    for (size_t i = 0; i < loader->slot_count; i++)
        if (hash_eq(&loader->slots[i].content, content)) return &loader->slots[i];
    return NULL;
}

static void plan_slot(struct node_loader *loader, const struct hash *content, size_t index)
{
    if (slot_of(loader, content)) return;
    struct slot *slot = &loader->slots[loader->slot_count++];
    slot->index = index;
    slot->content = *content;
    slot->id = opener_chunk_id(loader->opener, FRAME_NODE, content);
    slot->here = false;
}

/* index among the siblings, or BESIDE */
static size_t index_of(const struct node_loader *loader, const struct hash *content)
{
    for (size_t i = 0; i < loader->sibling_count; i++)
        if (hash_eq(&loader->siblings[i], content)) return i;
    return BESIDE;
}

static void plan_window(struct node_loader *loader, const struct hash *content)
{
    size_t at = index_of(loader, content);
    bool in_order = at != BESIDE && loader->last != BESIDE && at == loader->last + 1;
    loader->ahead = !in_order ? 1 : loader->ahead * 2 < AHEAD ? loader->ahead * 2 : AHEAD;
    loader->slot_count = 0;
    plan_slot(loader, content, at);
    if (at == BESIDE) return;
    for (at++; at < loader->sibling_count && loader->slot_count < loader->ahead; at++)
        plan_slot(loader, &loader->siblings[at], at);
}

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct node_loader *loader = arg;
    /* it may be that of a node ahead; the wanted node says that its envelope is missing */
    return opener_take_envelope(loader->opener, envelope, err);
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct node_loader *loader = arg;
    for (size_t i = 0; i < loader->slot_count; i++) {
        struct slot *slot = &loader->slots[i];
        if (!hash_eq(&slot->id, id)) continue;
        struct err why = {0};
        slot->here = opener_frame(loader->thread, id, frame, &slot->node, &why);
        /* only the node that is wanted now may fail the load; one ahead is asked for again in its turn */
        if (!slot->here && i == 0) loader->bad = why;
        return true;
    }
    return err_set(err, ERR_PROTOCOL, "a node that was not asked for");
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct node_loader *loader = arg;
    return !hash_eq(&loader->slots[0].id, id) || opener_missing(why, err);
}

static bool fetch_window(struct node_loader *loader, struct err *err)
{
    struct hash ids[AHEAD];
    for (size_t i = 0; i < loader->slot_count; i++)
        ids[i] = loader->slots[i].id;
    struct inlet_sink sink = {.envelope = on_envelope,
                              .frame = on_frame,
                              .missing = on_missing,
                              .arg = loader,
                              .opener = loader->opener};
    struct slot *wanted = &loader->slots[0];
    loader->bad = (struct err){0};
    if (!loader->inlet->ops->fetch(loader->inlet->self, ids, loader->slot_count, &sink, err)) return false;
    if (loader->bad.code != ERR_NONE) {
        if (!opener_other_copy(loader->thread, loader->inlet, &wanted->id, &wanted->node, &wanted->here, err))
            return false;
        if (!wanted->here) *err = loader->bad;
        return wanted->here;
    }
    return wanted->here || err_set(err, ERR_DAMAGED, "the repository side told nothing about a node");
}

static bool recall(struct node_loader *loader, const struct hash *content, struct buf *node)
{
    for (size_t i = 0; i < KEPT; i++) {
        const struct kept *kept = &loader->kept[i];
        if (kept->node.len == 0 || !hash_eq(&kept->content, content)) continue;
        size_t at = index_of(loader, content);
        if (at != BESIDE) loader->last = at;
        loader->ahead = 1;
        buf_clear(node);
        buf_put_span(node, buf_span(&kept->node));
        return true;
    }
    return false;
}

static void keep(struct node_loader *loader, const struct slot *slot)
{
    struct kept *kept = &loader->kept[loader->next_kept];
    loader->next_kept = (loader->next_kept + 1) % KEPT;
    kept->content = slot->content;
    buf_clear(&kept->node);
    buf_put_span(&kept->node, buf_span(&slot->node));
}

static bool bring(struct node_loader *loader, const struct hash *content, struct buf *node, struct err *err)
{
    if (hash_is_zero(content)) return opener_root(loader->thread, loader->inlet, &loader->root, node, err);
    struct slot *slot = slot_of(loader, content);
    if ((!slot || !slot->here) && recall(loader, content, node)) return true;
    if (!slot || !slot->here) {
        plan_window(loader, content);
        if (!fetch_window(loader, err)) {
            loader->slot_count = 0;
            return false;
        }
        slot = &loader->slots[0];
        if (loader->ahead == 1) keep(loader, slot);
    }
    if (slot->index != BESIDE) loader->last = slot->index;
    struct buf old = *node;
    *node = slot->node;
    slot->node = old;
    slot->here = false;
    return true;
}

bool node_loader_load(void *arg, const struct hash *content, struct buf *node, struct err *err)
{
    struct node_loader *loader = arg;
    return bring(loader, content, node, err) && remember_children(loader, node, err);
}
