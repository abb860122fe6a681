#include "common/net/net_dial.h"

#include "common/net/net_wake.h"
#include "loopback.h"

#include <criterion/criterion.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

/* The system's resolver, but for the names of this test: "slow.test" is 127.0.0.1 when it is let go. */
int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out);

static sem_t asked, let_go;

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    if ((hints->ai_flags & AI_NUMERICHOST) || strcmp(host, "slow.test") != 0)
        return __real_getaddrinfo(host, port, hints, out);
    (void)sem_post(&asked);
    (void)sem_wait(&let_go);
    return __real_getaddrinfo("127.0.0.1", port, hints, out);
}

static void setup(void)
{
    (void)sem_init(&asked, 0, 0);
    (void)sem_init(&let_go, 0, 0);
}

TestSuite(net_dial, .init = setup, .timeout = 30);

static void *give_up(void *arg)
{
    (void)sem_wait(&asked);
    net_wake_signal(arg);
    return NULL;
}

/* A daemon that is to stop does not wait for a name server that is away. */
Test(net_dial, leaves_a_resolver_that_does_not_answer_when_it_is_given_up)
{
    struct err err;
    struct net_reach_result result = {.reason = NET_REACHED};
    AUTO(net_wake) struct net_wake wake;
    pthread_t thread;
    cr_assert(net_wake_init(&wake, &err), "%s", err.text);
    const struct host_port target = {.host = "slow.test", .port = 7};
    const struct net_dial dial = {.target = &target,
                                  .connect_ms = DEADLINE_MS,
                                  .endings = {{.fd = -1}, {.fd = wake.fd, .events = POLLIN}}};
    cr_assert_eq(pthread_create(&thread, NULL, give_up, &wake), 0);
    cr_assert_eq(net_dial(&dial, &result), -1);
    cr_assert_eq(result.reason, NET_REACH_GIVEN_UP);
    (void)pthread_join(thread, NULL);
    (void)sem_post(&let_go);
}
