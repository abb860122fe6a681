#include "transporter/session/payload_spares.h"

#include "common/base/alloc.h"

#include <pthread.h>

enum { KEPT = 32 };

struct payload_spares {
    pthread_mutex_t lock;
    size_t limit, bytes;
    size_t lent;
    bool left; /* by its owner */
    size_t count;
    struct buf kept[KEPT];
};

struct loan {
    struct payload_spares *spares;
    struct buf memory;
};

struct payload_spares *payload_spares_new(size_t limit)
{
    struct payload_spares *spares = xcalloc(1, sizeof(*spares));
    (void)pthread_mutex_init(&spares->lock, NULL);
    spares->limit = limit;
    return spares;
}

static void destroy(struct payload_spares *spares)
{
    for (size_t i = 0; i < spares->count; i++)
        buf_deinit(&spares->kept[i]);
    (void)pthread_mutex_destroy(&spares->lock);
    free(spares);
}

void payload_spares_free(struct payload_spares *spares)
{
    if (!spares) return;
    (void)pthread_mutex_lock(&spares->lock);
    spares->left = true;
    bool last = spares->lent == 0;
    (void)pthread_mutex_unlock(&spares->lock);
    if (last) destroy(spares);
}

static void came_back(void *data, void *context)
{
    (void)data;
    struct loan *loan = context;
    struct payload_spares *spares = loan->spares;
    (void)pthread_mutex_lock(&spares->lock);
    if (!spares->left && spares->count < KEPT && spares->bytes + loan->memory.cap <= spares->limit) {
        spares->bytes += loan->memory.cap;
        spares->kept[spares->count++] = loan->memory;
        loan->memory = (struct buf){0};
    }
    spares->lent--;
    bool last = spares->left && spares->lent == 0;
    (void)pthread_mutex_unlock(&spares->lock);
    buf_deinit(&loan->memory);
    free(loan);
    if (last) destroy(spares);
}

void payload_spares_lend(struct payload_spares *spares, struct buf *payload, struct net_message *message)
{
    struct loan *loan = xmalloc(sizeof(*loan));
    *loan = (struct loan){.spares = spares, .memory = *payload};
    *payload = (struct buf){0};
    (void)pthread_mutex_lock(&spares->lock);
    spares->lent++;
    if (spares->count > 0) {
        *payload = spares->kept[--spares->count];
        spares->bytes -= payload->cap;
        buf_clear(payload);
    }
    (void)pthread_mutex_unlock(&spares->lock);
    net_message_take_payload(message, loan->memory.data, loan->memory.len, came_back, loan);
}
