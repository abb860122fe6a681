#include "transporter/repository/closure.h"

#include "common/base/alloc.h"
#include "transporter/repository/frame_reader.h"

#include <string.h>

enum { WINDOW = 4096, LOOKED_UP_MAX = 1 << 20 };

struct walk {
    struct repository *repository;
    struct closure *closure;
    uint32_t domain;
    enum index_use use;
    struct id_set
        looked_up; /* data: one with many copies, named by many nodes, would be looked up for ever */
};

static void walk_deinit(struct walk *walk)
{
    id_set_deinit(&walk->looked_up);
}
DEFINE_AUTO_IN_PLACE(walk, struct walk, walk_deinit)

void closure_deinit(struct closure *closure)
{
    free(closure->nodes);
    id_set_deinit(&closure->met);
    buf_deinit(&closure->missing);
    id_set_deinit(&closure->missing_met);
    *closure = (struct closure){0};
}

static bool is_full(const struct closure *closure)
{
    return closure->missing.len >= CLOSURE_MAX_MISSING * HASH_LEN ||
           closure->journal_count >= CLOSURE_MAX_JOURNALS;
}

static void add_missing(struct closure *closure, const uint8_t *id)
{
    if (is_full(closure) || !id_set_add(&closure->missing_met, id)) return;
    buf_put(&closure->missing, id, HASH_LEN);
}

static void add_journal(struct closure *closure, uint32_t pack)
{
    for (size_t i = 0; i < closure->journal_count; i++)
        if (closure->journals[i] == pack) return;
    if (closure->journal_count < CLOSURE_MAX_JOURNALS) closure->journals[closure->journal_count++] = pack;
}

static void keep_node(struct closure *closure, const struct hash *node)
{
    if (closure->node_count == closure->node_cap) {
        closure->node_cap = closure->node_cap ? 2 * closure->node_cap : 256;
        closure->nodes = xreallocarray(closure->nodes, closure->node_cap, sizeof(*closure->nodes));
    }
    closure->nodes[closure->node_count++] = *node;
}

/* What is remembered costs whoever wrote it a frame here: naming what is not there takes no memory. */
static bool add_node(struct walk *walk, struct index_view *view, const uint8_t *id, struct err *err)
{
    struct closure *closure = walk->closure;
    size_t most = closure->most_nodes ? closure->most_nodes : CLOSURE_MAX_NODES;
    struct hash node;
    struct index_location place;
    memcpy(node.bytes, id, HASH_LEN);
    if (id_set_has(&closure->met, id) || index_is_closed(view, &node, walk->domain)) return true;
    if (!index_locate_type(view, &node, walk->domain, walk->use, FRAME_NODE, &place)) {
        add_missing(closure, id);
        return true;
    }
    if (closure->node_count == most)
        return err_set(err, ERR_LIMIT,
                       "the point refers to more than %zu nodes that no earlier one had: make several of it",
                       most);
    (void)id_set_add(&closure->met, id);
    keep_node(closure, &node);
    return true;
}

static void check_data(struct walk *walk, struct index_view *view, const uint8_t *id)
{
    struct hash chunk;
    struct index_location place;
    if (walk->looked_up.count >= LOOKED_UP_MAX) id_set_clear(&walk->looked_up);
    if (!id_set_add(&walk->looked_up, id)) return;
    memcpy(chunk.bytes, id, HASH_LEN);
    if (!index_locate_type(view, &chunk, walk->domain, walk->use, FRAME_DATA, &place))
        add_missing(walk->closure, id);
    else if (place.state == INDEX_OPEN)
        add_journal(walk->closure, place.pack);
}

static bool is_node(void *arg, const struct frame_read *frame, struct err *why)
{
    return frame->view.type == FRAME_NODE || err_set(why, ERR_DAMAGED, "a data frame under a node's id");
}

static bool walk_node(void *arg, const struct frame_read *frame, struct err *err)
{
    struct walk *walk = arg;
    const _Atomic bool *cancelled = walk->closure->cancelled;
    AUTO(index_view) struct index_view *view = NULL;
    if (cancelled && atomic_load(cancelled)) return err_set(err, ERR_CANCELLED, "cancelled");
    if (!index_view_open(walk->repository->index, &view, err)) return false;
    if (frame->at.state == INDEX_OPEN) add_journal(walk->closure, frame->at.pack);
    for (size_t i = 0; i < frame->view.node_ids; i++)
        if (!add_node(walk, view, frame->view.clear_nodes + i * HASH_LEN, err)) return false;
    for (size_t i = 0; i < frame->view.data_ids; i++)
        check_data(walk, view, frame->view.clear_data + i * HASH_LEN);
    return true;
}

static bool node_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct walk *walk = arg;
    add_missing(walk->closure, id->bytes);
    return true;
}

static bool start(struct walk *walk, const struct hash *root, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(walk->repository->index, &view, err)) return false;
    return add_node(walk, view, root->bytes, err);
}

bool closure_walk(struct repository *repository, const struct hash *root, uint32_t domain, enum index_use use,
                  struct closure *closure, struct err *err)
{
    AUTO(walk)
    struct walk walk = {.repository = repository, .closure = closure, .domain = domain, .use = use};
    struct frame_reader reader = {.repository = repository,
                                  .domain = domain,
                                  .use = use,
                                  .frame = walk_node,
                                  .missing = node_missing,
                                  .usable = is_node,
                                  .arg = &walk};
    if (!start(&walk, root, err)) return false;
    AUTO(free) struct hash *window = xreallocarray(NULL, WINDOW, sizeof(*window));
    for (size_t at = 0; at < closure->node_count && !is_full(closure);) {
        size_t count = closure->node_count - at < WINDOW ? closure->node_count - at : WINDOW;
        memcpy(window, closure->nodes + at, count * sizeof(*window)); /* the array may move meanwhile */
        if (!frame_reader_run(&reader, window, count, err)) return false;
        at += count;
    }
    return true;
}
