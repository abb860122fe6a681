#include "transporter/session/copy.h"

#include "common/base/alloc.h"
#include "common/crypto/hash_list.h"
#include "transporter/pipeline/point.h"
#include "transporter/pipeline/sent_ids.h"
#include "transporter/session/asked.h"
#include "transporter/session/copy_ahead.h"
#include "transporter/session/copy_frames.h"

#include <string.h>

enum {
    NODES_AT_ONCE = 16,   /* whose ids are held in memory, on each level */
    DEPTH_MOST = 40,      /* root, trees, a leaf, refs nodes: more is no manifest */
    COMMITS_MOST = 10000, /* each but the last has sent up to 4,096 missing frames */
};

struct copy {
    const struct copy_options *options;
    struct copy_frames *frames;
    struct copy_ahead *ahead;
    struct sent_ids *sent;
};

/* --- asking --- */

/* Appends those that the other side lacks, of what is not known yet. */
static bool ask_which_lack(struct copy *copy, int type, const struct hash *ids, size_t count, struct buf *out,
                           struct err *err)
{
    const struct outlet *outlet = &copy->options->outlet;
    enum frame_type types[ASKED_MAX];
    uint8_t have[ASKED_MAX];
    for (size_t at = 0; at < count; at += ASKED_MAX) {
        size_t some = count - at < ASKED_MAX ? count - at : ASKED_MAX;
        for (size_t i = 0; i < some; i++)
            types[i] = (enum frame_type)type;
        if (!outlet->ops->ask(outlet->self, types, ids + at, some, have, err)) return false;
        for (size_t i = 0; i < some; i++) {
            if (have[i] == ASKED_LACKS) buf_put(out, ids[at + i].bytes, HASH_LEN);
            if (type == ASKED_POINT && have[i] == ASKED_REMOVED) atomic_fetch_add(copy->options->skipped, 1);
        }
    }
    return true;
}

/* Appends those that the other side lacks: asked about now, or in advance. */
static bool lacking(struct copy *copy, enum frame_type type, const struct hash *ids, size_t count,
                    struct buf *out, struct err *err)
{
    AUTO(buf) struct buf unknown = {0};
    for (size_t i = 0; i < count; i++) {
        uint8_t have;
        if (!copy_ahead_take(copy->ahead, type, &ids[i], &have))
            buf_put(&unknown, ids[i].bytes, HASH_LEN);
        else if (have == ASKED_LACKS)
            buf_put(out, ids[i].bytes, HASH_LEN);
    }
    return ask_which_lack(copy, type, hash_list_items(&unknown), hash_list_count(&unknown), out, err);
}

/* Takes out what this run has sent already: it may still be on its way. */
static void leave_out_sent(struct copy *copy, struct buf *ids)
{
    struct hash *list = (struct hash *)(void *)ids->data;
    size_t kept = 0;
    for (size_t i = 0; i < hash_list_count(ids); i++)
        if (sent_ids_claim(copy->sent, &list[i])) list[kept++] = list[i];
    ids->len = kept * HASH_LEN;
}

/* --- walking --- */

/* What a few nodes name. */
struct below {
    struct buf nodes, datas;
};

static void below_deinit(struct below *below)
{
    buf_deinit(&below->nodes);
    buf_deinit(&below->datas);
}
DEFINE_AUTO_IN_PLACE(below, struct below, below_deinit)

static bool note_below(void *arg, const struct frame_view *frame, struct err *err)
{
    struct below *below = arg;
    if (frame->type != FRAME_NODE) return err_set(err, ERR_DAMAGED, "a chunk stands in the place of a node");
    buf_put(&below->nodes, frame->clear_nodes, frame->node_ids * HASH_LEN);
    buf_put(&below->datas, frame->clear_data, frame->data_ids * HASH_LEN);
    return true;
}

static bool copy_data(struct copy *copy, struct buf *ids, struct err *err)
{
    AUTO(buf) struct buf wanted = {0};
    hash_list_make_set(ids);
    if (!lacking(copy, FRAME_DATA, hash_list_items(ids), hash_list_count(ids), &wanted, err)) return false;
    leave_out_sent(copy, &wanted);
    return copy_frames_send(copy->frames, FRAME_DATA, hash_list_items(&wanted), hash_list_count(&wanted),
                            err);
}

static bool copy_nodes(struct copy *copy, struct buf *ids, unsigned depth, struct err *err);

/* Nodes that the other side lacks: first what they name, then they themselves. */
static bool copy_some(struct copy *copy, const struct hash *ids, size_t count, unsigned depth,
                      struct err *err)
{
    AUTO(below) struct below below = {0};
    return copy_frames_see(copy->frames, ids, count, note_below, &below, err) &&
           copy_nodes(copy, &below.nodes, depth + 1, err) && copy_data(copy, &below.datas, err) &&
           copy_frames_send(copy->frames, FRAME_NODE, ids, count, err);
}

static bool copy_all(struct copy *copy, const struct buf *ids, unsigned depth, struct err *err)
{
    size_t count = hash_list_count(ids);
    for (size_t at = 0; at < count; at += NODES_AT_ONCE) {
        size_t some = count - at < NODES_AT_ONCE ? count - at : NODES_AT_ONCE;
        if (!copy_some(copy, hash_list_items(ids) + at, some, depth, err)) return false;
    }
    return true;
}

static bool copy_nodes(struct copy *copy, struct buf *ids, unsigned depth, struct err *err)
{
    AUTO(buf) struct buf wanted = {0};
    if (depth > DEPTH_MOST) return err_set(err, ERR_DAMAGED, "nodes lie more than %d deep", DEPTH_MOST);
    hash_list_make_set(ids);
    if (!lacking(copy, FRAME_NODE, hash_list_items(ids), hash_list_count(ids), &wanted, err)) return false;
    leave_out_sent(copy, &wanted);
    return copy_all(copy, &wanted, depth, err);
}

/* --- what a commit found missing --- */

static bool sort_missing(void *arg, const struct frame_view *frame, struct err *err)
{
    struct below *below = arg;
    buf_put(frame->type == FRAME_NODE ? &below->nodes : &below->datas, frame->chunk.bytes, HASH_LEN);
    return true;
}

/* Whatever was answered before: these are sent. */
static bool send_missing(struct copy *copy, const struct buf *missing, struct err *err)
{
    AUTO(below) struct below found = {0};
    copy_ahead_forget(copy->ahead);
    return copy_frames_see(copy->frames, hash_list_items(missing), hash_list_count(missing), sort_missing,
                           &found, err) &&
           copy_frames_send(copy->frames, FRAME_DATA, hash_list_items(&found.datas),
                            hash_list_count(&found.datas), err) &&
           copy_all(copy, &found.nodes, 0, err);
}

static bool commit(struct copy *copy, const struct point *point, struct span file,
                   struct commit_receipt *receipt, struct err *err)
{
    const struct outlet *outlet = &copy->options->outlet;
    struct commit_request request = {.point = point->point,
                                     .root = point->root,
                                     .point_file = file,
                                     .counts = point->counts,
                                     .started_ns = point->started_ns};
    AUTO(buf) struct buf before = {0};
    for (int round = 0; round < COMMITS_MOST; round++) {
        AUTO(buf) struct buf missing = {0};
        if (!copy_frames_flush(copy->frames, err)) return false;
        if (outlet->ops->commit(outlet->self, &request, receipt, &missing, err)) return true;
        if (err->code != ERR_NOT_FOUND || missing.len == 0) return false;
        if (span_eq(buf_span(&before), buf_span(&missing)))
            return err_wrap(err, "chunks are missing at the other side although they were sent");
        if (!send_missing(copy, &missing, err)) return false;
        buf_clear(&before);
        buf_put_span(&before, buf_span(&missing));
    }
    return err_set(err, ERR_LIMIT, "more than %d commits of one point", COMMITS_MOST);
}

/* --- points --- */

static bool note_point(void *arg, const struct repository_point *point)
{
    struct buf *points = arg;
    struct hash name = {{0}};
    memcpy(name.bytes, point->point.bytes, ID_LEN);
    buf_put(points, name.bytes, HASH_LEN);
    return true;
}

static bool copy_read_point(struct copy *copy, const struct point *point, struct span file, struct err *err)
{
    const struct copy_options *options = copy->options;
    AUTO(buf) struct buf root = {0};
    struct commit_receipt receipt;
    copy_frames_begin(copy->frames, point->cipher == CIPHER_NONE ? NULL : &point->domain_id);
    buf_put(&root, point->root.bytes, HASH_LEN);
    if (!copy_nodes(copy, &root, 0, err) || !commit(copy, point, file, &receipt, err)) return false;
    atomic_fetch_add(options->points, 1);
    if (options->copied) options->copied(options->arg, &point->point, &receipt, file);
    return true;
}

/* *damaged: it cannot be copied because it is damaged here */
static bool copy_point(struct copy *copy, const struct id *id, bool *damaged, struct err *err)
{
    const struct copy_options *options = copy->options;
    AUTO(buf) struct buf file = {0};
    AUTO(point) struct point *point = NULL;
    *damaged = true;
    if (!repository_point_read(options->from, id, &file, err) || !point_decode(buf_span(&file), &point, err))
        return false;
    *damaged = false;
    if (options->job && options->job[0] && strcmp(options->job, point->job) != 0) return true;
    bool done = copy_read_point(copy, point, buf_span(&file), err);
    *damaged = copy_frames_lost(copy->frames);
    return done;
}

/* *first: why a point could not be copied that is damaged here. */
static bool copy_lacking(struct copy *copy, const struct buf *points, struct err *first, struct err *err)
{
    const struct copy_options *options = copy->options;
    const struct hash *names = hash_list_items(points);
    const size_t count = hash_list_count(points);
    for (size_t i = 0, ahead = 0; i < count; i++) {
        struct id id;
        bool damaged = false;
        size_t more = 0;
        memcpy(id.bytes, names[i].bytes, ID_LEN);
        if (atomic_load(options->cancelled)) return err_set(err, ERR_CANCELLED, "cancelled");
        if (i == ahead &&
            !copy_ahead_ask(copy->ahead, options, copy->frames, names + i, count - i, &more, err))
            return false;
        ahead += more;
        if (copy_point(copy, &id, &damaged, err)) continue;
        if (!damaged) return false;
        if (options->warning) options->warning(options->arg, &id, err);
        if (first->code == ERR_NONE) *first = *err;
        err_clear(err);
    }
    return true;
}

bool copy_points(const struct copy_options *options, struct err *err)
{
    struct copy copy = {.options = options};
    AUTO(buf) struct buf all = {0};
    AUTO(buf) struct buf wanted = {0};
    AUTO(sent_ids) struct sent_ids *sent = sent_ids_new(SENT_IDS_DEFAULT);
    AUTO(copy_frames)
    struct copy_frames *frames =
        copy_frames_new(options->from, &options->outlet, options->sent_bytes, options->cancelled);
    AUTO(copy_ahead) struct copy_ahead *ahead = copy_ahead_new();
    copy.frames = frames;
    copy.ahead = ahead;
    copy.sent = sent;
    if (!copy_unlocks(options, err) || !repository_points(options->from, note_point, &all, err) ||
        !ask_which_lack(&copy, ASKED_POINT, hash_list_items(&all), hash_list_count(&all), &wanted, err))
        return false;
    struct err damage = {0};
    if (!copy_lacking(&copy, &wanted, &damage, err) || !copy_rewraps(options, err)) return false;
    if (damage.code == ERR_NONE) return true;
    *err = damage;
    return err_wrap(err, "a recovery point could not be copied");
}
