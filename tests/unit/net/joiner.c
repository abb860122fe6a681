#include "joiner.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool read_exactly(int fd, void *out, size_t len)
{
    return recv(fd, out, len, MSG_WAITALL) == (ssize_t)len;
}

static bool say(int fd, const char *bytes, size_t len)
{
    return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool hear_login(int fd, const char *login)
{
    uint8_t got[513];
    const size_t len = strlen(login);
    return say(fd, "\5\2", 2) && read_exactly(fd, got, len) && memcmp(got, login, len) == 0 &&
           say(fd, "\1\0", 2);
}

/* Greeting, then a CONNECT to a name or an IPv4 address. */
static bool greet(struct joiner *joiner, int fd, char name[256], uint16_t *port)
{
    uint8_t head[4];
    uint8_t methods[255];
    uint8_t len = 4;
    uint8_t number[2];
    if (!read_exactly(fd, head, 2) || head[0] != 5 || !read_exactly(fd, methods, head[1])) return false;
    if (joiner->login ? !hear_login(fd, joiner->login) : !say(fd, "\5\0", 2)) return false;
    if (!read_exactly(fd, head, 4) || head[1] != 1) return false;
    if (head[3] == 3 && !read_exactly(fd, &len, 1)) return false;
    if (!read_exactly(fd, name, len) || !read_exactly(fd, number, 2)) return false;
    name[len] = '\0';
    if (head[3] == 1) (void)snprintf(name, 256, "ipv4");
    *port = (uint16_t)(number[0] << 8 | number[1]);
    atomic_fetch_add(&joiner->callers, 1);
    return true;
}

static bool answer(int fd)
{
    return say(fd, "\5\0\0\1\0\0\0\0\0\0", 10);
}

static int dial(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) return fd;
    close(fd);
    return -1;
}

static bool pass_on(int from, int to)
{
    char bytes[65536];
    ssize_t len = recv(from, bytes, sizeof(bytes), 0);
    return len > 0 && send(to, bytes, (size_t)len, MSG_NOSIGNAL) == len;
}

static void splice(struct joiner *joiner, int one, int other)
{
    for (;;) {
        const short wanted = atomic_load(&joiner->frozen) ? 0 : POLLIN;
        struct pollfd fds[] = {{.fd = one, .events = wanted},
                               {.fd = other, .events = wanted},
                               {.fd = joiner->stop[0], .events = POLLIN}};
        if (poll(fds, 3, 10) < 0 || fds[2].revents) return;
        if (wanted && fds[0].revents && !pass_on(one, other)) return;
        if (wanted && fds[1].revents && !pass_on(other, one)) return;
    }
}

static int await_caller(struct joiner *joiner)
{
    struct pollfd fds[] = {{.fd = joiner->listener, .events = POLLIN},
                           {.fd = joiner->stop[0], .events = POLLIN}};
    if (poll(fds, 2, -1) < 0 || fds[1].revents) return -1;
    return accept(joiner->listener, NULL, NULL);
}

static void *run(void *argument)
{
    struct joiner *joiner = argument;
    uint16_t port = 0;
    AUTO(fd) int one = await_caller(joiner);
    if (one < 0 || !greet(joiner, one, joiner->asked_for[0], &port)) return NULL;
    if (joiner->mode != JOINER_MEETS && !answer(one)) return NULL;
    AUTO(fd) int other = joiner->mode == JOINER_FORWARDS ? dial(port) : await_caller(joiner);
    if (other < 0) return NULL;
    if (joiner->mode != JOINER_FORWARDS &&
        (!greet(joiner, other, joiner->asked_for[1], &port) || !answer(other)))
        return NULL;
    if (joiner->mode == JOINER_MEETS && !answer(one)) return NULL;
    splice(joiner, one, other);
    return NULL;
}

void joiner_init(struct joiner *joiner, enum joiner_mode mode)
{
    joiner_init_with_login(joiner, mode, NULL);
}

void joiner_init_with_login(struct joiner *joiner, enum joiner_mode mode, const char *login)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    *joiner = (struct joiner){.mode = mode, .login = login};
    joiner->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(joiner->listener, (struct sockaddr *)&address, len), 0);
    cr_assert_eq(listen(joiner->listener, 8), 0);
    cr_assert_eq(getsockname(joiner->listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(joiner->proxy, sizeof(joiner->proxy), "127.0.0.1:%u", ntohs(address.sin_port));
    cr_assert_eq(pipe(joiner->stop), 0);
    cr_assert_eq(pthread_create(&joiner->thread, NULL, run, joiner), 0);
}

void joiner_deinit(struct joiner *joiner)
{
    if (joiner->listener < 0) return;
    (void)!write(joiner->stop[1], "", 1);
    (void)pthread_join(joiner->thread, NULL);
    close(joiner->listener);
    close(joiner->stop[0]);
    close(joiner->stop[1]);
    joiner->listener = -1;
}
