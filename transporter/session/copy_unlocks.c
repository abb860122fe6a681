/* Unlock sections that were added to a repository go along with copies of its points. */
#include "transporter/pipeline/point.h"
#include "transporter/repository/unlocks.h"
#include "transporter/session/copy.h"

#include <string.h>

struct unlocks {
    const struct copy_options *options;
    struct buf keys; /* struct hash each: those that something was added for */
    struct buf used; /* a byte for each: points that are copied have it */
};
static void unlocks_deinit(struct unlocks *unlocks)
{
    buf_deinit(&unlocks->keys);
    buf_deinit(&unlocks->used);
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
    for (size_t i = 0; i < unlocks->used.len; i++)
        if (hash_eq(key_at(unlocks, i), &point->key_id)) unlocks->used.data[i] = 1;
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
    if (!repository_points(options->from, note_use, &unlocks, err)) return false;
    for (size_t i = 0; i < unlocks.used.len; i++)
        if (unlocks.used.data[i] &&
            !repository_unlock_read(options->from, key_at(&unlocks, i), hand_over, &unlocks, err))
            return false;
    return true;
}
