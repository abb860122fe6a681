#include "transporter/loop/answer_window.h"

#include "common/base/alloc.h"
#include "common/base/lock.h"

/* RunAnswer serials have the top bit, RunEnd serials have not. */
#define ANSWER_BIT (UINT64_C(1) << 63)

struct answer_window {
    unsigned size;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t moved;
    unsigned under_way;
    uint64_t last_serial;
    bool closed;
};

struct answer_window *answer_window_new(unsigned size)
{
    struct answer_window *window = xcalloc(1, sizeof(*window));
    window->size = size;
    (void)pthread_mutex_init(&window->lock, NULL);
    (void)pthread_cond_init(&window->moved, NULL);
    return window;
}

void answer_window_free(struct answer_window *window)
{
    if (!window) return;
    (void)pthread_cond_destroy(&window->moved);
    (void)pthread_mutex_destroy(&window->lock);
    free(window);
}

bool answer_window_enter(struct answer_window *window, uint64_t *serial)
{
    LOCK_HERE(&window->lock);
    while (window->under_way >= window->size && !window->closed)
        (void)pthread_cond_wait(&window->moved, &window->lock);
    if (window->closed) return false;
    window->under_way++;
    *serial = ++window->last_serial | ANSWER_BIT;
    return true;
}

bool answer_window_is_answer(uint64_t serial)
{
    return (serial & ANSWER_BIT) != 0;
}

void answer_window_leave(struct answer_window *window)
{
    LOCK_HERE(&window->lock);
    if (window->under_way > 0) window->under_way--;
    (void)pthread_cond_broadcast(&window->moved);
}

void answer_window_reset(struct answer_window *window)
{
    LOCK_HERE(&window->lock);
    window->under_way = 0;
    (void)pthread_cond_broadcast(&window->moved);
}

void answer_window_close(struct answer_window *window)
{
    LOCK_HERE(&window->lock);
    window->closed = true;
    (void)pthread_cond_broadcast(&window->moved);
}
