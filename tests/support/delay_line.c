/* A long wire between two network namespaces, for tests: what goes in at one end comes out of the other after
 * a delay, in order, at no more than a rate; what does not fit its queue is lost, as in a router.
 *
 * usage: delay_line --delay-ms N [--rate-kbit N] [--queue-kib N] NAMESPACE/INTERFACE NAMESPACE/INTERFACE
 *
 * Makes both interfaces (TUN, layer 3, point to point; they end with the program), prints "ready" and works
 * until SIGTERM or SIGINT; then it prints what passed and what was lost. The delay is one way: the round trip
 * is twice that. The rate is each direction's own; 0, the default, is none. The queue is what may wait for
 * the rate in each direction: one round trip's worth unless said, at least 64 KiB.
 *
 *     delay_line --delay-ms 50 --rate-kbit 1000000 a/wan b/wan &
 *     ip -n a addr add 10.9.0.1 peer 10.9.0.2 dev wan && ip -n a link set wan up mtu 1500
 *     ip -n b addr add 10.9.0.2 peer 10.9.0.1 dev wan && ip -n b link set wan up mtu 1500
 *
 * Namespaces are those of `ip netns`; "." is the caller's own. Needs root and /dev/net/tun: exits with 77 and
 * a sentence where it may not. TCP's segments pass unsplit (up to 64 KiB each, TSO and unfinished checksums),
 * so that 1 Gbit/s costs a few per cent of a core. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_NOT_HERE = 77,
    PACKET_MAX = 65536 + 512, /* with the virtio header */
    READS_AT_ONCE = 64,       /* before the other direction has its turn */
};

#define UNDER_WAY_MAX (UINT64_C(256) << 20) /* bytes in one direction, whatever was asked */

struct packet {
    struct packet *next;
    uint64_t due_ns;
    size_t len;
    unsigned char bytes[];
};

struct direction {
    int in, out;
    struct packet *first, **end;
    uint64_t free_ns; /* when the wire has sent all that waits for it */
    uint64_t held;    /* bytes under way */
    uint64_t passed, passed_bytes, lost, refused;
};

struct wire {
    uint64_t delay_ns, rate_bytes, queue_bytes;
    struct direction there, back;
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- interfaces --- */

static int not_here(const char *what)
{
    (void)fprintf(stderr, "delay_line: not possible here: %s: %s\n", what, strerror(errno));
    return -1;
}

static bool enter(int home, const char *name)
{
    char path[256];
    if (strcmp(name, ".") == 0) return setns(home, CLONE_NEWNET) == 0;
    (void)snprintf(path, sizeof(path), "/var/run/netns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool entered = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
    if (fd >= 0) (void)close(fd);
    return entered;
}

static bool set_up(int fd, const char *interface)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    int header = sizeof(struct virtio_net_hdr_v1);
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    return ioctl(fd, TUNSETIFF, &request) == 0 && ioctl(fd, TUNSETVNETHDRSZ, &header) == 0 &&
           ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) == 0;
}

/* Of "NAMESPACE/INTERFACE"; -1: said why. */
static int make_end(int home, const char *place)
{
    char name[128];
    const char *slash = strchr(place, '/');
    if (!slash || (size_t)(slash - place) >= sizeof(name) || !slash[1]) {
        errno = EINVAL;
        return not_here(place);
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)(slash - place), place);
    if (!enter(home, name)) return not_here(name);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return not_here("/dev/net/tun");
    if (set_up(fd, slash + 1)) return fd;
    int result = not_here(place);
    (void)close(fd);
    return result;
}

/* --- packets --- */

static void keep(const struct wire *wire, struct direction *way, const unsigned char *bytes, size_t len)
{
    uint64_t now = now_ns(), start = way->free_ns > now ? way->free_ns : now;
    if (wire->rate_bytes) {
        uint64_t waiting = (start - now) * wire->rate_bytes / 1000000000u;
        if (waiting + len > wire->queue_bytes) {
            way->lost++;
            return;
        }
        way->free_ns = start + len * 1000000000u / wire->rate_bytes;
        start = way->free_ns;
    }
    struct packet *packet = way->held + len <= UNDER_WAY_MAX ? malloc(sizeof(*packet) + len) : NULL;
    if (!packet) {
        way->lost++;
        return;
    }
    *packet = (struct packet){.due_ns = start + wire->delay_ns, .len = len};
    memcpy(packet->bytes, bytes, len);
    *way->end = packet;
    way->end = &packet->next;
    way->held += len;
}

static void take_in(const struct wire *wire, struct direction *way)
{
    unsigned char bytes[PACKET_MAX];
    for (int i = 0; i < READS_AT_ONCE; i++) {
        ssize_t len = read(way->in, bytes, sizeof(bytes));
        if (len <= 0) return;
        keep(wire, way, bytes, (size_t)len);
    }
}

static void drop_all(struct direction *way)
{
    for (struct packet *next; way->first; way->first = next) {
        next = way->first->next;
        free(way->first);
    }
}

/* Lets out what is due; when the next one is. */
static uint64_t let_out(struct direction *way)
{
    for (uint64_t now = now_ns(); way->first; now = now_ns()) {
        struct packet *packet = way->first;
        if (packet->due_ns > now) return packet->due_ns;
        ssize_t sent = write(way->out, packet->bytes, packet->len);
        if (sent < 0 && errno == EAGAIN) return now + 1000000;
        if (sent < 0)
            way->refused++; /* the other end is not up */
        else
            way->passed++, way->passed_bytes += packet->len;
        way->held -= packet->len;
        way->first = packet->next;
        if (!way->first) way->end = &way->first;
        free(packet);
    }
    return UINT64_MAX;
}

static void work(struct wire *wire, const sigset_t *unblocked)
{
    struct pollfd ends[] = {{.fd = wire->there.in, .events = POLLIN},
                            {.fd = wire->back.in, .events = POLLIN}};
    while (!stopped) {
        uint64_t due = let_out(&wire->there), other = let_out(&wire->back), now = now_ns();
        if (other < due) due = other;
        uint64_t wait = due > now ? due - now : 0;
        struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000000u),
                                   .tv_nsec = (long)(wait % 1000000000u)};
        if (ppoll(ends, 2, due == UINT64_MAX ? NULL : &timeout, unblocked) <= 0) continue;
        if (ends[0].revents) take_in(wire, &wire->there);
        if (ends[1].revents) take_in(wire, &wire->back);
    }
}

static void report(const char *name, const struct direction *way)
{
    (void)printf("%s: passed %" PRIu64 " packets, %" PRIu64 " bytes; lost %" PRIu64 " to the queue, %" PRIu64
                 " at the other end\n",
                 name, way->passed, way->passed_bytes, way->lost, way->refused);
}

/* --- arguments --- */

static bool number_of(const char *text, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || value > UINT32_MAX) return false;
    *out = value;
    return true;
}

/* The index of the first that is no option; 0: wrong. */
static int read_options(int argc, char **argv, struct wire *wire)
{
    uint64_t delay_ms = 0, rate_kbit = 0, queue_kib = 0;
    int at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        uint64_t *value = strcmp(argv[at], "--delay-ms") == 0    ? &delay_ms
                          : strcmp(argv[at], "--rate-kbit") == 0 ? &rate_kbit
                          : strcmp(argv[at], "--queue-kib") == 0 ? &queue_kib
                                                                 : NULL;
        if (!value || !number_of(argv[at + 1], value)) return 0;
    }
    wire->delay_ns = delay_ms * 1000000u;
    wire->rate_bytes = rate_kbit * 125u;
    wire->queue_bytes = queue_kib ? queue_kib * 1024u : wire->rate_bytes * 2 * delay_ms / 1000;
    if (!queue_kib && wire->queue_bytes < 65536) wire->queue_bytes = 65536;
    return argc - at == 2 ? at : 0;
}

static sigset_t catch_signals(void)
{
    struct sigaction action = {.sa_handler = stop};
    sigset_t blocked, before;
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGTERM);
    (void)sigaddset(&blocked, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &blocked, &before);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    return before;
}

int main(int argc, char **argv)
{
    struct wire wire = {0};
    int at = read_options(argc, argv, &wire);
    if (at == 0) {
        (void)fputs("usage: delay_line --delay-ms N [--rate-kbit N] [--queue-kib N] NAMESPACE/INTERFACE "
                    "NAMESPACE/INTERFACE\n",
                    stderr);
        return 1;
    }
    sigset_t unblocked = catch_signals();
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int one = make_end(home, argv[at]), other = one < 0 ? -1 : make_end(home, argv[at + 1]);
    if (other < 0) return EXIT_NOT_HERE;
    wire.there = (struct direction){.in = one, .out = other, .end = &wire.there.first};
    wire.back = (struct direction){.in = other, .out = one, .end = &wire.back.first};
    (void)setpriority(PRIO_PROCESS, 0, -15); /* the wire must not be what is slow */
    (void)puts("ready");
    (void)fflush(stdout);
    work(&wire, &unblocked);
    report(argv[at], &wire.there);
    report(argv[at + 1], &wire.back);
    drop_all(&wire.there);
    drop_all(&wire.back);
    return 0;
}
