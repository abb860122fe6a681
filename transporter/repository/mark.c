#include "transporter/repository/mark.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "transporter/repository/domain_sets.h"
#include "transporter/repository/frame_reader.h"

#include <string.h>

enum { LOOKED_UP_MAX = 1 << 20 };

struct marking {
    struct repository *repository;
    struct live_set *live; /* what is referred to; NULL: where it lies is wanted */
    bool nothing_lost;     /* when it began: what a point needs is there */
    bool passed_over;      /* a node that is nowhere */
    bool *wanted;          /* by pack */
    uint32_t pack_count;
    struct buf places;
    struct domain_sets met;  /* nodes */
    struct id_set looked_up; /* data whose places are wanted already: one with many copies, named by many
                                nodes, would be looked up for ever */
    struct hash *queue;      /* nodes of one point to be walked */
    size_t count, cap;
};

void mark_deinit(struct mark *mark)
{
    live_set_deinit(&mark->live);
}

static void marking_deinit(struct marking *marking)
{
    domain_sets_deinit(&marking->met);
    id_set_deinit(&marking->looked_up);
    buf_deinit(&marking->places);
    free(marking->queue);
}
DEFINE_AUTO_IN_PLACE(marking, struct marking, marking_deinit)

/* Any copy of a node is followed, and somebody may have made one that names what was never here: where
 * nothing is lost, no point needs that. Else it may be what was lost, perhaps just now, and no sweep goes on
 * without it. */
static bool is_planted(struct marking *marking, struct index_view *view, const uint8_t *id, uint32_t domain)
{
    struct hash node;
    struct index_location place;
    struct index_totals totals;
    memcpy(node.bytes, id, HASH_LEN);
    if (!marking->nothing_lost ||
        index_locate_type(view, &node, domain, INDEX_FOR_READING, FRAME_NODE, &place))
        return false;
    marking->passed_over = true;
    index_totals(marking->repository->index, &totals);
    return totals.bad == 0;
}

/* The number of lost packs follows the index: of one that was lost in the moment between, it tells at the
 * end.
 */
static bool is_still_certain(const struct marking *marking, struct err *err)
{
    return !marking->passed_over || reconcile_nothing_lost(marking->repository) ||
           err_set(err, ERR_DAMAGED,
                   "packs were lost or found damaged meanwhile: what points refer to cannot be told");
}

static void add_node(struct marking *marking, struct id_set *met, const uint8_t *id)
{
    if (!id_set_add(met, id)) return;
    if (marking->live) live_set_add(marking->live, id);
    if (marking->count == marking->cap) {
        marking->cap = marking->cap ? 2 * marking->cap : 256;
        marking->queue = xreallocarray(marking->queue, marking->cap, sizeof(*marking->queue));
    }
    memcpy(marking->queue[marking->count++].bytes, id, HASH_LEN);
}

static void want_packs(struct marking *marking)
{
    for (size_t at = 0; at < marking->places.len; at += sizeof(struct index_location)) {
        struct index_location place;
        memcpy(&place, marking->places.data + at, sizeof(place));
        if (place.pack < marking->pack_count) marking->wanted[place.pack] = true;
    }
}

static bool want_places(struct marking *marking, struct index_view *view, const uint8_t *id, uint32_t domain,
                        struct err *err)
{
    struct hash chunk;
    memcpy(chunk.bytes, id, HASH_LEN);
    for (struct index_part part = {0}; !part.ended;) {
        buf_clear(&marking->places);
        if (!index_locate_part(view, &chunk, domain, INDEX_FOR_TRACING, &part, &marking->places, err))
            return false;
        want_packs(marking);
    }
    return true;
}

static bool want_data(struct marking *marking, struct index_view *view, const uint8_t *id, uint32_t domain,
                      struct err *err)
{
    if (marking->looked_up.count >= LOOKED_UP_MAX) id_set_clear(&marking->looked_up);
    return !id_set_add(&marking->looked_up, id) || want_places(marking, view, id, domain, err);
}

static bool note_data(struct marking *marking, const struct frame_view *frame, uint32_t domain,
                      struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    bool ok =
        marking->live || frame->data_ids == 0 || index_view_open(marking->repository->index, &view, err);
    for (size_t i = 0; ok && i < frame->data_ids; i++) {
        const uint8_t *id = frame->clear_data + i * HASH_LEN;
        if (marking->live)
            live_set_add(marking->live, id);
        else
            ok = want_data(marking, view, id, domain, err);
    }
    return ok;
}

static bool note_nodes(struct marking *marking, const struct frame_view *frame, uint32_t domain,
                       struct id_set *met, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    if (frame->node_ids > 0 && !index_view_open(marking->repository->index, &view, err)) return false;
    for (size_t i = 0; i < frame->node_ids; i++) {
        const uint8_t *id = frame->clear_nodes + i * HASH_LEN;
        if (!id_set_has(met, id) && !is_planted(marking, view, id, domain)) add_node(marking, met, id);
    }
    return true;
}

/* One copy of a node. */
static bool walk_copy(struct marking *marking, const struct hash *id, const struct index_location *at,
                      uint32_t domain, struct id_set *met, struct err *err)
{
    struct index_pack pack;
    struct frame_view frame;
    AUTO(buf) struct buf bytes = {0};
    if (!index_pack_get(marking->repository->index, at->pack, &pack, err) ||
        !frame_reader_record(marking->repository, &pack, RECORD_FRAME, at->offset, at->len, &bytes, err) ||
        !frame_parse(buf_span(&bytes), &frame, err))
        return false;
    if (frame.type != FRAME_NODE || !hash_eq(&frame.chunk, id))
        return err_set(err, ERR_DAMAGED, "another frame than the one that was there");
    return note_nodes(marking, &frame, domain, met, err) && note_data(marking, &frame, domain, err);
}

/* The copies of a node that come next. */
static bool next_copies(struct marking *marking, const struct hash *id, uint32_t domain,
                        struct index_part *part, struct buf *places, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(marking->repository->index, &view, err) ||
        (!part->begun && !marking->live && !want_places(marking, view, id->bytes, domain, err)))
        return false;
    return index_locate_part(view, id, domain, INDEX_FOR_READING, part, places, err);
}

static bool walk_node(struct marking *marking, const struct hash *id, uint32_t domain, struct id_set *met,
                      struct err *err)
{
    size_t walked = 0;
    struct err why;
    (void)err_set(&why, ERR_NOT_FOUND, "it is in no pack");
    for (struct index_part part = {0}; !part.ended;) {
        AUTO(buf) struct buf places = {0};
        if (!next_copies(marking, id, domain, &part, &places, err)) return false;
        for (size_t at = 0; at < places.len; at += sizeof(struct index_location)) {
            struct index_location place;
            memcpy(&place, places.data + at, sizeof(place));
            if (place.type == FRAME_NODE) walked += walk_copy(marking, id, &place, domain, met, &why);
        }
    }
    if (walked > 0) return true;
    char digits[2 * HASH_LEN + 1];
    hex_encode(id->bytes, HASH_LEN, digits);
    *err = why;
    return err_wrap(err, "the node %s", digits);
}

static bool point_root(struct repository *repository, const struct repository_point *point, struct hash *root,
                       uint32_t *domain, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(stored_point) Sealift__PointFile *file = NULL;
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    if (!repository_point_read(repository, &point->point, &bytes, err) ||
        !stored_point_decode(buf_span(&bytes), &file, err) || !stored_point_open(file, &body, err))
        return false;
    *root = stored_hash(&body->root);
    *domain = 0;
    if (repository->kind == REPOSITORY_PLAINTEXT) return true;
    struct hash name = stored_hash(&body->domain_id);
    return index_domain(repository->index, &name, domain, err);
}

static bool walk_point(struct marking *marking, const struct repository_point *point, struct err *err)
{
    struct hash root = {{0}};
    uint32_t domain = 0;
    if (!point_root(marking->repository, point, &root, &domain, err)) return false;
    struct id_set *met = domain_sets_in(&marking->met, domain);
    marking->count = 0;
    add_node(marking, met, root.bytes);
    for (size_t at = 0; at < marking->count; at++) {
        struct hash node = marking->queue[at]; /* the array may move meanwhile */
        if (!walk_node(marking, &node, domain, met, err)) return false;
    }
    return true;
}

static bool walk_named(struct marking *marking, const struct repository_point *point, struct err *err)
{
    if (walk_point(marking, point, err)) return true;
    char digits[2 * ID_LEN + 1];
    hex_encode(point->point.bytes, ID_LEN, digits);
    return err_wrap(err, "what the point %s refers to cannot be told", digits);
}

static bool walk_all(struct marking *marking, struct err *err)
{
    struct repository_point point = {0};
    for (uint64_t number = 0; index_point_from(marking->repository->index, number, &point, err);
         number = point.number + 1)
        if (!walk_named(marking, &point, err)) return false;
    return err->code == ERR_NOT_FOUND;
}

bool mark_points(struct repository *repository, struct mark *out, struct err *err)
{
    struct index_totals totals;
    index_totals(repository->index, &totals);
    AUTO(mark) struct mark marked = {.head = repository_head(repository).number};
    live_set_init(&marked.live, totals.frames);
    AUTO(marking)
    struct marking marking = {
        .repository = repository, .live = &marked.live, .nothing_lost = reconcile_nothing_lost(repository)};
    if (!walk_all(&marking, err) || !is_still_certain(&marking, err)) return false;
    *out = marked;
    marked = (struct mark){0};
    return true;
}

bool mark_point_packs(struct repository *repository, const struct repository_point *point, bool *wanted,
                      uint32_t count, struct err *err)
{
    AUTO(marking)
    struct marking marking = {.repository = repository,
                              .wanted = wanted,
                              .pack_count = count,
                              .nothing_lost = reconcile_nothing_lost(repository)};
    return walk_named(&marking, point, err) && is_still_certain(&marking, err);
}
