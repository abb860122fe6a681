/* Putting files together from chunks that are open, and comparing each with its hash. */
#include "transporter/pipeline/check_restore_run.h"

void check_restore_find(struct checking *checking, struct span path, const struct err *why)
{
    struct err what = *why;
    if (what.code == ERR_NOT_FOUND) what.code = ERR_DAMAGED;
    checking->result->findings++;
    checking->sink->finding(checking->sink->arg, path, &what);
}

static void spoil(struct checking *checking, const struct err *why)
{
    if (checking->bad) return;
    checking->bad = true;
    check_restore_find(checking, buf_span(&checking->path), why);
}

static struct span path_of(const struct window *window, const struct step *step)
{
    return span_of(window->paths.data + step->offset, (size_t)step->length);
}

static void play_begin(struct checking *checking, struct span path)
{
    buf_clear(&checking->path);
    buf_put_span(&checking->path, path);
    hasher_init(&checking->hasher);
    checking->bad = false;
}

static void play_data(struct checking *checking, const struct step *step)
{
    const struct slot *slot = &checking->slots[step->slot];
    struct err why = {0};
    if (checking->bad) return;
    if (!slot->here) {
        if (slot->why.code == ERR_NONE)
            (void)err_set(&why, ERR_DAMAGED, "the repository side told nothing about a chunk");
        spoil(checking, slot->why.code == ERR_NONE ? &why : &slot->why);
    } else if (step->offset + step->length > slot->plain.len) {
        (void)err_set(&why, ERR_DAMAGED, "a chunk is shorter than the file's reference into it");
        spoil(checking, &why);
    } else {
        if (checking->kind != OBJECT_IMAGE)
            hasher_add(&checking->hasher, slot->plain.data + step->offset, (size_t)step->length);
        checking->result->bytes += step->length;
    }
}

static bool is_cancelled(const struct checking *checking)
{
    return checking->sink->cancelled && atomic_load(checking->sink->cancelled);
}

static bool go_on(const struct checking *checking, struct err *err)
{
    return !is_cancelled(checking) || err_set(err, ERR_CANCELLED, "the check was cancelled");
}

/* Whoever wrote the point says how long it is: it may take years. */
static bool play_hole(struct checking *checking, uint64_t length, struct err *err)
{
    static const uint8_t zeros[64 * 1024];
    while (!checking->bad && checking->kind != OBJECT_IMAGE && length > 0) {
        size_t part = length < sizeof(zeros) ? (size_t)length : sizeof(zeros);
        if (!go_on(checking, err)) return false;
        hasher_add(&checking->hasher, zeros, part);
        length -= part;
    }
    return true;
}

static void play_end(struct checking *checking, const struct step *step)
{
    struct hash hash = hasher_result(&checking->hasher);
    struct err why;
    const struct check_restore_sink *sink = checking->sink;
    checking->result->files++;
    (void)err_set(&why, ERR_DAMAGED, "its content is not what was backed up");
    if (step->why)
        spoil(checking, step->why);
    else if (step->kind == STEP_END && !hash_eq(&hash, &step->content))
        spoil(checking, &why);
    if (sink->progress) sink->progress(sink->arg, checking->result->files, checking->result->bytes);
}

/* The writer says how many holes there are, too: references nodes may name each other's children again and
 * again, and need no fetch for it. */
bool check_restore_play(struct checking *checking, const struct window *window, struct err *err)
{
    if (!go_on(checking, err)) return false;
    for (size_t i = 0; i < window->step_count; i++) {
        const struct step *step = &window->steps[i];
        switch (step->kind) {
        case STEP_BEGIN:
            play_begin(checking, path_of(window, step));
            break;
        case STEP_DATA:
            play_data(checking, step);
            break;
        case STEP_HOLE:
            if (!play_hole(checking, step->length, err)) return false;
            break;
        case STEP_END:
        case STEP_END_OPENED:
            play_end(checking, step);
            break;
        case STEP_FINDING:
            check_restore_find(checking, path_of(window, step), step->why);
            break;
        }
    }
    return true;
}
