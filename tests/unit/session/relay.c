#include "relay.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PAIRS = 16, TICK_MS = 10 };

struct pair {
    int fds[2]; /* caller, target */
    uint64_t passed;
};

static void pair_close(struct pair *pair)
{
    for (int i = 0; i < 2; i++)
        if (pair->fds[i] >= 0) (void)close(pair->fds[i]);
    *pair = (struct pair){.fds = {-1, -1}};
}

static int dial(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) return fd;
    if (fd >= 0) (void)close(fd);
    return -1;
}

static void accept_one(struct relay *relay, struct pair *pairs)
{
    int caller = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
    if (caller < 0) return;
    for (int i = 0; i < PAIRS; i++) {
        if (pairs[i].fds[0] >= 0) continue;
        int target = atomic_load(&relay->refuse) ? -1 : dial(relay->target);
        if (target < 0) break;
        pairs[i] = (struct pair){.fds = {caller, target}};
        atomic_fetch_add(&relay->accepted, 1);
        return;
    }
    (void)close(caller);
}

/* How much may still pass before the connection is to be cut. */
static uint64_t allowance(const struct relay *relay, const struct pair *pair)
{
    uint64_t cut_after = atomic_load(&relay->cut_after);
    if (cut_after == 0 || atomic_load(&relay->cuts_left) == 0) return UINT64_MAX;
    return pair->passed < cut_after ? cut_after - pair->passed : 0;
}

static void flip(struct relay *relay, const struct pair *pair, uint8_t *bytes, uint64_t len)
{
    uint64_t at = atomic_load(&relay->flip_after);
    if (at == 0 || atomic_load(&relay->flips_left) == 0) return;
    if (at < pair->passed || at >= pair->passed + len) return;
    bytes[at - pair->passed] ^= 0x10;
    atomic_fetch_sub(&relay->flips_left, 1);
}

static void pass_on(struct relay *relay, struct pair *pair, int from)
{
    uint8_t bytes[65536];
    uint64_t most = allowance(relay, pair);
    size_t want = most < sizeof(bytes) ? (size_t)most : sizeof(bytes);
    ssize_t got = want ? recv(pair->fds[from], bytes, want, 0) : 0;
    if (got > 0) flip(relay, pair, bytes, (uint64_t)got);
    if (got > 0 && send(pair->fds[!from], bytes, (size_t)got, MSG_NOSIGNAL) == got) {
        pair->passed += (uint64_t)got;
        return;
    }
    if (want == 0 && atomic_fetch_sub(&relay->cuts_left, 1) == 1 && atomic_load(&relay->stay_down))
        atomic_store(&relay->refuse, true);
    pair_close(pair);
}

static void tick(struct relay *relay, struct pair *pairs)
{
    struct pollfd fds[2 + 2 * PAIRS] = {{.fd = relay->stop[0], .events = POLLIN},
                                        {.fd = relay->listener, .events = POLLIN}};
    bool frozen = atomic_load(&relay->frozen);
    for (int i = 0; i < 2 * PAIRS; i++)
        fds[2 + i] = (struct pollfd){.fd = frozen ? -1 : pairs[i / 2].fds[i % 2], .events = POLLIN};
    (void)poll(fds, 2 + 2 * PAIRS, TICK_MS);
    if (fds[1].revents) accept_one(relay, pairs);
    for (int i = 0; i < 2 * PAIRS; i++) {
        struct pair *pair = &pairs[i / 2];
        if (atomic_load(&relay->refuse)) pair_close(pair);
        if (fds[2 + i].revents && pair->fds[0] >= 0) pass_on(relay, pair, i % 2);
    }
}

static void *relay_main(void *arg)
{
    struct relay *relay = arg;
    struct pair pairs[PAIRS];
    for (int i = 0; i < PAIRS; i++)
        pairs[i] = (struct pair){.fds = {-1, -1}};
    struct pollfd stop = {.fd = relay->stop[0], .events = POLLIN};
    while (poll(&stop, 1, 0) == 0)
        tick(relay, pairs);
    for (int i = 0; i < PAIRS; i++)
        pair_close(&pairs[i]);
    return NULL;
}

struct relay *relay_new(const char *endpoint)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    atomic_store(&relay->target, (uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(relay->listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
              listen(relay->listener, 16) == 0);
    cr_assert_eq(getsockname(relay->listener, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(relay->endpoint, sizeof(relay->endpoint), "tcp://127.0.0.1:%d", ntohs(at.sin_port));
    cr_assert_eq(pipe(relay->stop), 0);
    cr_assert_eq(pthread_create(&relay->thread, NULL, relay_main, relay), 0);
    return relay;
}

void relay_free(struct relay *relay)
{
    if (!relay) return;
    (void)close(relay->stop[1]);
    (void)pthread_join(relay->thread, NULL);
    (void)close(relay->stop[0]);
    (void)close(relay->listener);
    free(relay);
}
