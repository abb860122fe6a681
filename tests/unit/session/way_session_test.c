/* Backups whose two hosts meet: in reverse at the source's own port, and at a rendezvous. What goes wrong on
 * the way is the doing of a relay before the port or the proxy. */
#include "cargo.h"
#include "ends.h"
#include "tests/unit/proxy/bench.h"
#include "transporter/proxy/core/socks_server.h"
#include "transporter/proxy/reverse_port.h"
#include "transporter/session/outlet_remote.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const Sealift__Connection modes[] = {SEALIFT__CONNECTION__CONNECTION_REVERSE,
                                            SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS};
enum { MODES = 2 };
static const uint8_t name[DATA_PATH_NAME_LEN] = {42};

struct meeting {
    Sealift__Connection mode;
    struct ends *ends;
    struct bench bench; /* the proxy, of a rendezvous */
    struct reverse_port *port;
    struct relay *relay; /* before either */
    struct data_ways ways;
    struct data_reverse reverse;
    struct data_path target_path;
};

static void expect(void *port, const uint8_t expected[static DATA_PATH_NAME_LEN],
                   char address[static DATA_PATH_PORT_MAX])
{
    reverse_port_expect(port, expected, address);
}

static void forget(void *port, const uint8_t expected[static DATA_PATH_NAME_LEN])
{
    reverse_port_forget(port, expected);
}

/* Returns where it listens. */
static uint16_t open_port(struct meeting *meeting)
{
    struct err err;
    struct proxy_settings settings = bench_settings();
    settings.listen = calloc(1, sizeof(*settings.listen));
    settings.listen_count = 1;
    cr_assert(address_port_parse("127.0.0.1:0", settings.listen, &err));
    cr_assert(reverse_port_open(&settings, NULL, &meeting->port, &err), "%s", err.text);
    meeting->reverse = (struct data_reverse){expect, forget, meeting->port};
    return (uint16_t)strtoul(strrchr(reverse_port_endpoint(meeting->port), ':') + 1, NULL, 10);
}

static uint16_t open_proxy(struct meeting *meeting)
{
    struct proxy_settings settings = bench_settings();
    bench_start(&meeting->bench, &settings);
    return meeting->bench.at.port;
}

static struct data_path path_of(const struct meeting *meeting, Sealift__RunSide side)
{
    bool reverse = meeting->mode == SEALIFT__CONNECTION__CONNECTION_REVERSE;
    const char *at = meeting->relay->endpoint + strlen("tcp://");
    struct data_path path = {0};
    struct err err = {0};
    const struct data_path_words words = {.side = side,
                                          .connection = meeting->mode,
                                          .endpoint =
                                              reverse && side == SEALIFT__RUN_SIDE__SIDE_TARGET ? at : "",
                                          .proxy = reverse ? "" : at,
                                          .rendezvous = span_of(name, sizeof(name))};
    cr_assert(data_path_read(&words, &meeting->ways, &meeting->reverse, &path, &err), "%s", err.text);
    return path;
}

static void meeting_init(struct meeting *meeting, Sealift__Connection mode)
{
    char at[32];
    *meeting = (struct meeting){.mode = mode};
    (void)signal(SIGPIPE, SIG_IGN); /* as daemons do: splice(2) raises it */
    bool reverse = mode == SEALIFT__CONNECTION__CONNECTION_REVERSE;
    uint16_t port = reverse ? open_port(meeting) : open_proxy(meeting);
    (void)snprintf(at, sizeof(at), "127.0.0.1:%u", port);
    meeting->relay = relay_new(at);
    meeting->ends = ends_new(REPOSITORY_ENCRYPTED);
    meeting->ends->lease_ms =
        3000; /* so long a target waits for a good-bye that was lost with its connection */
    data_path_deinit(&meeting->ends->path);
    meeting->ends->path = path_of(meeting, SEALIFT__RUN_SIDE__SIDE_SOURCE);
    meeting->target_path = path_of(meeting, SEALIFT__RUN_SIDE__SIDE_TARGET);
    meeting->ends->target_path = &meeting->target_path;
}

static void meeting_deinit(struct meeting *meeting)
{
    ends_free(meeting->ends);
    data_path_deinit(&meeting->target_path);
    relay_free(meeting->relay);
    if (meeting->port)
        reverse_port_close(meeting->port);
    else
        bench_end(&meeting->bench);
}
DEFINE_AUTO_IN_PLACE(meeting, struct meeting, meeting_deinit)

/* `between` is called when everything is packed, and nothing committed. */
static void back_up(struct meeting *meeting, void (*between)(struct meeting *meeting))
{
    struct ends *ends = meeting->ends;
    const struct id seal = ends->keys.run->seal;
    ends_serve(ends, CONVERSATION_SEALED, false);
    struct dialler *dialler = ends_dial(ends, ends->conversation, &seal);
    struct sealing_options options = keys_sealing(&ends->keys, outlet_remote(dialler));
    AUTO(cargo) struct cargo cargo;
    cargo_open(&cargo, &options);
    struct hash root;
    struct commit_receipt receipt = {0};
    AUTO(buf) struct buf missing = {0};
    cr_assert(cargo_pack(&cargo, &root), "%s", cargo.err.text);
    if (between) between(meeting);
    cr_assert(cargo_commit(&cargo, &ends->keys, &seal, &root, &receipt, &missing), "%s", cargo.err.text);
    dialler_free(dialler, NULL);
    cr_assert(ends_join(ends), "%s", ends->serve_err.text);
    cr_assert_eq(ends_points(ends), 1);
    cargo_assert_stored(&cargo, &ends->keys, ends->repository, &root);
}

Test(way_session, what_is_sent_where_two_meet_is_committed, .timeout = 60)
{
    for (int i = 0; i < MODES; i++) {
        AUTO(meeting) struct meeting meeting;
        meeting_init(&meeting, modes[i]);
        back_up(&meeting, NULL);
        /* the target's, and in a rendezvous the source's */
        cr_assert(atomic_load(&meeting.relay->accepted) >= (i == 0 ? 1 : 2));
    }
}

/* Cuts fall into SOCKS5, the handshake, Open, batches, and behind them. */
Test(way_session, a_connection_cut_anywhere_changes_nothing, .timeout = 180)
{
    static const struct {
        uint64_t after;
        unsigned cuts;
    } cases[] = {{2, 2}, {60, 2}, {700, 3}, {1700, 3}, {60000, 4}, {2300001, 4}};
    for (int i = 0; i < MODES; i++) {
        for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
            AUTO(meeting) struct meeting meeting;
            meeting_init(&meeting, modes[i]);
            atomic_store(&meeting.relay->cut_after, cases[n].after);
            atomic_store(&meeting.relay->cuts_left, cases[n].cuts);
            back_up(&meeting, NULL);
            cr_assert(atomic_load(&meeting.relay->accepted) > 2, "case %zu: %u connections", n,
                      atomic_load(&meeting.relay->accepted));
        }
    }
}

/* CURVE finds it; libzmq never dials again by itself after that. */
Test(way_session, a_byte_changed_on_the_way_costs_a_connection_and_nothing_else, .timeout = 180)
{
    static const uint64_t places[] = {110, 250, 400, 100000, 1500000};
    for (int i = 0; i < MODES; i++) {
        for (size_t n = 0; n < sizeof(places) / sizeof(places[0]); n++) {
            AUTO(meeting) struct meeting meeting;
            meeting_init(&meeting, modes[i]);
            atomic_store(&meeting.relay->flip_after, places[n]);
            atomic_store(&meeting.relay->flips_left, 2);
            back_up(&meeting, NULL);
            cr_assert_lt(atomic_load(&meeting.relay->flips_left), 2, "case %zu", n);
        }
    }
}

static void restart_proxy(struct meeting *meeting)
{
    bench_end(&meeting->bench);
    atomic_store(&meeting->relay->target, open_proxy(meeting));
}

Test(way_session, a_proxy_that_is_started_again_in_the_middle_is_dialled_again, .timeout = 60)
{
    AUTO(meeting) struct meeting meeting;
    meeting_init(&meeting, SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS);
    back_up(&meeting, restart_proxy);
    uint64_t received = atomic_load(&meeting.ends->received);
    cr_assert_gt(atomic_load(&meeting.relay->accepted), 2);
    /* what was durable was not sent again: less than the credit is more than once */
    cr_assert_lt(received, 3ull * CARGO_CHUNKS * CARGO_CHUNK_LEN / 2, "%llu", (unsigned long long)received);
}

Test(way_session, a_way_that_leads_nowhere_is_named_by_both_ends, .timeout = 60)
{
    for (int i = 0; i < MODES; i++) {
        AUTO(meeting) struct meeting meeting;
        char expected[256];
        struct err err = {0};
        struct dialler_opened opened;
        meeting_init(&meeting, modes[i]);
        meeting.ends->lease_ms = 1500;
        meeting.ends->path.ways = &meeting.ways;
        atomic_store(&meeting.relay->refuse, true);
        ends_serve(meeting.ends, CONVERSATION_SEALED, false);
        struct dialler *dialler = ends_dial(meeting.ends, CONVERSATION_SEALED, &meeting.ends->run);
        cr_assert_not(dialler_await(dialler, &opened, &err));
        dialler_leave(dialler);
        cr_assert_not(ends_join(meeting.ends));
        (void)snprintf(expected, sizeof(expected), "the other side was gone for more than 1 s: %s '%s': ",
                       i == 0 ? "reverse port" : "rendezvous at", meeting.relay->endpoint + 6);
        cr_assert_eq(strncmp(meeting.ends->serve_err.text, expected, strlen(expected)), 0, "%s",
                     meeting.ends->serve_err.text);
        cr_assert_eq(meeting.ends->serve_err.code, ERR_UNREACHABLE);
        if (i == 1) cr_assert_eq(strncmp(err.text, expected, strlen(expected)), 0, "%s", err.text);
        if (i == 0)
            cr_assert_str_eq(err.text, "the other side was gone for more than 1 s: the target at the reverse "
                                       "port here: it did not come");
    }
}

Test(way_session, a_target_with_another_key_is_not_spoken_to, .timeout = 60)
{
    for (int i = 0; i < MODES; i++) {
        AUTO(meeting) struct meeting meeting;
        struct err err = {0};
        struct dialler_opened opened;
        struct dialler *dialler = NULL;
        meeting_init(&meeting, modes[i]);
        meeting.ends->lease_ms = 1500;
        ends_serve(meeting.ends, CONVERSATION_SEALED, false);
        struct dialler_options options = ends_dialler(meeting.ends, CONVERSATION_SEALED, &meeting.ends->run);
        options.peer_key[0] ^= 1;
        cr_assert(dialler_new(&options, &dialler, &err), "%s", err.text);
        cr_assert_not(dialler_await(dialler, &opened, &err));
        dialler_leave(dialler);
        cr_assert_eq(err.code, ERR_UNREACHABLE);
        /* the last dial's reason; at the own port it may have waited for a caller when the time was over */
        const char *why = i == 0 ? "another key is there, or another protocol" : "before hands were shaken";
        cr_assert(strstr(err.text, why) || (i == 0 && strstr(err.text, "it did not come")), "%s", err.text);
        cr_assert_not(ends_join(meeting.ends));
    }
}

/* --- strangers --- */

static int call(uint16_t port)
{
    struct timeval patience = {.tv_sec = 10};
    struct sockaddr_storage to;
    struct address at = {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = port};
    socklen_t len = address_to_sockaddr(&at, &to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, len), 0);
    return fd;
}

static void request_name(int fd, const uint8_t id[static DATA_PATH_NAME_LEN], enum rendezvous_side side)
{
    struct rendezvous_name asked = {.side = side};
    uint8_t request[4 + 1 + RENDEZVOUS_NAME_LEN + 1 + 2] = {5, 1, 0, SOCKS_NAME, RENDEZVOUS_NAME_LEN};
    memcpy(asked.id, id, RENDEZVOUS_ID_LEN);
    rendezvous_name_print(&asked, (char *)request + 5);
    request[5 + RENDEZVOUS_NAME_LEN] = 0;
    request[5 + RENDEZVOUS_NAME_LEN + 1] = 1;
    cr_assert_eq(send(fd, "\5\1\0", 3, MSG_NOSIGNAL), 3);
    cr_assert_eq(send(fd, request, 5 + RENDEZVOUS_NAME_LEN + 2, MSG_NOSIGNAL), 5 + RENDEZVOUS_NAME_LEN + 2);
}

/* The port's answer; -1: there is none. */
static int answered(int fd)
{
    uint8_t reply[SOCKS_CHOICE_LEN + SOCKS_REPLY_LEN] = {0};
    ssize_t got = recv(fd, reply, sizeof(reply), MSG_WAITALL);
    return got == sizeof(reply) ? reply[SOCKS_CHOICE_LEN + 1] : -1;
}

static int ask(int fd, const uint8_t id[static DATA_PATH_NAME_LEN], enum rendezvous_side side)
{
    request_name(fd, id, side);
    return answered(fd);
}

Test(way_session, the_reverse_port_turns_away_whom_no_run_expects)
{
    static const uint8_t other[DATA_PATH_NAME_LEN] = {43};
    AUTO(meeting) struct meeting meeting;
    meeting_init(&meeting, SEALIFT__CONNECTION__CONNECTION_REVERSE);
    uint16_t port = atomic_load(&meeting.relay->target);
    AUTO(fd) int stranger = call(port);
    request_name(stranger, other, RENDEZVOUS_B);
    AUTO(fd) int source = call(port); /* the source comes from inside, and nobody else in its place */
    cr_assert_eq(ask(source, name, RENDEZVOUS_A), SOCKS_NOT_ALLOWED);
    data_path_deinit(&meeting.ends->path); /* the run is over */
    AUTO(fd) int late = call(port);
    request_name(late, name, RENDEZVOUS_B);
    cr_assert_eq(answered(stranger), SOCKS_NOT_ALLOWED);
    cr_assert_eq(answered(late), SOCKS_NOT_ALLOWED);
    meeting.ends->path = path_of(&meeting, SEALIFT__RUN_SIDE__SIDE_SOURCE);
}

/* Until the other end hangs up. */
static void hear_out(int fd)
{
    uint8_t bytes[256];
    while (recv(fd, bytes, sizeof(bytes), 0) > 0)
        continue;
}

/* libzmq does not dial again by itself after such. */
Test(way_session, a_source_is_there_again_after_bytes_that_are_no_handshake, .timeout = 60)
{
    static const char *const bytes[] = {"GET / HTTP/1.1\r\n\r\n",
                                        "\x16\x03\x01\x02\x01\x01\xfc\x03\x03\x2a\x2a\x2a"};
    AUTO(meeting) struct meeting meeting;
    meeting_init(&meeting, SEALIFT__CONNECTION__CONNECTION_REVERSE);
    meeting.ends->lease_ms = 50000;
    struct dialler *dialler = ends_dial(meeting.ends, CONVERSATION_SEALED, &meeting.ends->run);
    for (size_t i = 0; i < 4; i++) {
        const char *said = bytes[i % 2];
        AUTO(fd) int stranger = call(atomic_load(&meeting.relay->target));
        cr_assert_eq(ask(stranger, name, RENDEZVOUS_B), SOCKS_CONNECTED, "call %zu", i);
        cr_assert_eq(send(stranger, said, strlen(said), MSG_NOSIGNAL), (ssize_t)strlen(said));
        hear_out(stranger);
    }
    dialler_leave(dialler);
}

/* As the source's own end does: nobody listens there until the target waits. */
static int come_from_inside(const char *address)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(address) - strlen("ipc://@");
    memcpy(at.sun_path + 1, address + strlen("ipc://@"), len);
    for (int tries = 0; tries < 2000; tries++) {
        AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
        if (connect(fd, (struct sockaddr *)&at, size) == 0) {
            int taken = fd;
            fd = -1;
            return taken;
        }
        (void)poll(NULL, 0, 5);
    }
    return -1;
}

/* The local name can be seen on the whole machine. */
Test(way_session, another_process_of_this_host_is_not_taken_for_the_sources_own_end)
{
    AUTO(meeting) struct meeting meeting;
    struct data_endpoint inside;
    int status;
    meeting_init(&meeting, SEALIFT__CONNECTION__CONNECTION_REVERSE);
    data_path_endpoint(&meeting.ends->path, 0, &inside);
    AUTO(fd) int target = call(atomic_load(&meeting.relay->target));
    request_name(target, name, RENDEZVOUS_B);
    uint8_t choice[SOCKS_CHOICE_LEN];
    cr_assert_eq(recv(target, choice, sizeof(choice), MSG_WAITALL), SOCKS_CHOICE_LEN);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        int fd = come_from_inside(inside.address);
        _exit(fd >= 0 && recv(fd, &byte, 1, 0) == 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it was let in, or not turned away");
    struct pollfd answer = {.fd = target, .events = POLLIN};
    cr_assert_eq(poll(&answer, 1, 50), 0, "it waits on");
    AUTO(fd) int own = come_from_inside(inside.address);
    uint8_t reply[SOCKS_REPLY_LEN] = {0};
    cr_assert_eq(recv(target, reply, sizeof(reply), MSG_WAITALL), SOCKS_REPLY_LEN);
    cr_assert_eq(reply[1], SOCKS_CONNECTED);
}

/* The director tells the target first. */
Test(way_session, a_target_that_comes_before_the_source_has_heard_of_the_run_is_not_refused)
{
    AUTO(meeting) struct meeting meeting;
    struct data_endpoint inside;
    meeting_init(&meeting, SEALIFT__CONNECTION__CONNECTION_REVERSE);
    data_path_deinit(&meeting.ends->path);
    AUTO(fd) int early = call(atomic_load(&meeting.relay->target));
    request_name(early, name, RENDEZVOUS_B);
    uint8_t choice[SOCKS_CHOICE_LEN];
    cr_assert_eq(recv(early, choice, sizeof(choice), MSG_WAITALL), SOCKS_CHOICE_LEN);
    struct pollfd answer = {.fd = early, .events = POLLIN};
    cr_assert_eq(poll(&answer, 1, 50), 0, "it is held");
    meeting.ends->path = path_of(&meeting, SEALIFT__RUN_SIDE__SIDE_SOURCE);
    data_path_endpoint(&meeting.ends->path, 0, &inside);
    AUTO(fd) int own = come_from_inside(inside.address);
    uint8_t reply[SOCKS_REPLY_LEN] = {0};
    cr_assert_eq(recv(early, reply, sizeof(reply), MSG_WAITALL), SOCKS_REPLY_LEN);
    cr_assert_eq(reply[1], SOCKS_CONNECTED);
    cr_assert_eq(send(early, "hello", 5, MSG_NOSIGNAL), 5);
    cr_assert_eq(recv(own, choice, sizeof(choice), MSG_WAITALL), SOCKS_CHOICE_LEN);
}

/* A third party that knows the name takes places, and gets in nowhere. */
static void intrude(struct meeting *meeting)
{
    for (enum rendezvous_side side = RENDEZVOUS_A; side <= RENDEZVOUS_B; side++) {
        AUTO(fd) int fd = call(atomic_load(&meeting->relay->target));
        (void)ask(fd, name, side);
        (void)!send(fd, "\xff\0\0\0\0\0\0\0\1\x7fnonsense", 18, MSG_NOSIGNAL);
    }
}

Test(way_session, a_third_party_at_the_meeting_costs_connections_and_nothing_else, .timeout = 120)
{
    for (int i = 0; i < MODES; i++) {
        AUTO(meeting) struct meeting meeting;
        meeting_init(&meeting, modes[i]);
        back_up(&meeting, intrude);
    }
}
