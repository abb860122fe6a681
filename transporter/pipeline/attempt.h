/* What the threads of one backup share: its options, sealing, memory pool and node packer, and the first
 * error of any of them, which stops all. Private to the backup engine. Any thread unless said. */
#ifndef SEALIFT_PIPELINE_ATTEMPT_H
#define SEALIFT_PIPELINE_ATTEMPT_H

#include "transporter/pipeline/backup.h"
#include "transporter/pipeline/packer.h"
#include "transporter/pipeline/work_queue.h"
#include "transporter/source/metadata.h"

#include <pthread.h>

struct attempt {
    const struct backup_options *options;
    struct sealing *sealing;
    struct chunk_pool *pool;
    struct metadata_names *names;
    struct work_queue *queue;
    struct backup_progress *progress; /* the caller's, or own_progress */

    struct backup_progress own_progress;
    _Atomic uint64_t unread_bytes; /* of files that were unchanged or found by their content hash */
    _Atomic bool stopped;
    struct packer *nodes;
    pthread_mutex_t nodes_lock;   /* guards `nodes` */
    pthread_mutex_t warning_lock; /* one call of options->warning at a time */
    pthread_mutex_t failure_lock; /* guards what follows */
    bool failed;
    struct err why;
};

/* `workers` is the number of threads that will take work, `segments` of segments that may wait. */
bool attempt_init(struct attempt *attempt, const struct backup_options *options, unsigned workers,
                  size_t segments, struct err *err) MUST_CHECK;
void attempt_deinit(struct attempt *attempt);
DEFINE_AUTO_IN_PLACE(attempt, struct attempt, attempt_deinit)

/* Stops everything; the first error stands. */
void attempt_fail(struct attempt *attempt, const struct err *why);
bool attempt_stopped(const struct attempt *attempt);
/* The error that stopped it. */
bool attempt_failure(struct attempt *attempt, struct err *err);

/* Something about one path that the user should know. */
void attempt_warn(struct attempt *attempt, struct span path, const struct err *what);
/* The same of what is left out by rule: told, not counted. */
void attempt_note(struct attempt *attempt, struct span path, const struct err *what);

/* Packs a manifest node: a manifest_node_fn, of a struct attempt. */
bool attempt_put_node(void *attempt, struct span node, struct hash *content, struct err *err) MUST_CHECK;
bool attempt_flush_nodes(struct attempt *attempt, struct err *err) MUST_CHECK;

/* Bytes that were not sent again, of whatever cause. */
uint64_t attempt_deduplicated_bytes(const struct attempt *attempt);
/* Brings the progress display up to date. */
void attempt_publish(struct attempt *attempt);

#endif
