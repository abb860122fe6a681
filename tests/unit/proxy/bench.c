#include "bench.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/eventfd.h>

static enum proxy_wish stop(void *arg)
{
    eventfd_t count;
    (void)eventfd_read(((struct bench *)arg)->stop_fd, &count);
    return PROXY_STOP;
}

static void *run(void *arg)
{
    struct bench *bench = arg;
    struct err err;
    bench->ran = proxy_run(bench->proxy, &err);
    return NULL;
}

void bench_start(struct bench *bench, struct proxy_settings *settings)
{
    struct err err;
    AUTO(buf) struct buf where = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    log_init("unit_proxy", LOG_ERROR);
    *bench = (struct bench){.stop_fd = eventfd(0, EFD_CLOEXEC)};
    settings->listen = xcalloc(1, sizeof(*settings->listen));
    settings->listen_count = 1;
    cr_assert(address_port_parse("127.0.0.1:0", settings->listen, &err));
    struct proxy_options options = {.wake_fd = bench->stop_fd, .woken = stop, .arg = bench};
    cr_assert(proxy_new(&options, settings, &bench->proxy, &err), "%s", err.text);
    proxy_addresses(bench->proxy, &where);
    cr_assert(address_port_parse(buf_cstr(&where), &bench->at, &err));
    cr_assert_eq(pthread_create(&bench->thread, NULL, run, bench), 0);
}

void bench_end(struct bench *bench)
{
    (void)eventfd_write(bench->stop_fd, 1);
    (void)pthread_join(bench->thread, NULL);
    proxy_free(bench->proxy);
    (void)close(bench->stop_fd);
}
struct proxy_settings bench_settings(void)
{
    return (struct proxy_settings){.rendezvous = RENDEZVOUS_ON,
                                   .connections = 16,
                                   .per_client = 16,
                                   .handshake_ms = 60000,
                                   .dial_ms = 5000,
                                   .wait_ms = 60000,
                                   .idle_ms = 60000,
                                   .silence_ms = 20000};
}
