/* The work of one backup between the thread that orders it and the workers: segments of the walk, first
 * come first served, and chunks of large files, which go to workers that would be idle and before any
 * segment, because somebody waits for their hashes. Private to the backup engine. Any thread unless said. */
#ifndef SEALIFT_PIPELINE_WORK_QUEUE_H
#define SEALIFT_PIPELINE_WORK_QUEUE_H

#include "common/base/bytes.h"
#include "common/crypto/hash.h"

#include <stdint.h>

struct segment;
struct work_queue;

/* The place of one chunk among the references of a large file. Whoever waits for it owns it. */
struct chunk_slot {
    struct hash content; /* valid once `hashed` */
    uint64_t length;
    bool hashed;
    bool is_hole;
    bool taken; /* by a worker or the queue: the slot must stay */
};

/* A chunk to be hashed (if it has a slot), and packed. */
struct chunk_job {
    struct buf bytes;
    struct hash content;     /* known beforehand if there is no slot */
    struct chunk_slot *slot; /* NULL: nobody waits */
};

struct work_queue *work_queue_new(size_t segments, size_t jobs);
void work_queue_free(struct work_queue *queue);
DEFINE_AUTO(work_queue, struct work_queue *, work_queue_free)

/* Never blocks: the caller keeps to the number of segments, those that are not done included. */
void work_queue_add_segment(struct work_queue *queue, struct segment *segment);
/* Takes the job (its bytes are then empty) if a worker is idle. */
bool work_queue_offer(struct work_queue *queue, struct chunk_job *job) __attribute__((warn_unused_result));

enum work { WORK_SEGMENT, WORK_CHUNK, WORK_END };
/* Blocks until there is work, or there never will be. */
enum work work_queue_take(struct work_queue *queue, struct segment **segment, struct chunk_job *job);
void work_queue_segment_done(struct work_queue *queue, struct segment *segment);
void work_queue_slot_done(struct work_queue *queue, struct chunk_slot *slot, const struct hash *content);

enum awaited { AWAITED_DONE, AWAITED_CHUNK, AWAITED_STOPPED };
/* Blocks until the slot is hashed (DONE), or a queued chunk can be worked on meanwhile (CHUNK: *job). After
 * a stop it waits only until nobody holds the slot any more. */
enum awaited work_queue_await_slot(struct work_queue *queue, struct chunk_slot *slot, struct chunk_job *job);
/* Blocks until the segment, which is the next to be delivered, is done; false: the queue was stopped. */
bool work_queue_await_segment(struct work_queue *queue, const struct segment *segment);
bool work_queue_is_done(struct work_queue *queue, const struct segment *segment);

/* Encoded entries that wait for their turn are bounded in bytes too: extended attributes may make each of
 * them large. A worker tells what it has added to its segment, and is held while there is too much,
 * unless the segment is the one that all wait for. */
enum { WORK_QUEUE_HELD_BYTES = 32 * 1024 * 1024 };
void work_queue_added(struct work_queue *queue, struct segment *segment);
/* The segment's entries are in the manifest, or given up. */
void work_queue_delivered(struct work_queue *queue, struct segment *segment);

/* No more segments will come. */
void work_queue_end(struct work_queue *queue);
/* Nothing more is given out, and who waits is woken. */
void work_queue_stop(struct work_queue *queue);

#endif
