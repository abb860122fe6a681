#include "transporter/kms/kmip_link.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"

#include <criterion/criterion.h>
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

/* The system's resolver, whose part is taken here: "slow" answers when it is let go, "two" is two addresses.
 */
int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out);

static sem_t let_go;

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    if (hints->ai_flags & AI_NUMERICHOST) return __real_getaddrinfo(host, port, hints, out);
    if (strcmp(host, "slow") == 0) {
        (void)sem_wait(&let_go);
        return __real_getaddrinfo("127.0.0.1", port, hints, out);
    }
    if (strcmp(host, "two") != 0) return EAI_NONAME;
    int code = __real_getaddrinfo("127.0.0.1", port, hints, out);
    return code ? code : __real_getaddrinfo("127.0.0.2", port, hints, &(*out)->ai_next);
}

static void setup(void)
{
    (void)sem_init(&let_go, 0, 0);
}

TestSuite(kmip_link, .init = setup);

static void expect_unreachable(char *host, uint32_t timeout_ms, const char *why)
{
    struct kmip_link *link = NULL;
    struct err err = {0};
    const struct kms_uri uri = {.kind = KMS_KMIP, .host = host, .port = KMIP_PORT};
    cr_assert_not(kmip_link_open(&uri, timeout_ms, &link, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE);
    cr_assert_not_null(strstr(err.text, why), "%s", err.text);
}

Test(kmip_link, says_why_a_server_has_no_address, .timeout = 60)
{
    char none[] = "none", slow[] = "slow";
    expect_unreachable(none, 10000, gai_strerror(EAI_NONAME));
    expect_unreachable(slow, 50, "its name was not found in time");
    (void)sem_post(&let_go);
}

/* A listener that takes no more connections: to connect there waits for ever. */
struct deaf {
    int listener, waiting[4];
    uint16_t port;
};

static struct deaf deaf_make(void)
{
    struct deaf deaf;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    deaf.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(deaf.listener, (const struct sockaddr *)&at, len), 0);
    cr_assert_eq(listen(deaf.listener, 0), 0);
    cr_assert_eq(getsockname(deaf.listener, (struct sockaddr *)&at, &len), 0);
    for (size_t i = 0; i < 4; i++) {
        deaf.waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(deaf.waiting[i], (const struct sockaddr *)&at, len);
    }
    deaf.port = ntohs(at.sin_port);
    return deaf;
}

static void deaf_close(struct deaf *deaf)
{
    for (size_t i = 0; i < 4; i++)
        (void)close(deaf->waiting[i]);
    (void)close(deaf->listener);
}

/* At the second address nobody listens, which is said at once: so it was tried. */
Test(kmip_link, leaves_time_for_the_second_address_of_a_server, .timeout = 60)
{
    struct deaf deaf = deaf_make();
    struct kmip_link *link = NULL;
    struct err err = {0};
    char host[] = "two";
    const struct kms_uri uri = {.kind = KMS_KMIP, .host = host, .port = deaf.port};
    uint64_t began_ms = clock_steady_ms();
    cr_assert_not(kmip_link_open(&uri, 1600, &link, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE);
    cr_assert_not_null(strstr(err.text, "Connection refused"), "%s", err.text);
    cr_assert_geq(clock_steady_ms() - began_ms, 600);
    deaf_close(&deaf);
}
