/* Frames on their way from the fetch to the writers, bounded in bytes. Private to the restore. */
#ifndef SEALIFT_PIPELINE_RESTORE_QUEUE_H
#define SEALIFT_PIPELINE_RESTORE_QUEUE_H

#include "transporter/pipeline/restore_window.h"

struct restore_item {
    struct restore_window *window;
    uint32_t index;   /* of the chunk in its window */
    struct buf frame; /* owned; empty: the chunk is missing */
    struct err why;   /* of a missing chunk, or of the first copy that did not open */
    unsigned skip;    /* copies that did not open */
    struct restore_item *next;
};

struct restore_queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    struct restore_item *first, **last;
    size_t bytes, limit;
    bool closed; /* nothing more comes, or everybody stops */
};

void restore_queue_init(struct restore_queue *queue, size_t limit_bytes);
void restore_queue_deinit(struct restore_queue *queue); /* frees what is left */
/* Takes the item. Blocks while full. false when closed: the item is freed. */
bool restore_queue_put(struct restore_queue *queue, struct restore_item *item);
/* NULL when closed and empty */
struct restore_item *restore_queue_get(struct restore_queue *queue);
void restore_queue_close(struct restore_queue *queue);
void restore_item_free(struct restore_item *item);

#endif
