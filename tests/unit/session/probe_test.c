/* Ways between two transporters, tried as `sealift link test` has them tried: what each side says of it. */
#include "hosts.h"

#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "transporter/session/probe.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOURCE SEALIFT__RUN_SIDE__SIDE_SOURCE
#define TARGET SEALIFT__RUN_SIDE__SIDE_TARGET

static struct hosts *hosts;
static const uint8_t name[DATA_PATH_NAME_LEN] = {7};

static void setup(void)
{
    hosts = hosts_new();
}

static void teardown(void)
{
    hosts_free(hosts);
}

TestSuite(probe, .init = setup, .fini = teardown, .timeout = 60);

/* One side, and what it said. */
struct trial {
    struct probe *probe;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready, ended;
    unsigned ends;
    char endpoint[128], text[1024];
    struct id id;
    Sealift__RunSide side;
    uint32_t code;
    uint64_t rtt_us;
};

static void on_ready(void *arg, const struct id *id, const char *endpoint)
{
    struct trial *trial = arg;
    (void)pthread_mutex_lock(&trial->lock);
    (void)snprintf(trial->endpoint, sizeof(trial->endpoint), "%s", endpoint);
    trial->id = *id;
    trial->ready = true;
    (void)pthread_cond_broadcast(&trial->changed);
    (void)pthread_mutex_unlock(&trial->lock);
}

static void on_ended(void *arg, const Sealift__ProbeEnd *end)
{
    struct trial *trial = arg;
    (void)pthread_mutex_lock(&trial->lock);
    (void)snprintf(trial->text, sizeof(trial->text), "%s", end->text);
    trial->id = stored_id(&end->id);
    trial->side = end->side;
    trial->code = end->code;
    trial->rtt_us = end->rtt_us;
    trial->ended = true;
    trial->ends++;
    (void)pthread_cond_broadcast(&trial->changed);
    (void)pthread_mutex_unlock(&trial->lock);
}

static void trial_init(struct trial *trial)
{
    *trial = (struct trial){.probe = NULL};
    (void)pthread_mutex_init(&trial->lock, NULL);
    (void)pthread_cond_init(&trial->changed, NULL);
}

static void trial_deinit(struct trial *trial)
{
    probe_free(trial->probe);
    (void)pthread_cond_destroy(&trial->changed);
    (void)pthread_mutex_destroy(&trial->lock);
}
DEFINE_AUTO_IN_PLACE(trial, struct trial, trial_deinit)

static void await(struct trial *trial, const bool *what)
{
    (void)pthread_mutex_lock(&trial->lock);
    while (!*what && !trial->ended)
        (void)pthread_cond_wait(&trial->changed, &trial->lock);
    (void)pthread_mutex_unlock(&trial->lock);
}

/* Of what a director says; changed by the tests. */
struct words {
    const struct identity *peer;
    Sealift__RunSide side;
    Sealift__Connection connection;
    const char *endpoint, *proxy;
    size_t id_len, name_len;
};

static struct words direct(const struct identity *peer, Sealift__RunSide side, const char *endpoint)
{
    return (struct words){.peer = peer,
                          .side = side,
                          .connection = SEALIFT__CONNECTION__CONNECTION_DIRECT,
                          .endpoint = endpoint,
                          .id_len = ID_LEN};
}

static bool start(struct trial *trial, const struct host *host, const struct words *words, struct err *err)
{
    static const uint8_t id[ID_LEN] = {9}, ticket[32] = {1};
    const struct run_environment environment = {
        .self = host->self, .authority = host->authority, .net = host->net, .listener = host->listener};
    const struct probe_hooks hooks = {on_ready, on_ended, trial};
    Sealift__Probe message = SEALIFT__PROBE__INIT;
    message.id = stored_bytes(span_of(id, words->id_len));
    message.ticket = stored_bytes(span_of(ticket, sizeof(ticket)));
    message.peer = stored_bytes(span_of(words->peer->known.sign_pk, SIGN_PK_LEN));
    message.side = words->side;
    message.connection = words->connection;
    message.endpoint = (char *)(uintptr_t)words->endpoint;
    message.proxy = (char *)(uintptr_t)words->proxy;
    message.rendezvous = stored_bytes(span_of(name, words->name_len));
    return probe_start(&environment, &hooks, &message, &trial->probe, err);
}

/* Starts it, and waits for its end. */
static void try_to_end(struct trial *trial, const struct host *host, const struct words *words)
{
    struct err err = {0};
    trial_init(trial);
    cr_assert(start(trial, host, words, &err), "%s", err.text);
    await(trial, &trial->ended);
}

static void begin_target(struct trial *trial)
{
    struct err err = {0};
    const struct words words = direct(hosts->web.self, TARGET, "");
    trial_init(trial);
    cr_assert(start(trial, &hosts->vault, &words, &err), "%s", err.text);
    await(trial, &trial->ready);
}

Test(probe, of_a_way_that_works_tells_both_ends_and_the_round_trip)
{
    AUTO(trial) struct trial target;
    AUTO(trial) struct trial source;
    begin_target(&target);
    cr_assert(target.ready);
    cr_assert_eq(target.id.bytes[0], 9);
    const struct words words = direct(hosts->vault.self, SOURCE, target.endpoint);
    try_to_end(&source, &hosts->web, &words);
    cr_assert_eq(source.code, 0, "%s", source.text);
    cr_assert_eq(source.side, SOURCE);
    cr_assert_eq(source.id.bytes[0], 9);
    cr_assert_gt(source.rtt_us, 0);
    await(&target, &target.ended);
    cr_assert_eq(target.code, 0, "%s", target.text);
    cr_assert_eq(target.side, TARGET);
    cr_assert_str_eq(target.text, "");
    cr_assert_eq(source.ends + target.ends, 2);
}

/* A port of the loopback: with somebody who takes calls and is silent, or with nobody. */
static int silent_port(char endpoint[static 64])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 8) == 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(endpoint, 64, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

Test(probe, says_at_once_that_nobody_listens)
{
    AUTO(trial) struct trial source;
    char endpoint[64], expected[256];
    AUTO(fd) int fd = silent_port(endpoint);
    auto_close_fd(fd);
    fd = -1;
    const struct words words = direct(hosts->vault.self, SOURCE, endpoint);
    try_to_end(&source, &hosts->web, &words);
    cr_assert_eq(source.code, ERR_UNREACHABLE);
    (void)snprintf(expected, sizeof(expected),
                   "'%s': refused: nobody listens there, or a firewall rejects it", endpoint);
    cr_assert_str_eq(source.text, expected);
}

/* web's own data port instead of vault's */
Test(probe, says_that_another_key_is_there)
{
    AUTO(trial) struct trial source;
    const struct words words = direct(hosts->vault.self, SOURCE, listener_endpoint(hosts->web.listener));
    try_to_end(&source, &hosts->web, &words);
    cr_assert_eq(source.code, ERR_UNREACHABLE);
    cr_assert_not_null(strstr(source.text, "another key is there, or another protocol"), "%s", source.text);
}

/* vault's port, but no probe there, so that its ZAP lets nobody in. */
Test(probe, says_that_it_is_not_admitted)
{
    AUTO(trial) struct trial source;
    const struct words words = direct(hosts->vault.self, SOURCE, listener_endpoint(hosts->vault.listener));
    try_to_end(&source, &hosts->web, &words);
    cr_assert_eq(source.code, ERR_UNREACHABLE);
    cr_assert_not_null(strstr(source.text, "does not admit this transporter now"), "%s", source.text);
}

Test(probe, of_whom_the_roster_does_not_know_is_refused)
{
    AUTO(trial) struct trial source;
    const struct words words = direct(hosts->site.admin, SOURCE, "tcp://127.0.0.1:1");
    try_to_end(&source, &hosts->web, &words);
    cr_assert_eq(source.code, ERR_NOT_FOUND);
    cr_assert_str_eq(source.text, "the other side is no transporter of the roster that is known here");
}

Test(probe, in_reverse_says_that_there_is_no_reverse_port)
{
    AUTO(trial) struct trial source;
    const struct words words = {.peer = hosts->vault.self,
                                .side = SOURCE,
                                .connection = SEALIFT__CONNECTION__CONNECTION_REVERSE,
                                .id_len = ID_LEN,
                                .name_len = sizeof(name)};
    try_to_end(&source, &hosts->web, &words);
    cr_assert_eq(source.code, ERR_CONFIG);
    cr_assert_not_null(strstr(source.text, "data.reverse"), "%s", source.text);
}

Test(probe, of_words_that_do_not_fit_each_other_is_refused)
{
    AUTO(trial) struct trial source;
    struct words words = direct(hosts->vault.self, SOURCE, "tcp://127.0.0.1:1");
    words.name_len = sizeof(name);
    try_to_end(&source, &hosts->web, &words);
    cr_assert_eq(source.code, ERR_PROTOCOL);
}

Test(probe, without_a_whole_id_or_to_oneself_is_not_begun)
{
    AUTO(trial) struct trial trial;
    struct words words = direct(hosts->vault.self, SOURCE, "tcp://127.0.0.1:1");
    struct err err = {0};
    trial_init(&trial);
    words.id_len = ID_LEN - 1;
    cr_assert_not(start(&trial, &hosts->web, &words, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL);
    words = direct(hosts->web.self, SOURCE, "tcp://127.0.0.1:1");
    cr_assert_not(start(&trial, &hosts->web, &words, &err));
    cr_assert_str_eq(err.text, "a probe of the way from this transporter to itself");
    words = direct(hosts->vault.self, SEALIFT__RUN_SIDE__SIDE_BOTH, "tcp://127.0.0.1:1");
    cr_assert_not(start(&trial, &hosts->web, &words, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL);
    cr_assert_null(trial.probe);
}

/* The transporter stops: neither who waits nor who looks for somebody holds it up, and each says its end. */
Test(probe, ends_when_it_is_given_up)
{
    AUTO(trial) struct trial target;
    AUTO(trial) struct trial source;
    char endpoint[64];
    struct err err = {0};
    AUTO(fd) int fd = silent_port(endpoint);
    const struct words words = direct(hosts->vault.self, SOURCE, endpoint);
    begin_target(&target);
    trial_init(&source);
    cr_assert(start(&source, &hosts->web, &words, &err), "%s", err.text);
    probe_free(target.probe);
    probe_free(source.probe);
    target.probe = source.probe = NULL;
    cr_assert(target.ended && source.ended);
    cr_assert_eq(target.code, ERR_CANCELLED, "%s", target.text);
    cr_assert_eq(source.code, ERR_CANCELLED, "%s", source.text);
}
