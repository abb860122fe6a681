/* State of one restore, shared by its planner, its fetching threads and its writers. Private to the
 * restore. */
#ifndef SEALIFT_PIPELINE_RESTORE_RUN_H
#define SEALIFT_PIPELINE_RESTORE_RUN_H

#include "transporter/pipeline/restore.h"
#include "transporter/pipeline/restore_flush.h"
#include "transporter/pipeline/restore_queue.h"

struct image_target;

struct restore_run {
    const struct restore_options *options;
    struct destination *destination; /* of files; NULL for an image */
    struct image_target *image;      /* what the one file of an image is written to, else NULL */
    bool fresh;                      /* the destination was empty */
    struct restore_queue frames;     /* fetch -> writers */
    struct restore_flush flush;

    pthread_mutex_t lock; /* windows, fetching, fatal, damage, warnings */
    pthread_cond_t window_moved;
    struct restore_window *window; /* planner -> fetch, one at a time */
    struct restore_item *again;    /* chunks whose copy did not open: writers -> fetch */
    size_t ahead;                  /* memory of all windows that were handed over and are not done with */
    unsigned fetching;             /* threads; the last one closes the queue */
    bool planned;                  /* no more windows come */
    struct err fatal;              /* what stops everything */
    struct err damage;             /* the first file that could not be restored */
    unsigned losses_told;          /* enum metadata_loss: each is told once */
    _Atomic bool stopping;
    struct restore_progress own_progress; /* when the caller has none */
    struct restore_progress *progress;
    _Atomic uint64_t skipped, failed;
};

/* A restore from its first thread to its last: `body` does what the kind of object asks for, between the
 * making and the end of what all kinds have in common. Files that were lost make it fail afterwards. */
typedef bool restore_body_fn(struct restore_run *run, void *arg, struct err *err);
bool restore_run_with(const struct restore_options *options, restore_body_fn *body, void *arg,
                      struct restore_result *result, struct err *err) MUST_CHECK;
/* For a body: calls `plan`, which hands windows over, while other threads fetch and write; then joins them.
 */
typedef bool restore_plan_fn(void *arg, struct err *err);
bool restore_run_threads(struct restore_run *run, restore_plan_fn *plan, void *arg,
                         struct err *err) MUST_CHECK;

/* Stops everything with the first such error. */
void restore_stop(struct restore_run *run, const struct err *err);
/* false when the run is stopping or cancelled (then *err says so) */
bool restore_going_on(struct restore_run *run, struct err *err) MUST_CHECK;
/* Tells that this path was not, or not wholly, restored. */
void restore_warn(struct restore_run *run, struct span path, const struct err *what);
/* The same for a file that is not restored: counted as failed; its code is the restore's if nothing worse
 * comes. */
void restore_lost(struct restore_run *run, struct span path, const struct err *what);
/* Each kind of metadata loss is told once for the whole restore. */
void restore_tell_losses(struct restore_run *run, struct span path, unsigned losses, const struct err *what);

/* Plans the whole restore: makes directories and special files, hands out windows; afterwards applies
 * links and directory metadata when `finish` is called. */
struct restore_plan;
bool restore_plan_new(struct restore_run *run, struct restore_plan **out, struct err *err) MUST_CHECK;
void restore_plan_free(struct restore_plan *plan);
DEFINE_AUTO(restore_plan, struct restore_plan *, restore_plan_free)
bool restore_plan_all(struct restore_plan *plan, struct err *err) MUST_CHECK;
bool restore_plan_finish(struct restore_plan *plan, struct err *err) MUST_CHECK;

/* Gives a full (or the last) window to a fetching thread; takes it. Blocks while all are busy, and while
 * windows before it take too much memory. */
bool restore_hand_over(struct restore_run *run, struct restore_window *window, struct err *err) MUST_CHECK;
/* One user of a window that was handed over is done with it; the last one frees it. */
void restore_window_done(struct restore_run *run, struct restore_window *window);

/* Takes a chunk whose copy did not open for this reason, to fetch the next one; false when there is no more
 * to ask for. */
bool restore_ask_again(struct restore_run *run, struct restore_item *item, const struct err *why) MUST_CHECK;

/* One writer's own state. */
struct restore_writer {
    struct restore_run *run;
    struct destination_cursor cursor;
};
/* One user of the file is done; the last one finishes it (or removes what is left of a failed one). */
void restore_file_done(struct restore_writer *writer, struct restore_file *file);
/* The body of a writer thread: takes frames until the queue is closed. */
void *restore_writer_main(void *arg);

#endif
