#include "transporter/session/copy_ahead.h"

#include "common/base/alloc.h"
#include "common/crypto/hash_list.h"
#include "transporter/pipeline/point.h"
#include "transporter/session/asked.h"

#include <stdlib.h>
#include <string.h>

enum {
    POINTS_MOST = 16, /* whose tops are read for one question */
    NODES_MOST = 8,   /* a level with more is no top: what the other side has below it need not be read */
    LEVELS_MOST = 8,
};

/* By type, and in it by id. */
struct item {
    enum frame_type type;
    struct hash id;
    uint8_t have;
};

struct copy_ahead {
    struct item items[ASKED_MAX];
    size_t count;
};

struct copy_ahead *copy_ahead_new(void)
{
    return xcalloc(1, sizeof(struct copy_ahead));
}

void copy_ahead_free(struct copy_ahead *ahead)
{
    free(ahead);
}

void copy_ahead_forget(struct copy_ahead *ahead)
{
    ahead->count = 0;
}

static int compare(const void *a, const void *b)
{
    const struct item *one = a, *other = b;
    if (one->type != other->type) return one->type < other->type ? -1 : 1;
    return memcmp(one->id.bytes, other->id.bytes, HASH_LEN);
}

bool copy_ahead_take(struct copy_ahead *ahead, enum frame_type type, const struct hash *id, uint8_t *have)
{
    const struct item wanted = {.type = type, .id = *id};
    struct item *found = bsearch(&wanted, ahead->items, ahead->count, sizeof(wanted), compare);
    if (!found) return false;
    *have = found->have;
    found->have = ASKED_HAS;
    return true;
}

/* --- the top of a point --- */

static void note(struct copy_ahead *ahead, enum frame_type type, const uint8_t *ids, size_t count)
{
    for (size_t i = 0; i < count && ahead->count < ASKED_MAX; i++) {
        struct item *item = &ahead->items[ahead->count++];
        *item = (struct item){.type = type};
        memcpy(item->id.bytes, ids + i * HASH_LEN, HASH_LEN);
    }
}

/* Of one level: what its nodes name. */
struct level {
    struct copy_ahead *ahead;
    struct buf nodes;
};

static void level_deinit(struct level *level)
{
    buf_deinit(&level->nodes);
}
DEFINE_AUTO_IN_PLACE(level, struct level, level_deinit)

static bool note_below(void *arg, const struct frame_view *frame, struct err *err)
{
    struct level *level = arg;
    (void)err;
    if (frame->type != FRAME_NODE) return true; /* it is found when the point is copied */
    buf_put(&level->nodes, frame->clear_nodes, frame->node_ids * HASH_LEN);
    note(level->ahead, FRAME_NODE, frame->clear_nodes, frame->node_ids);
    note(level->ahead, FRAME_DATA, frame->clear_data, frame->data_ids);
    return true;
}

static bool note_top(struct copy_ahead *ahead, struct copy_frames *frames, const struct hash *root,
                     struct err *err)
{
    AUTO(buf) struct buf at = {0};
    buf_put(&at, root->bytes, HASH_LEN);
    note(ahead, FRAME_NODE, root->bytes, 1);
    for (int i = 0; i < LEVELS_MOST && at.len > 0 && ahead->count < ASKED_MAX; i++) {
        AUTO(level) struct level below = {.ahead = ahead};
        hash_list_make_set(&at);
        if (hash_list_count(&at) > NODES_MOST) return true;
        if (!copy_frames_see(frames, hash_list_items(&at), hash_list_count(&at), note_below, &below, err))
            return false;
        buf_clear(&at);
        buf_put_span(&at, buf_span(&below.nodes));
    }
    return true;
}

static bool note_point(struct copy_ahead *ahead, const struct copy_options *options,
                       struct copy_frames *frames, const struct hash *name, struct err *err)
{
    AUTO(buf) struct buf file = {0};
    AUTO(point) struct point *point = NULL;
    struct id id;
    memcpy(id.bytes, name->bytes, ID_LEN);
    if (!repository_point_read(options->from, &id, &file, err) || !point_decode(buf_span(&file), &point, err))
        return false;
    if (options->job && options->job[0] && strcmp(options->job, point->job) != 0) return true;
    copy_frames_begin(frames, point->cipher == CIPHER_NONE ? NULL : &point->domain_id);
    return note_top(ahead, frames, &point->root, err);
}

/* --- the question --- */

static void make_set(struct copy_ahead *ahead)
{
    size_t kept = 0;
    qsort(ahead->items, ahead->count, sizeof(ahead->items[0]), compare);
    for (size_t i = 0; i < ahead->count; i++)
        if (kept == 0 || compare(&ahead->items[kept - 1], &ahead->items[i]) != 0)
            ahead->items[kept++] = ahead->items[i];
    ahead->count = kept;
}

static bool ask(struct copy_ahead *ahead, const struct outlet *outlet, struct err *err)
{
    enum frame_type types[ASKED_MAX];
    uint8_t have[ASKED_MAX];
    AUTO(buf) struct buf ids = {0};
    if (ahead->count == 0) return true;
    for (size_t i = 0; i < ahead->count; i++) {
        types[i] = ahead->items[i].type;
        buf_put(&ids, ahead->items[i].id.bytes, HASH_LEN);
    }
    if (!outlet->ops->ask(outlet->self, types, hash_list_items(&ids), ahead->count, have, err)) return false;
    for (size_t i = 0; i < ahead->count; i++)
        ahead->items[i].have = have[i];
    return true;
}

bool copy_ahead_ask(struct copy_ahead *ahead, const struct copy_options *options, struct copy_frames *frames,
                    const struct hash *points, size_t count, size_t *looked_at, struct err *err)
{
    size_t some = 0;
    copy_ahead_forget(ahead);
    while (some < count && some < POINTS_MOST && ahead->count < ASKED_MAX) {
        struct err damage; /* it is told when the point is copied */
        if (!note_point(ahead, options, frames, &points[some++], &damage) && damage.code == ERR_CANCELLED) {
            *err = damage;
            return false;
        }
    }
    make_set(ahead);
    if (!ask(ahead, &options->outlet, err)) {
        copy_ahead_forget(ahead);
        return false;
    }
    *looked_at = some;
    return true;
}
