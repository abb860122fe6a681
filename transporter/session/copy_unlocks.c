/* Unlock sections that were added to a repository go along with copies of its points. */
#include "transporter/pipeline/point.h"
#include "transporter/repository/unlocks.h"
#include "transporter/session/copy.h"

#include <string.h>

struct unlocks {
    const struct copy_options *options;
    struct buf keys;    /* struct hash each: those that something was added for */
    struct buf used;    /* a byte for each: points that are copied have it, or a later generation of it */
    struct buf earlier; /* struct earlier each */
    size_t noted;       /* keys whose sections were looked at */
};

/* A generation that the sections of a later one, by its place among the keys, open too. */
struct earlier {
    struct hash key_id;
    size_t later;
};
static void unlocks_deinit(struct unlocks *unlocks)
{
    buf_deinit(&unlocks->keys);
    buf_deinit(&unlocks->used);
    buf_deinit(&unlocks->earlier);
}
DEFINE_AUTO_IN_PLACE(unlocks, struct unlocks, unlocks_deinit)

static const struct hash *key_at(const struct unlocks *unlocks, size_t index)
{
    return (const struct hash *)(const void *)unlocks->keys.data + index;
}

static bool note_key(void *arg, const struct hash *key_id)
{
    struct unlocks *unlocks = arg;
    buf_put(&unlocks->keys, key_id->bytes, HASH_LEN);
    buf_put_u8(&unlocks->used, 0);
    return true;
}

/* One that does not decode opens nothing. */
static bool note_earlier(void *arg, struct span object, struct err *err)
{
    struct unlocks *unlocks = arg;
    struct err ignored;
    AUTO(statement) struct statement *order = NULL;
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    struct earlier earlier = {.later = unlocks->noted};
    (void)err;
    if (!unlock_object_decode(object, key_at(unlocks, unlocks->noted), &order, &section, &ignored))
        return true;
    for (size_t i = 0; i < section->n_earlier; i++) {
        earlier.key_id = stored_hash(&section->earlier[i]);
        buf_put(&unlocks->earlier, &earlier, sizeof(earlier));
    }
    return true;
}

static void mark(struct unlocks *unlocks, const struct hash *key_id)
{
    for (size_t i = 0; i < unlocks->used.len; i++)
        if (hash_eq(key_at(unlocks, i), key_id)) unlocks->used.data[i] = 1;
    for (size_t at = 0; at < unlocks->earlier.len; at += sizeof(struct earlier)) {
        struct earlier earlier;
        memcpy(&earlier, unlocks->earlier.data + at, sizeof(earlier));
        if (hash_eq(&earlier.key_id, key_id)) unlocks->used.data[earlier.later] = 1;
    }
}

/* A point that cannot be read is named when it is to be copied. */
static bool note_use(void *arg, const struct repository_point *listed)
{
    struct unlocks *unlocks = arg;
    const char *job = unlocks->options->job;
    struct err ignored;
    AUTO(buf) struct buf file = {0};
    AUTO(point) struct point *point = NULL;
    if (!repository_point_read(unlocks->options->from, &listed->point, &file, &ignored) ||
        !point_decode(buf_span(&file), &point, &ignored) || (job && job[0] && strcmp(job, point->job) != 0))
        return true;
    mark(unlocks, &point->key_id);
    return true;
}

static bool hand_over(void *arg, struct span order, struct err *err)
{
    const struct unlocks *unlocks = arg;
    const struct outlet *outlet = &unlocks->options->outlet;
    struct err what = {0};
    bool kept = false;
    if (order.len > STATEMENT_MAX) return true;
    if (!outlet->ops->keep_unlock(outlet->self, order, &kept, err)) return false;
    if (kept || !unlocks->options->remark) return true;
    (void)err_set(
        &what, ERR_NOT_AUTHENTIC,
        "an unlock section that was added here is not believed by the other side: check this repository");
    unlocks->options->remark(unlocks->options->arg, &what);
    return true;
}

bool copy_unlocks(const struct copy_options *options, struct err *err)
{
    AUTO(unlocks) struct unlocks unlocks = {.options = options};
    if (!options->outlet.ops->keep_unlock) return true;
    if (!repository_unlock_keys(options->from, note_key, &unlocks, err)) return false;
    if (unlocks.used.len == 0) return true;
    for (; unlocks.noted < unlocks.used.len; unlocks.noted++)
        if (!repository_unlock_read(options->from, key_at(&unlocks, unlocks.noted), note_earlier, &unlocks,
                                    err))
            return false;
    if (!repository_points(options->from, note_use, &unlocks, err)) return false;
    for (size_t i = 0; i < unlocks.used.len; i++)
        if (unlocks.used.data[i] &&
            !repository_unlock_read(options->from, key_at(&unlocks, i), hand_over, &unlocks, err))
            return false;
    return true;
}
