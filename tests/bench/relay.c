/* What it costs to pass bytes on between libzmq and a SOCKS5 proxy: CPU seconds of the relay's thread for
 * each GB, over the loopback, with both ends played here. usage: bench-relay [GB] */
#include "common/net/net_relay.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PART (256 << 10)

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int listen_at(char address[64])
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(name);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&name, len) != 0 || listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        die("listen");
    (void)snprintf(address, 64, "127.0.0.1:%u", ntohs(name.sin_port));
    return fd;
}

/* the highest number of a thread: that of the one made last */
static int newest_thread(void)
{
    int newest = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strtol(entry->d_name, NULL, 10) > newest) newest = (int)strtol(entry->d_name, NULL, 10);
    closedir(dir);
    return newest;
}

static double cpu_of(int thread)
{
    char path[64];
    unsigned long long ns = 0;
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", thread);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%llu", &ns) != 1) die(path);
    fclose(file);
    return (double)ns / 1e9;
}

static int call_relay(const struct net_relay *relay)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *text = net_relay_address(relay) + strlen("ipc://@");
    memcpy(name.sun_path + 1, text, strlen(text));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&name,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(text))) != 0)
        die("connect");
    return fd;
}

struct sender {
    int fd;
    uint64_t bytes;
};

static void *send_all(void *argument)
{
    static uint8_t part[PART];
    const struct sender *sender = argument;
    for (uint64_t left = sender->bytes; left > 0;) {
        ssize_t sent = send(sender->fd, part, left < PART ? left : PART, MSG_NOSIGNAL);
        if (sent < 0) die("send");
        left -= (uint64_t)sent;
    }
    return NULL;
}

static void pass(const char *way, int from, int to, uint64_t bytes, int relay)
{
    static uint8_t part[PART];
    struct sender sender = {.fd = from, .bytes = bytes};
    pthread_t thread;
    const double cpu = cpu_of(relay);
    const double began = now_s();
    if (pthread_create(&thread, NULL, send_all, &sender) != 0) die("pthread_create");
    for (uint64_t left = bytes; left > 0;) {
        ssize_t got = recv(to, part, PART, 0);
        if (got <= 0) die("recv");
        left -= (uint64_t)got;
    }
    (void)pthread_join(thread, NULL);
    const double gb = (double)bytes / 1e9;
    printf("%s: %.3f CPU-s per GB in the relay, %.2f GB/s\n", way, (cpu_of(relay) - cpu) / gb,
           gb / (now_s() - began));
}

/* what a handshake looks like from outside: a greeting and two commands */
static void shake_hands(int outer, int inner)
{
    uint8_t hands[64 + 4] = {0};
    if (send(outer, hands, sizeof(hands), 0) != sizeof(hands) ||
        recv(inner, hands, sizeof(hands), MSG_WAITALL) != sizeof(hands))
        die("handshake");
}

int main(int argc, char **argv)
{
    const uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 4) * 1000000000;
    struct err err;
    struct net_context *context;
    struct net_relay *relay;
    char proxy[64];
    char heard[32];
    int listener = listen_at(proxy);
    const struct net_relay_options options = {.proxy = proxy,
                                              .target = "target:7",
                                              .connect_ms = 10000,
                                              .answer_ms = 10000,
                                              .handshake_ms = 10000,
                                              .reconnect_ms = 1,
                                              .reconnect_max_ms = 1};
    if (!net_context_new(1, &context, &err) || !net_relay_start(context, &options, &relay, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const int thread = newest_thread();
    int inner = call_relay(relay);
    int outer = accept(listener, NULL, NULL);
    if (recv(outer, heard, 3, MSG_WAITALL) != 3 || send(outer, "\5\0", 2, 0) != 2 ||
        recv(outer, heard, 13, MSG_WAITALL) != 13 || send(outer, "\5\0\0\1\0\0\0\0\0\0", 10, 0) != 10)
        die("proxy");
    shake_hands(outer, inner);
    pass("out", inner, outer, bytes, thread);
    pass("in", outer, inner, bytes, thread);
    net_relay_finish(relay, 0);
    net_context_free(context);
    close(inner);
    close(outer);
    close(listener);
    return 0;
}
