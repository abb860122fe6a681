/* State of one check that restores into nothing: the caller plans windows, others fetch and open their
 * chunks, and one thread puts the files together, window by window. Private to check_restore*.c. */
#ifndef SEALIFT_PIPELINE_CHECK_RESTORE_RUN_H
#define SEALIFT_PIPELINE_CHECK_RESTORE_RUN_H

#include "transporter/core/manifest.h"
#include "transporter/pipeline/check_restore.h"
#include "transporter/pipeline/open_pool.h"

#include <pthread.h>

/* Chunks of at most 4 MiB are in memory, those that were used last stay; windows are on their way. A window
 * that fetches few chunks is done early, and the next ones are fetched meanwhile. */
enum { SLOTS = 36, FETCH_MAX = 12, WINDOWS = 4, STEPS_MAX = 8192 };
#define PATHS_MAX (1024u * 1024)

enum step_kind {
    STEP_BEGIN, /* of a file */
    STEP_DATA,
    STEP_HOLE,
    STEP_END,        /* all of its bytes have the hash */
    STEP_END_OPENED, /* of an image: they had each to open, no more */
    STEP_FINDING     /* about a path without content */
};

struct step {
    enum step_kind kind;
    uint32_t slot;
    uint32_t offset;     /* in the chunk; of STEP_BEGIN and STEP_FINDING: in the paths */
    uint64_t length;     /* of the path, too */
    struct hash content; /* STEP_END: the file's hash */
    struct err *why;     /* of an end: what is wrong with the references; NULL: nothing */
};

/* A chunk. Its content belongs to the window that fetches it until that is ready, and then to who reads it.
 */
struct slot {
    bool taken; /* has an id. Under the lock, as all up to `used` */
    struct hash id;
    unsigned users; /* windows that are not done with it; 0: another chunk may take the place */
    uint64_t used;  /* when it was asked for last, in windows */
    struct buf plain;
    bool here;
    bool bad;       /* the copy that came does not open */
    struct err why; /* not here */
};

struct window {
    struct checking *checking;
    struct open_batch opening;
    struct step *steps; /* STEPS_MAX */
    size_t step_count;
    struct buf paths;
    bool uses[SLOTS];
    uint32_t fetches[FETCH_MAX]; /* slots that are filled for this window */
    size_t fetch_count;
    bool ready; /* under the lock */
};

struct checking {
    /* the playing thread's: the file whose steps are being played */
    struct hasher hasher;
    struct buf path;
    bool bad;

    bool complete; /* nothing more is planned; under the lock, as the next one */
    bool over;     /* everybody stops */
    enum object_kind kind;
    struct opener *opener;
    const struct inlet *inlet;
    const struct check_restore_sink *sink;
    struct check_restore_result *result;
    struct open_pool *pool;

    pthread_mutex_t lock; /* these, and what is said above */
    pthread_cond_t changed;
    uint64_t planned, taken, played; /* windows; window n is windows[n % WINDOWS] */
    struct err fatal;
    struct window windows[WINDOWS];
    struct slot slots[SLOTS];
};

/* Tells of a file, in the playing thread, or when there is none. */
void check_restore_find(struct checking *checking, struct span path, const struct err *why);

/* Calls `plan` while other threads fetch, open and play; then ends them. */
typedef bool check_restore_plan_fn(void *arg, struct err *err);
bool check_restore_threads(struct checking *checking, check_restore_plan_fn *plan, void *arg,
                           struct err *err) MUST_CHECK;

/* For the planner: the window that is being planned. */
struct window *check_restore_window(struct checking *checking);
/* Gives it to the others, and waits until there is another one. */
bool check_restore_hand_over(struct checking *checking, struct err *err) MUST_CHECK;
/* The slot in which the chunk is when the window is played; may hand over the window before it. */
bool check_restore_slot(struct checking *checking, const struct hash *id, uint32_t *out,
                        struct err *err) MUST_CHECK;

/* check_restore_play.c: puts together what the steps of a window say. */
bool check_restore_play(struct checking *checking, const struct window *window, struct err *err) MUST_CHECK;

#endif
