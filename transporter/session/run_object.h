/* What one backup reads: the object that the job's plan names (a tree, an image, a stream), as far as local
 * policy allows it, between the scripts that the plan names. Private to run*.c; the run's thread. */
#ifndef SEALIFT_SESSION_RUN_OBJECT_H
#define SEALIFT_SESSION_RUN_OBJECT_H

#include "transporter/session/run_inside.h"

struct path_list {
    char **paths;
    size_t count;
};

struct run_object {
    struct run *run;
    Sealift__BackupPlan *plan;
    enum object_kind kind;
    struct path_list paths, excludes, always;
    const struct policy_command *stream;
    const struct policy_command *before, *after; /* NULL: none */
    bool begun;                                  /* `before` was run, or there is none to be run */
};

/* Opens the plan and asks local policy, before a byte is read. `out` must be {0}; deinit it in case of
 * failure too. ERR_POLICY; ERR_VERSION names a kind that is not known here. */
bool run_object_open(struct run *run, struct run_object *out, struct err *err) MUST_CHECK;
void run_object_deinit(struct run_object *object);
DEFINE_AUTO_IN_PLACE(run_object, struct run_object, run_object_deinit)

/* Whether it is read through the stat cache of earlier runs. */
bool run_object_is_cached(const struct run_object *object);

/* Backs it up, the first time after the script `before`, which must succeed. What concerns the object is
 * filled into `options`, everything else is there. */
bool run_object_back_up(struct run_object *object, struct backup_options *options,
                        struct backup_result *result, struct err *err) MUST_CHECK;
/* At the end of the run, with the reason if it failed: once it has begun, `after` is run in any case. What
 * goes wrong with that is a warning. */
void run_object_end(struct run_object *object, const struct err *why);

#endif
