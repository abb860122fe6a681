/* The points' part of a check: which of them what is damaged kills. */
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "transporter/repository/check_state.h"
#include "transporter/repository/domain_sets.h"
#include "transporter/repository/frame_reader.h"

#include <string.h>
#define uthash_malloc(size) xmalloc(size)
#define HASH_FUNCTION HASH_FNV /* the default one falls through in a switch, which clang warns of */
#include <uthash.h>

enum { MAX_DEPTH = 64 };

/* Numbers of findings, ascending. */
struct hits {
    size_t *items;
    size_t count, cap;
};

/* A node of a dedup domain. */
struct node_key {
    struct id id;
    uint32_t domain;
};

/* A node below which something is bad. */
struct bad_node {
    struct node_key key;
    struct hits hits;
    UT_hash_handle hh;
};

enum { GOOD_MAX = 1 << 20 };

/* Points are walked one after the other; a subtree is walked once, whoever shares it. */
struct walker {
    struct check *check;
    uint32_t domain;
    struct domain_sets domains; /* nodes walked, or being walked */
    struct id_set *met;         /* those of the domain */
    struct bad_node *bad;       /* those of them that are not whole */
    struct buf places;          /* of the data chunk that is looked at */
    struct id_set good;         /* data found good already, of good_domain: many nodes may name one ... */
    uint32_t good_domain;       /* ... of which somebody has put in many copies */
};

static void hits_deinit(struct hits *hits)
{
    free(hits->items);
}
DEFINE_AUTO_IN_PLACE(hits, struct hits, hits_deinit)

static void hits_add(struct hits *hits, size_t finding)
{
    size_t at = hits->count;
    while (at > 0 && hits->items[at - 1] > finding)
        at--;
    if (at > 0 && hits->items[at - 1] == finding) return;
    if (hits->count == hits->cap) {
        hits->cap = hits->cap ? 2 * hits->cap : 4;
        hits->items = xreallocarray(hits->items, hits->cap, sizeof(*hits->items));
    }
    memmove(hits->items + at + 1, hits->items + at, (hits->count - at) * sizeof(*hits->items));
    hits->items[at] = finding;
    hits->count++;
}

static void hits_merge(struct hits *into, const struct hits *from)
{
    for (size_t i = 0; i < from->count; i++)
        hits_add(into, from->items[i]);
}

static void walker_deinit(struct walker *walker)
{
    struct bad_node *node;
    struct bad_node *next;
    HASH_ITER(hh, walker->bad, node, next)
    {
        HASH_DEL(walker->bad, node);
        hits_deinit(&node->hits);
        free(node);
    }
    domain_sets_deinit(&walker->domains);
    buf_deinit(&walker->places);
    id_set_deinit(&walker->good);
}
DEFINE_AUTO_IN_PLACE(walker, struct walker, walker_deinit)

/* --- where a frame lies --- */

static bool locate_all(struct walker *walker, const struct hash *id, struct buf *places, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    return index_view_open(walker->check->repository->index, &view, err) &&
           index_locate_all(view, id, walker->domain, INDEX_FOR_TRACING, places, err);
}

/* An id that no pack was ever known to have: all such share one finding. */
static void hit_nowhere(struct walker *walker, const struct hash *id, struct hits *hits)
{
    struct check *check = walker->check;
    if (check->lost_chunks++ == 0) {
        char digits[2 * HASH_LEN + 1];
        hex_encode(id->bytes, HASH_LEN, digits);
        check->lost_finding = check_add(check, ERR_NOT_FOUND, "packs",
                                        "chunks that points refer to are in no pack, first %s", digits);
    }
    hits_add(hits, check->lost_finding);
}

/* Whether the place is good; else why not is added. */
static bool is_good(struct walker *walker, const struct index_location *place, struct hits *hits)
{
    size_t finding;
    if (!check_find_range(walker->check, place->pack, place->offset, &finding)) return true;
    hits_add(hits, finding);
    return false;
}

static bool is_known_good(struct walker *walker, const struct hash *id)
{
    if (walker->good_domain != walker->domain || walker->good.count >= GOOD_MAX) id_set_clear(&walker->good);
    walker->good_domain = walker->domain;
    return id_set_has(&walker->good, id->bytes);
}

static bool check_data(struct walker *walker, const struct hash *id, struct hits *hits, struct err *err)
{
    AUTO(hits) struct hits why = {0};
    if (is_known_good(walker, id)) return true;
    buf_clear(&walker->places);
    if (!locate_all(walker, id, &walker->places, err)) return false;
    for (size_t at = 0; at < walker->places.len; at += sizeof(struct index_location)) {
        struct index_location place;
        memcpy(&place, walker->places.data + at, sizeof(place));
        if (place.type != FRAME_DATA || !is_good(walker, &place, &why)) continue;
        (void)id_set_add(&walker->good, id->bytes);
        return true;
    }
    if (why.count == 0) hit_nowhere(walker, id, hits);
    hits_merge(hits, &why);
    return true;
}

/* --- nodes --- */

/* The clear list of a node at one place; a place that turns out bad is a finding of its own. */
static bool read_clear(struct walker *walker, const struct hash *id, const struct index_location *place,
                       struct buf *clear, size_t *nodes, struct hits *hits)
{
    struct repository *repository = walker->check->repository;
    struct index_pack pack;
    struct err why;
    struct frame_view frame;
    AUTO(buf) struct buf bytes = {0};
    if (!index_pack_get(repository->index, place->pack, &pack, &why)) return false;
    bool good =
        frame_reader_record(repository, &pack, RECORD_FRAME, place->offset, place->len, &bytes, &why) &&
        frame_parse(buf_span(&bytes), &frame, &why);
    if (good && (frame.type != FRAME_NODE || !hash_eq(&frame.chunk, id)))
        good = err_set(&why, ERR_DAMAGED, "another frame than the one that was there");
    if (!good) {
        char name[BYTES_NAME_LEN];
        bytes_name(&pack, name);
        size_t finding =
            check_add(walker->check, why.code, name, "the node at offset %u: %s", place->offset, why.text);
        check_add_range(walker->check, place->pack, place->offset, (uint64_t)place->offset + place->len,
                        finding);
        hits_add(hits, finding);
        return false;
    }
    buf_put_span(clear, frame.clear);
    *nodes = frame.node_ids;
    return true;
}

static bool walk(struct walker *walker, const struct hash *id, unsigned depth, struct hits *hits,
                 struct err *err);

static bool walk_below(struct walker *walker, struct span clear, size_t nodes, unsigned depth,
                       struct hits *hits, struct err *err)
{
    for (size_t i = 0; i < clear.len / HASH_LEN; i++) {
        struct hash id;
        memcpy(id.bytes, clear.data + i * HASH_LEN, HASH_LEN);
        bool done = i < nodes ? walk(walker, &id, depth + 1, hits, err) : check_data(walker, &id, hits, err);
        if (!done) return false;
    }
    return true;
}

/* Of a node with several copies all are followed, as a sweep does, so that who plants a false one hides
 * nothing that the true one needs. */
static bool walk_copies(struct walker *walker, const struct hash *id, unsigned depth, struct hits *hits,
                        struct err *err)
{
    AUTO(buf) struct buf places = {0};
    AUTO(hits) struct hits why = {0};
    AUTO(buf) struct buf first = {0};
    size_t first_nodes = 0, good = 0;
    if (!locate_all(walker, id, &places, err)) return false;
    for (size_t at = 0; at < places.len; at += sizeof(struct index_location)) {
        AUTO(buf) struct buf clear = {0};
        struct index_location place;
        size_t nodes = 0;
        memcpy(&place, places.data + at, sizeof(place));
        if (place.type != FRAME_NODE || !is_good(walker, &place, &why) ||
            !read_clear(walker, id, &place, &clear, &nodes, &why))
            continue;
        bool more = at + sizeof(place) < places.len;
        if (good++ == 0) {
            if (more) buf_put_span(&first, buf_span(&clear)); /* nearly every node has one copy */
            first_nodes = nodes;
        } else if (nodes == first_nodes && span_eq(buf_span(&clear), buf_span(&first))) {
            continue;
        }
        if (!walk_below(walker, buf_span(&clear), nodes, depth, hits, err)) return false;
    }
    if (good > 0) return true;
    if (why.count == 0) hit_nowhere(walker, id, hits);
    hits_merge(hits, &why);
    return true;
}

static void hit_too_deep(struct walker *walker, struct hits *hits)
{
    struct check *check = walker->check;
    if (check->too_deep++ == 0)
        check->deep_finding =
            check_add(check, ERR_DAMAGED, "packs", "nodes of a point lie more than %d deep", MAX_DEPTH);
    hits_add(hits, check->deep_finding);
}

static struct node_key key_of(const struct walker *walker, const struct hash *id)
{
    struct node_key key = {.domain = walker->domain};
    memcpy(key.id.bytes, id->bytes, ID_LEN);
    return key;
}

static void remember_bad(struct walker *walker, const struct hash *id, struct hits *hits)
{
    struct bad_node *node = xcalloc(1, sizeof(*node));
    node->key = key_of(walker, id);
    node->hits = *hits;
    *hits = (struct hits){0};
    HASH_ADD(hh, walker->bad, key, sizeof(node->key), node);
}

static bool walk(struct walker *walker, const struct hash *id, unsigned depth, struct hits *hits,
                 struct err *err)
{
    if (!id_set_add(walker->met, id->bytes)) {
        struct bad_node *known;
        struct node_key key = key_of(walker, id);
        HASH_FIND(hh, walker->bad, &key, sizeof(key), known);
        if (known) hits_merge(hits, &known->hits);
        return true;
    }
    if (check_cancelled(walker->check)) return err_set(err, ERR_CANCELLED, "the check was cancelled");
    AUTO(hits) struct hits below = {0};
    if (depth > MAX_DEPTH)
        hit_too_deep(walker, &below);
    else if (!walk_copies(walker, id, depth, &below, err))
        return false;
    hits_merge(hits, &below);
    if (below.count) remember_bad(walker, id, &below);
    return true;
}

/* --- points --- */

static bool open_point(struct check *check, const struct repository_point *point, struct hash *root,
                       struct hash *domain, struct err *why)
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(stored_point) Sealift__PointFile *file = NULL;
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    if (!repository_point_read(check->repository, &point->point, &bytes, why)) {
        if (why->code == ERR_NOT_FOUND) (void)err_set(why, ERR_NOT_FOUND, "the point's file is missing");
        return false;
    }
    if (!stored_point_decode(buf_span(&bytes), &file, why) || !stored_point_open(file, &body, why))
        return false;
    if (!check_admitted(check, body->writer.data))
        return err_set(why, ERR_NOT_AUTHENTIC, "its writer was never admitted");
    *root = stored_hash(&body->root);
    *domain = stored_hash(&body->domain_id);
    return true;
}

static bool check_point(struct walker *walker, const struct repository_point *point, struct err *err)
{
    struct check *check = walker->check;
    struct err why;
    struct hash root = {{0}};
    struct hash domain = {{0}};
    AUTO(hits) struct hits hits = {0};
    if (!open_point(check, point, &root, &domain, &why)) {
        char name[POINT_NAME_LEN];
        point_name(&point->point, name);
        hits_add(&hits, check_add(check, why.code, name, "%s", why.text));
    } else {
        walker->domain = 0;
        if (check->repository->kind == REPOSITORY_ENCRYPTED &&
            !index_domain(check->repository->index, &domain, &walker->domain, err))
            return false;
        walker->met = domain_sets_in(&walker->domains, walker->domain);
        if (!walk(walker, &root, 0, &hits, err)) return false;
    }
    for (size_t i = 0; i < hits.count; i++)
        buf_put(&check->findings[hits.items[i]].points, point->point.bytes, ID_LEN);
    check->result.points++;
    return true;
}

bool check_points(struct check *check, struct err *err)
{
    AUTO(walker) struct walker walker = {.check = check};
    struct repository_point point = {0};
    const struct id *only = check->options->point;
    if (only)
        return repository_point_find(check->repository, only, &point, err) &&
               check_point(&walker, &point, err);
    for (uint64_t number = 0; index_point_from(check->repository->index, number, &point, err);
         number = point.number + 1)
        if (!check_point(&walker, &point, err)) return false;
    return err->code == ERR_NOT_FOUND;
}
