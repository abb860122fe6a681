/* A proxy that runs on a thread, at a free port of the loopback. */
#ifndef SEALIFT_TEST_PROXY_BENCH_H
#define SEALIFT_TEST_PROXY_BENCH_H

#include "transporter/proxy/proxy.h"

#include <pthread.h>

struct bench {
    struct proxy *proxy;
    struct address at;
    pthread_t thread;
    int stop_fd;
    bool ran;
};

/* Takes the settings. */
void bench_start(struct bench *bench, struct proxy_settings *settings);
void bench_end(struct bench *bench);
DEFINE_AUTO_IN_PLACE(bench, struct bench, bench_end)

/* with a rendezvous, without a list, and a minute for everything */
struct proxy_settings bench_settings(void);

#endif
