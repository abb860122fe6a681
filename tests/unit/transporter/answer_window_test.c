#include "transporter/loop/answer_window.h"

#include <criterion/criterion.h>
#include <pthread.h>

TestSuite(answer_window, .timeout = 30);

struct waiting {
    struct answer_window *window;
    pthread_t thread;
    bool entered;
};

static void *enter(void *arg)
{
    struct waiting *waiting = arg;
    uint64_t serial;
    waiting->entered = answer_window_enter(waiting->window, &serial);
    return NULL;
}

static struct answer_window *full(unsigned size)
{
    struct answer_window *window = answer_window_new(size);
    for (unsigned i = 0; i < size; i++) {
        uint64_t serial = 0;
        cr_assert(answer_window_enter(window, &serial));
        cr_assert(answer_window_is_answer(serial));
    }
    return window;
}

/* `let` must end the waiting: the test ends by its timeout if it does not. */
static bool entered_after(struct answer_window *window, void (*let)(struct answer_window *window))
{
    struct waiting waiting = {.window = window};
    cr_assert_eq(pthread_create(&waiting.thread, NULL, enter, &waiting), 0);
    let(window);
    (void)pthread_join(waiting.thread, NULL);
    return waiting.entered;
}

Test(answer_window, an_arrival_makes_room_for_one)
{
    AUTO(answer_window) struct answer_window *window = full(2);
    cr_assert(entered_after(window, answer_window_leave));
    cr_assert(entered_after(window, answer_window_leave));
}

Test(answer_window, a_lost_connection_makes_room_for_all)
{
    AUTO(answer_window) struct answer_window *window = full(3);
    cr_assert(entered_after(window, answer_window_reset));
    cr_assert(entered_after(window, answer_window_leave));
}

Test(answer_window, nobody_waits_once_it_is_closed)
{
    AUTO(answer_window) struct answer_window *window = full(1);
    cr_assert_not(entered_after(window, answer_window_close));
    answer_window_leave(window);
    uint64_t serial = 0;
    cr_assert_not(answer_window_enter(window, &serial));
}

Test(answer_window, an_arrival_that_nobody_waits_for_counts_for_nothing)
{
    AUTO(answer_window) struct answer_window *window = answer_window_new(1);
    uint64_t first = 0, second = 0;
    answer_window_leave(window);
    cr_assert(answer_window_enter(window, &first));
    answer_window_leave(window);
    answer_window_leave(window);
    cr_assert(answer_window_enter(window, &second));
    cr_assert_neq(first, second);
    cr_assert_not(answer_window_is_answer(1));
}
