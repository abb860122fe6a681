#include "transporter/pipeline/restore_queue.h"

#include <stdlib.h>

void restore_item_free(struct restore_item *item)
{
    if (!item) return;
    buf_deinit(&item->frame);
    free(item);
}

void restore_queue_init(struct restore_queue *queue, size_t limit_bytes)
{
    *queue = (struct restore_queue){.limit = limit_bytes};
    queue->last = &queue->first;
    (void)pthread_mutex_init(&queue->lock, NULL);
    (void)pthread_cond_init(&queue->not_empty, NULL);
    (void)pthread_cond_init(&queue->not_full, NULL);
}

void restore_queue_deinit(struct restore_queue *queue)
{
    while (queue->first) {
        struct restore_item *item = queue->first;
        queue->first = item->next;
        restore_item_free(item);
    }
    (void)pthread_mutex_destroy(&queue->lock);
    (void)pthread_cond_destroy(&queue->not_empty);
    (void)pthread_cond_destroy(&queue->not_full);
}

/* Of a missing chunk there is at least the reason. */
static size_t item_bytes(const struct restore_item *item)
{
    return sizeof(*item) + item->frame.cap;
}

bool restore_queue_put(struct restore_queue *queue, struct restore_item *item)
{
    (void)pthread_mutex_lock(&queue->lock);
    while (!queue->closed && queue->bytes > 0 && queue->bytes + item_bytes(item) > queue->limit)
        (void)pthread_cond_wait(&queue->not_full, &queue->lock);
    bool open = !queue->closed;
    if (open) {
        item->next = NULL;
        *queue->last = item;
        queue->last = &item->next;
        queue->bytes += item_bytes(item);
        (void)pthread_cond_signal(&queue->not_empty);
    }
    (void)pthread_mutex_unlock(&queue->lock);
    if (!open) restore_item_free(item);
    return open;
}

struct restore_item *restore_queue_get(struct restore_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    while (!queue->first && !queue->closed)
        (void)pthread_cond_wait(&queue->not_empty, &queue->lock);
    struct restore_item *item = queue->first;
    if (item) {
        queue->first = item->next;
        if (!queue->first) queue->last = &queue->first;
        queue->bytes -= item_bytes(item);
        (void)pthread_cond_signal(&queue->not_full);
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return item;
}

void restore_queue_close(struct restore_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    (void)pthread_cond_broadcast(&queue->not_empty);
    (void)pthread_cond_broadcast(&queue->not_full);
    (void)pthread_mutex_unlock(&queue->lock);
}
