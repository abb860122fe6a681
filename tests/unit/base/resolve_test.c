#include "common/base/resolve.h"

#include "common/base/clock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/eventfd.h>

/* The system's resolver, whose part is taken here: "slow" answers when it is let go, and there is no other
 * name. */
int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out);

static sem_t asked, let_go;
static unsigned questions;

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    if (hints->ai_flags & AI_NUMERICHOST) return __real_getaddrinfo(host, port, hints, out);
    questions++;
    (void)sem_post(&asked);
    if (strcmp(host, "slow") != 0) return EAI_NONAME;
    (void)sem_wait(&let_go);
    return __real_getaddrinfo("127.0.0.1", port, hints, out);
}

static void setup(void)
{
    (void)sem_init(&asked, 0, 0);
    (void)sem_init(&let_go, 0, 0);
    questions = 0;
}

TestSuite(resolve, .init = setup, .timeout = 30);

static const struct resolve_end never = {.until_ms = RESOLVE_FOR_EVER};

Test(resolve, takes_an_address_without_asking_anybody)
{
    AUTO(addresses) struct addrinfo *found = NULL;
    const struct resolve_end over = {.until_ms = 0};
    cr_assert_eq(resolve_host("::1", 5696, &over, &found), 0);
    cr_assert_eq(found->ai_family, AF_INET6);
    cr_assert_eq(questions, 0);
}

Test(resolve, says_why_there_is_no_address)
{
    struct addrinfo *found = NULL;
    cr_assert_eq(resolve_host("none", 5696, &never, &found), EAI_NONAME);
    cr_assert_null(found);
}

Test(resolve, waits_for_a_resolver_that_takes_its_time)
{
    const struct resolve_end ends[] = {never, {.until_ms = clock_steady_ms() + 20000}};
    for (size_t i = 0; i < 2; i++) {
        AUTO(addresses) struct addrinfo *found = NULL;
        (void)sem_post(&let_go);
        cr_assert_eq(resolve_host("slow", 5696, &ends[i], &found), 0);
        const struct sockaddr_in *at = (const void *)found->ai_addr;
        cr_assert_eq(ntohs(at->sin_port), 5696);
    }
}

Test(resolve, leaves_a_resolver_that_does_not_answer_in_time)
{
    struct addrinfo *found = NULL;
    const uint64_t began_ms = clock_steady_ms();
    const struct resolve_end end = {.until_ms = began_ms + 50};
    cr_assert_eq(resolve_host("slow", 5696, &end, &found), RESOLVE_GIVEN_UP);
    cr_assert_null(found);
    cr_assert_geq(clock_steady_ms(), end.until_ms);
    (void)sem_post(&let_go);
}

static void *give_up(void *arg)
{
    (void)sem_wait(&asked);
    (void)eventfd_write(*(const int *)arg, 1);
    return NULL;
}

Test(resolve, leaves_a_resolver_that_does_not_answer_when_it_is_given_up)
{
    struct addrinfo *found = NULL;
    pthread_t thread;
    AUTO(fd) int wake = eventfd(0, EFD_CLOEXEC);
    const struct pollfd fds[] = {{.fd = -1}, {.fd = wake, .events = POLLIN}};
    const struct resolve_end end = {.fds = fds, .fd_count = 2, .until_ms = RESOLVE_FOR_EVER};
    cr_assert_eq(pthread_create(&thread, NULL, give_up, &wake), 0);
    cr_assert_eq(resolve_host("slow", 5696, &end, &found), RESOLVE_GIVEN_UP);
    (void)pthread_join(thread, NULL);
    (void)sem_post(&let_go);
}
