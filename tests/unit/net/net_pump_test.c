/* The pump between libzmq's connection and the network's, with both of them the test's. */
#include "common/net/net_pump.h"

#include "common/base/auto.h"
#include "common/net/net_wake.h"
#include "common/net/net_zmq.h"
#include "loopback.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LAST_WORDS_MS = 250 }; /* what libzmq gets to take what came before the end */

struct pumping {
    int inner[2], outer[2]; /* [0] is the pump's end */
    struct net_wake finish;
    pthread_t thread;
    struct net_pump_result result;
};

static int64_t at_once(void *owner)
{
    (void)owner;
    return net_deadline(0);
}

static void *pump(void *arg)
{
    struct pumping *pumping = arg;
    const struct net_pump options = {.inner = pumping->inner[0],
                                     .outer = pumping->outer[0],
                                     .handshake_ms = DEADLINE_MS,
                                     .finish = pumping->finish.fd,
                                     .finish_by = at_once};
    pumping->result = net_pump_run(&options);
    return NULL;
}

static void pumping_init(struct pumping *pumping)
{
    struct err err;
    cr_assert(net_wake_init(&pumping->finish, &err), "%s", err.text);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pumping->inner), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pumping->outer), 0);
    cr_assert_eq(pthread_create(&pumping->thread, NULL, pump, pumping), 0);
}

static void close_end(int *fd)
{
    auto_close_fd(*fd);
    *fd = -1;
}

/* How long the pump still ran. */
static long pumping_join(struct pumping *pumping)
{
    const long began = now_ms();
    cr_assert_eq(pthread_join(pumping->thread, NULL), 0);
    const long took = now_ms() - began;
    for (int i = 0; i < 2; i++) {
        close_end(&pumping->inner[i]);
        close_end(&pumping->outer[i]);
    }
    net_wake_deinit(&pumping->finish);
    return took;
}

/* A CURVE server's part of the handshake, as far as its outside goes: greeting, WELCOME, READY. */
static void shake_hands(const struct pumping *pumping)
{
    uint8_t said[64 + 3 + 3] = {[64] = 4, [65] = 1, [66] = 'w', [67] = 4, [68] = 1, [69] = 'r'};
    cr_assert_eq(send(pumping->outer[1], said, sizeof(said), MSG_NOSIGNAL), (ssize_t)sizeof(said));
}

/* Reads at libzmq's end until `words` have come. */
static void hear(const struct pumping *pumping, const char *words)
{
    char heard[256] = "";
    size_t len = 0, wanted = strlen(words);
    while (len < wanted || memcmp(heard + len - wanted, words, wanted) != 0) {
        struct pollfd fd = {.fd = pumping->inner[1], .events = POLLIN};
        cr_assert_eq(poll(&fd, 1, DEADLINE_MS), 1, "'%s' did not come", words);
        ssize_t got = recv(pumping->inner[1], heard + len, sizeof(heard) - len, 0);
        cr_assert_gt(got, 0);
        len += (size_t)got;
    }
}

static void say_last(struct pumping *pumping)
{
    cr_assert_eq(send(pumping->outer[1], "last words", 10, MSG_NOSIGNAL), 10);
    close_end(&pumping->outer[1]);
    hear(pumping, "last words");
}

/* libzmq drops what it has read and nobody has taken when it hears of the end. */
Test(net_pump, gives_libzmq_time_for_the_last_words_from_outside)
{
    struct pumping pumping;
    pumping_init(&pumping);
    shake_hands(&pumping);
    const long began = now_ms();
    say_last(&pumping);
    (void)pumping_join(&pumping);
    cr_assert_geq(now_ms() - began, LAST_WORDS_MS);
    cr_assert_eq(pumping.result.end, NET_PUMP_OUTER);
    cr_assert(pumping.result.shook_hands);
}

/* A pump that waits takes as long each time; one that does not may be held up, but not by the machine alone
 * every time. */
static void expect_no_wait(long (*one_pump)(void))
{
    enum { TRIES = 40 };
    long took = LAST_WORDS_MS;
    for (int i = 0; i < TRIES && took >= LAST_WORDS_MS; i++)
        took = one_pump();
    cr_assert_lt(took, LAST_WORDS_MS);
}

static long pump_that_libzmq_leaves(void)
{
    struct pumping pumping;
    pumping_init(&pumping);
    shake_hands(&pumping);
    say_last(&pumping);
    close_end(&pumping.inner[1]);
    return pumping_join(&pumping);
}

Test(net_pump, waits_no_longer_than_libzmq_does)
{
    expect_no_wait(pump_that_libzmq_leaves);
}

static long pump_that_is_to_end(void)
{
    struct pumping pumping;
    pumping_init(&pumping);
    shake_hands(&pumping);
    say_last(&pumping);
    net_wake_signal(&pumping.finish);
    return pumping_join(&pumping);
}

Test(net_pump, that_is_to_end_does_not_wait)
{
    expect_no_wait(pump_that_is_to_end);
}

static long pump_without_hands_shaken(void)
{
    struct pumping pumping;
    pumping_init(&pumping);
    close_end(&pumping.outer[1]);
    long took = pumping_join(&pumping);
    cr_assert_eq(pumping.result.end, NET_PUMP_OUTER);
    cr_assert_not(pumping.result.shook_hands);
    return took;
}

/* Nothing was said that anybody could take. */
Test(net_pump, does_not_wait_where_hands_were_not_shaken)
{
    expect_no_wait(pump_without_hands_shaken);
}
