#include "transporter/loop/outbox.h"

#include "common/base/alloc.h"

#include <pthread.h>

enum { DROP_FROM = 256 };

struct outbox {
    const struct net_wake *wake;
    pthread_mutex_t lock;
    struct outbox_item *first, **last;
    size_t count;
};

struct outbox *outbox_new(const struct net_wake *wake)
{
    struct outbox *outbox = xcalloc(1, sizeof(*outbox));
    outbox->wake = wake;
    outbox->last = &outbox->first;
    (void)pthread_mutex_init(&outbox->lock, NULL);
    return outbox;
}

void outbox_item_free(struct outbox_item *item)
{
    if (!item) return;
    buf_deinit(&item->head);
    buf_deinit(&item->payload);
    free(item);
}

void outbox_clear(struct outbox *outbox)
{
    for (struct outbox_item *item; (item = outbox_take(outbox));)
        outbox_item_free(item);
}

void outbox_free(struct outbox *outbox)
{
    if (!outbox) return;
    outbox_clear(outbox);
    (void)pthread_mutex_destroy(&outbox->lock);
    free(outbox);
}

void outbox_put(struct outbox *outbox, Sealift__Head *head, struct span payload, enum outbox_need need)
{
    struct outbox_item *item = xcalloc(1, sizeof(*item));
    head_encode(head, &item->head);
    buf_put_span(&item->payload, payload);
    (void)pthread_mutex_lock(&outbox->lock);
    bool take = need == OUTBOX_KEEP || outbox->count < DROP_FROM;
    if (take) {
        *outbox->last = item;
        outbox->last = &item->next;
        outbox->count++;
    }
    (void)pthread_mutex_unlock(&outbox->lock);
    if (take)
        net_wake_signal(outbox->wake);
    else
        outbox_item_free(item);
}

struct outbox_item *outbox_take(struct outbox *outbox)
{
    (void)pthread_mutex_lock(&outbox->lock);
    struct outbox_item *item = outbox->first;
    if (item) {
        outbox->first = item->next;
        if (!outbox->first) outbox->last = &outbox->first;
        outbox->count--;
        item->next = NULL;
    }
    (void)pthread_mutex_unlock(&outbox->lock);
    return item;
}

void outbox_return(struct outbox *outbox, struct outbox_item *item)
{
    (void)pthread_mutex_lock(&outbox->lock);
    item->next = outbox->first;
    outbox->first = item;
    if (!item->next) outbox->last = &item->next;
    outbox->count++;
    (void)pthread_mutex_unlock(&outbox->lock);
}
