#include "transporter/loop/outbox.h"

#include "common/base/alloc.h"
#include "common/base/lock.h"

enum { DROP_FROM = 256 };

struct outbox {
    const struct net_wake *wake;
    pthread_mutex_t lock;
    struct outbox_item *first, **last;
    size_t count, bytes;
    bool overfull;
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
    LOCK_HERE(&outbox->lock);
    outbox->overfull = false;
}

static size_t cost(const struct outbox_item *item)
{
    return item->counts ? sizeof(*item) + item->head.len + item->payload.len : 0;
}

void outbox_free(struct outbox *outbox)
{
    if (!outbox) return;
    outbox_clear(outbox);
    (void)pthread_mutex_destroy(&outbox->lock);
    free(outbox);
}

static void put_first(struct outbox *outbox, struct outbox_item *item)
{
    item->next = outbox->first;
    outbox->first = item;
    if (!item->next) outbox->last = &item->next;
    outbox->count++;
    outbox->bytes += cost(item);
}

static void put_last(struct outbox *outbox, struct outbox_item *item)
{
    *outbox->last = item;
    outbox->last = &item->next;
    outbox->count++;
    outbox->bytes += cost(item);
}

static bool put(struct outbox *outbox, struct outbox_item *item, enum outbox_need need)
{
    LOCK_HERE(&outbox->lock);
    if (need == OUTBOX_DROP_WHEN_FULL && outbox->count >= DROP_FROM) return false;
    if (outbox->bytes + cost(item) > OUTBOX_MOST_BYTES) {
        outbox->overfull = true;
        return false;
    }
    if (need == OUTBOX_FIRST)
        put_first(outbox, item);
    else
        put_last(outbox, item);
    return true;
}

void outbox_put(struct outbox *outbox, Sealift__Head *head, struct span payload, enum outbox_need need)
{
    struct outbox_item *item = xcalloc(1, sizeof(*item));
    head_encode(head, &item->head);
    buf_put_span(&item->payload, payload);
    item->counts = need != OUTBOX_WHOLE;
    if (!put(outbox, item, need)) outbox_item_free(item);
    outbox_wake(outbox);
}

size_t outbox_bytes(struct outbox *outbox)
{
    LOCK_HERE(&outbox->lock);
    return outbox->bytes;
}

bool outbox_is_overfull(struct outbox *outbox)
{
    LOCK_HERE(&outbox->lock);
    return outbox->overfull;
}

void outbox_wake(const struct outbox *outbox)
{
    net_wake_signal(outbox->wake);
}

struct outbox_item *outbox_take(struct outbox *outbox)
{
    LOCK_HERE(&outbox->lock);
    struct outbox_item *item = outbox->first;
    if (!item) return NULL;
    outbox->first = item->next;
    if (!outbox->first) outbox->last = &outbox->first;
    outbox->count--;
    outbox->bytes -= cost(item);
    item->next = NULL;
    return item;
}

void outbox_return(struct outbox *outbox, struct outbox_item *item)
{
    LOCK_HERE(&outbox->lock);
    put_first(outbox, item);
}
