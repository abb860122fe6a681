/* The relay between a socket and its proxy, with both ends played by the test. */
#include "common/net/net_relay.h"

#include "common/base/alloc.h"
#include "loopback.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct scene {
    struct net_context *context;
    struct net_relay *relay;
    int proxy; /* listens */
    char proxy_address[64];
};

static struct net_relay_options relay_options(const char *proxy, int dial_timeout_ms)
{
    return (struct net_relay_options){.proxy = proxy,
                                      .target = "target:7",
                                      .connect_ms = dial_timeout_ms,
                                      .answer_ms = dial_timeout_ms,
                                      .handshake_ms = DEADLINE_MS,
                                      .reconnect_ms = 1,
                                      .reconnect_max_ms = 1};
}

static void scene_init(struct scene *scene, int dial_timeout_ms)
{
    struct err err;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    *scene = (struct scene){.proxy = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    cr_assert(bind(scene->proxy, (struct sockaddr *)&address, len) == 0 && listen(scene->proxy, 8) == 0);
    cr_assert_eq(getsockname(scene->proxy, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(scene->proxy_address, sizeof(scene->proxy_address), "127.0.0.1:%u",
                   ntohs(address.sin_port));
    cr_assert(net_context_new(1, &scene->context, &err), "%s", err.text);
    const struct net_relay_options options = relay_options(scene->proxy_address, dial_timeout_ms);
    cr_assert(net_relay_start(scene->context, &options, &scene->relay, &err), "%s", err.text);
}

static void scene_deinit(struct scene *scene)
{
    net_relay_finish(scene->relay, 0);
    net_context_free(scene->context);
    auto_close_fd(scene->proxy);
}
DEFINE_AUTO_IN_PLACE(scene, struct scene, scene_deinit)

/* Reads and writes that fail when the other side keeps them waiting. */
static int with_deadline(int fd)
{
    const struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
    cr_assert_geq(fd, 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
    return fd;
}

static int call_relay(const struct net_relay *relay)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = net_relay_address(relay) + strlen("ipc://@");
    memcpy(address.sun_path + 1, name, strlen(name));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, len), 0);
    return with_deadline(fd);
}

static int accept_call(const struct scene *scene)
{
    struct pollfd fd = {.fd = scene->proxy, .events = POLLIN};
    cr_assert_eq(poll(&fd, 1, DEADLINE_MS), 1, "the relay did not dial the proxy");
    return with_deadline(accept(scene->proxy, NULL, NULL));
}

static void expect(int fd, const void *bytes, size_t len)
{
    uint8_t got[300];
    cr_assert_eq(recv(fd, got, len, MSG_WAITALL), (ssize_t)len);
    cr_assert_arr_eq(got, bytes, len);
}

static void say(int fd, const void *bytes, size_t len)
{
    cr_assert_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void expect_end(int fd)
{
    char byte;
    errno = 0;
    cr_assert_leq(recv(fd, &byte, 1, 0), 0);
    cr_assert(errno != EAGAIN && errno != EWOULDBLOCK, "the connection was not ended");
}

static void play_proxy(int fd)
{
    expect(fd, "\5\1\0", 3);
    say(fd, "\5\0", 2);
    expect(fd, "\5\1\0\3\6target\0\7", 13);
    say(fd, "\5\0\0\1\1\2\3\4\5\6", 10);
}

Test(net_relay, asks_the_proxy_and_passes_bytes_both_ways)
{
    AUTO(scene) struct scene scene;
    scene_init(&scene, DEADLINE_MS);
    AUTO(fd) int inner = call_relay(scene.relay);
    say(inner, "early", 5);
    AUTO(fd) int outer = accept_call(&scene);
    play_proxy(outer);
    expect(outer, "early", 5);
    say(outer, "answer", 6);
    expect(inner, "answer", 6);
    struct err err;
    cr_assert(!net_relay_failure(scene.relay, &err));
}

Test(net_relay, bytes_right_behind_the_proxys_reply_belong_to_the_target)
{
    static const struct {
        const char *reply;
        size_t len;
    } replies[] = {
        {"\5\0\0\1\1\2\3\4\5\6first", 15}, {"\5\0\0\3\2ab\5\6first", 14}, {"\5\0\0\3\0\5\6first", 12}};
    AUTO(scene) struct scene scene;
    scene_init(&scene, DEADLINE_MS);
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        AUTO(fd) int inner = call_relay(scene.relay);
        AUTO(fd) int outer = accept_call(&scene);
        expect(outer, "\5\1\0", 3);
        say(outer, "\5\0", 2);
        expect(outer, "\5\1\0\3\6target\0\7", 13);
        say(outer, replies[i].reply, replies[i].len);
        expect(inner, "first", 5);
    }
}

Test(net_relay, ends_the_inner_connection_when_the_proxy_stops_at_any_byte)
{
    static const uint8_t script[] = {5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 5, 6};
    AUTO(scene) struct scene scene;
    scene_init(&scene, DEADLINE_MS);
    for (size_t len = 0; len < sizeof(script); len++) {
        struct err err;
        AUTO(fd) int inner = call_relay(scene.relay);
        AUTO(fd) int outer = accept_call(&scene);
        expect(outer, "\5\1\0", 3);
        say(outer, script, len < 2 ? len : 2);
        if (len >= 2) {
            expect(outer, "\5\1\0\3\6target\0\7", 13);
            say(outer, script + 2, len - 2);
        }
        cr_assert_eq(shutdown(outer, SHUT_WR), 0);
        expect_end(inner);
        cr_assert(net_relay_failure(scene.relay, &err), "%zu bytes", len);
        cr_assert_eq(err.code, ERR_UNREACHABLE);
    }
}

static void assert_failure(const struct scene *scene, const char *reason)
{
    struct err err;
    char expected[256];
    (void)snprintf(expected, sizeof(expected), "proxy '%s': %s", scene->proxy_address, reason);
    cr_assert(net_relay_failure(scene->relay, &err));
    cr_assert_str_eq(err.text, expected);
}

Test(net_relay, tells_why_the_proxy_refused)
{
    AUTO(scene) struct scene scene;
    scene_init(&scene, DEADLINE_MS);
    AUTO(fd) int inner = call_relay(scene.relay);
    AUTO(fd) int outer = accept_call(&scene);
    expect(outer, "\5\1\0", 3);
    say(outer, "\5\0", 2);
    expect(outer, "\5\1\0\3\6target\0\7", 13);
    say(outer, "\5\2\0\1\0\0\0\0\0\0", 10);
    expect_end(inner);
    assert_failure(&scene, "the proxy cannot connect: not allowed by its rules");
}

Test(net_relay, tells_that_nobody_listens_and_forgets_it_when_it_gets_through)
{
    AUTO(scene) struct scene scene;
    struct err err;
    scene_init(&scene, DEADLINE_MS);
    cr_assert(!net_relay_failure(scene.relay, &err));
    close(scene.proxy);
    AUTO(fd) int refused = call_relay(scene.relay);
    expect_end(refused);
    assert_failure(&scene, "refused: nobody listens there, or a firewall rejects it");

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    address.sin_port = htons((uint16_t)strtoul(strrchr(scene.proxy_address, ':') + 1, NULL, 10));
    scene.proxy = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    cr_assert_eq(setsockopt(scene.proxy, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    cr_assert_eq(bind(scene.proxy, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(scene.proxy, 8), 0);
    AUTO(fd) int inner = call_relay(scene.relay);
    AUTO(fd) int outer = accept_call(&scene);
    play_proxy(outer);
    say(outer, "x", 1);
    expect(inner, "x", 1);
    cr_assert(!net_relay_failure(scene.relay, &err));
}

/* four pauses of 20, 40, 80 and 80 ms, each by half shorter at most */
Test(net_relay, tries_that_fail_have_growing_pauses)
{
    struct err err;
    AUTO(scene) struct scene scene;
    struct net_relay_options options;
    scene_init(&scene, DEADLINE_MS);
    net_relay_finish(scene.relay, 0);
    options = relay_options("127.0.0.1:1", DEADLINE_MS);
    options.reconnect_ms = 20;
    options.reconnect_max_ms = 80;
    cr_assert(net_relay_start(scene.context, &options, &scene.relay, &err), "%s", err.text);
    const long began = now_ms();
    for (int i = 0; i < 5; i++) {
        AUTO(fd) int refused = call_relay(scene.relay);
        expect_end(refused);
    }
    cr_assert_geq(now_ms() - began, (20 + 40 + 80 + 80) / 2);
}

/* A relay that dials `joiner:9` through the proxy of the scene, with a login at each. */
static void begin_two_hops(struct scene *scene)
{
    struct err err;
    scene_init(scene, DEADLINE_MS);
    net_relay_finish(scene->relay, 0);
    struct net_relay_options options = relay_options("joiner:9", DEADLINE_MS);
    options.way_out = scene->proxy_address;
    AUTO(secret) struct secret *password = secret_copy("secret", 6);
    const struct login at[] = {
        {.address = scene->proxy_address, .user = (char[]){"site"}, .password = password},
        {.address = (char[]){"joiner:9"}, .user = (char[]){"me"}, .password = password}};
    AUTO(net_logins) struct net_logins *logins = NULL;
    cr_assert(net_logins_of(at, 2, &logins, &err), "%s", err.text);
    net_logins_swap(net_context_logins(scene->context), logins);
    cr_assert(net_relay_start(scene->context, &options, &scene->relay, &err), "%s", err.text);
}

static void play_way_out(int fd, const char *reply, size_t len)
{
    expect(fd, "\5\2\0\2", 4);
    say(fd, "\5\2", 2);
    expect(fd, "\1\4site\6secret", 13);
    say(fd, "\1\0", 2);
    expect(fd, "\5\1\0\3\6joiner\0\11", 13);
    say(fd, reply, len);
}

static void play_joiner(int fd, const char *reply, size_t len)
{
    expect(fd, "\5\2\0\2", 4);
    say(fd, "\5\2", 2);
    expect(fd, "\1\2me\6secret", 11);
    say(fd, "\1\0", 2);
    expect(fd, "\5\1\0\3\6target\0\7", 13);
    say(fd, reply, len);
}

Test(net_relay, asks_the_way_out_for_the_proxy_and_that_for_the_target)
{
    AUTO(scene) struct scene scene;
    begin_two_hops(&scene);
    AUTO(fd) int inner = call_relay(scene.relay);
    AUTO(fd) int outer = accept_call(&scene);
    play_way_out(outer, "\5\0\0\1\1\2\3\4\5\6", 10);
    play_joiner(outer, "\5\0\0\3\2ab\5\6first", 14);
    expect(inner, "first", 5);
    say(inner, "early", 5);
    expect(outer, "early", 5);
}

Test(net_relay, of_two_proxies_names_the_one_that_failed)
{
    static const char no[] = "\5\2\0\1\0\0\0\0\0\0", yes[] = "\5\0\0\1\1\2\3\4\5\6";
    AUTO(scene) struct scene scene;
    struct err err;
    begin_two_hops(&scene);
    AUTO(fd) int first = call_relay(scene.relay);
    AUTO(fd) int refuses = accept_call(&scene);
    play_way_out(refuses, no, 10);
    expect_end(first);
    assert_failure(&scene, "the proxy cannot connect: not allowed by its rules");
    AUTO(fd) int second = call_relay(scene.relay);
    AUTO(fd) int passes = accept_call(&scene);
    play_way_out(passes, yes, 10);
    play_joiner(passes, no, 10);
    expect_end(second);
    cr_assert(net_relay_failure(scene.relay, &err));
    cr_assert_str_eq(err.text, "proxy 'joiner:9': the proxy cannot connect: not allowed by its rules");
}

/* Only the last proxy may have to wait for somebody: a way out that does not answer is down. */
Test(net_relay, does_not_wait_for_ever_for_the_way_out)
{
    AUTO(scene) struct scene scene;
    struct err err;
    scene_init(&scene, DEADLINE_MS);
    net_relay_finish(scene.relay, 0);
    struct net_relay_options options = relay_options("joiner:9", 50);
    options.way_out = scene.proxy_address;
    options.answer_ms = -1;
    cr_assert(net_relay_start(scene.context, &options, &scene.relay, &err), "%s", err.text);
    AUTO(fd) int inner = call_relay(scene.relay);
    AUTO(fd) int outer = accept_call(&scene);
    expect(outer, "\5\1\0", 3);
    say(outer, "\5\0", 2);
    expect_end(inner);
    cr_assert(net_relay_failure(scene.relay, &err));
    cr_assert_not_null(strstr(err.text, "the proxy does not say within "), "%s", err.text);
}

Test(net_relay, gives_a_silent_proxy_its_time_and_no_more)
{
    AUTO(scene) struct scene scene;
    scene_init(&scene, 50);
    AUTO(fd) int inner = call_relay(scene.relay);
    AUTO(fd) int outer = accept_call(&scene);
    expect_end(inner);
    assert_failure(&scene, "the proxy takes the connection and says nothing: is it a SOCKS5 proxy?");
}

Test(net_relay, lets_go_of_the_proxy_when_the_caller_gives_up)
{
    AUTO(scene) struct scene scene;
    scene_init(&scene, DEADLINE_MS);
    int inner = call_relay(scene.relay);
    AUTO(fd) int outer = accept_call(&scene);
    expect(outer, "\5\1\0", 3);
    close(inner);
    expect_end(outer);
}

Test(net_relay, takes_calls_from_its_own_process_only)
{
    AUTO(scene) struct scene scene;
    scene_init(&scene, DEADLINE_MS);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        int fd = call_relay(scene.relay);
        _exit(recv(fd, &byte, 1, 0) == 0 ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct pollfd fd = {.fd = scene.proxy, .events = POLLIN};
    cr_assert_eq(poll(&fd, 1, 0), 0, "a stranger reached the proxy");
}

Test(net_relay, passes_on_all_that_was_said_before_the_end)
{
    enum { SIZE = 8 << 20 };
    AUTO(scene) struct scene scene;
    AUTO(free) uint8_t *bytes = xmalloc(SIZE);
    AUTO(free) uint8_t *got = xmalloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    scene_init(&scene, DEADLINE_MS);
    int inner = call_relay(scene.relay);
    AUTO(fd) int outer = accept_call(&scene);
    play_proxy(outer);
    size_t sent = 0;
    size_t received = 0;
    while (received < SIZE) {
        if (sent < SIZE) {
            ssize_t len = send(inner, bytes + sent, SIZE - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (len > 0) sent += (size_t)len;
            if (sent == SIZE) close(inner); /* with much of it still on the way */
        }
        ssize_t len = recv(outer, got + received, SIZE - received, sent < SIZE ? MSG_DONTWAIT : 0);
        cr_assert_neq(len, 0, "%zu of %d bytes arrived", received, SIZE);
        if (len > 0) received += (size_t)len;
    }
    cr_assert_eq(memcmp(bytes, got, SIZE), 0);
    expect_end(outer);
}

Test(net_relay, a_finished_relay_lets_a_connection_end_in_its_own_time_but_not_for_ever)
{
    AUTO(scene) struct scene scene;
    scene_init(&scene, DEADLINE_MS);
    AUTO(fd) int inner = call_relay(scene.relay);
    AUTO(fd) int outer = accept_call(&scene);
    play_proxy(outer);
    say(outer, "x", 1);
    expect(inner, "x", 1);
    say(inner, "last words", 10);
    net_relay_finish(scene.relay, 100);
    scene.relay = NULL;
    expect(outer, "last words", 10);
    expect_end(outer);
    expect_end(inner);
}

Test(net_relay, refuses_bad_names_for_proxy_and_target)
{
    struct err err;
    AUTO(scene) struct scene scene;
    struct net_relay *relay = NULL;
    scene_init(&scene, DEADLINE_MS);
    struct net_relay_options options = relay_options("proxy", 1);
    cr_assert(!net_relay_start(scene.context, &options, &relay, &err));
    cr_assert_str_eq(err.text, "proxy: 'proxy' has no port: HOST:PORT");
    options = relay_options("proxy:1", 1);
    options.target = "target";
    cr_assert(!net_relay_start(scene.context, &options, &relay, &err));
    cr_assert_str_eq(err.text, "address: 'target' has no port: HOST:PORT");
    cr_assert_null(relay);
}
