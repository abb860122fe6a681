/* One side of one run: a thread that carries out an assignment and reports through hooks. It checks the
 * assignment against the authority (statement and version, peer, placement table, local policy), gets
 * keys, opens the data session, runs the engine, and ends with exactly one `ended`. */
#ifndef SEALIFT_SESSION_RUN_H
#define SEALIFT_SESSION_RUN_H

#include "common/net/net_context.h"
#include "common/wire/head.h"
#include "transporter/core/policy.h"
#include "transporter/session/authority.h"
#include "transporter/session/data_path.h"
#include "transporter/session/stores.h"

struct bandwidth;   /* transporter/session/bandwidth.h */
struct credit_pool; /* credit_pool.h */
struct kms_set;     /* transporter/kms/kms_set.h */
struct listener;    /* listener.h: the data port, shared by all runs */

/* All called from the run's threads; they must not block for long (answer may: back-pressure). */
struct run_hooks {
    void (*ready)(void *arg, const struct id *run, uint32_t attempt, const char *endpoint);
    void (*progress)(void *arg, const Sealift__RunProgress *progress);
    /* one sealed answer of a browse; returns false when the run should stop */
    bool (*answer)(void *arg, const struct id *run, uint64_t number, uint32_t last, struct span sealed);
    void (*point)(void *arg, const struct id *repository, const Sealift__PointNews *news,
                  struct span point_file);
    /* The log of a repository of ours has grown by something else than a point. */
    void (*changed)(void *arg);
    /* What the run was for is done; all is borrowed. `warnings` is the message's payload: encoded Warnings.
     * The source of a backup may go on for a while, making its cache current. */
    void (*ended)(void *arg, const Sealift__RunEnd *end, struct span warnings);
    /* last call: run_free will not wait */
    void (*gone)(void *arg, const struct id *run, uint32_t attempt);
    void *arg;
};

struct run_environment {
    const struct identity *self;
    struct authority *authority;
    struct stores *stores;
    const struct policy *policy;
    struct net_context *net;
    struct listener *listener;
    struct data_ways ways;       /* of data connections; what it points to must stay */
    struct data_reverse reverse; /* this host's reverse port */
    const char *state_dir;       /* caches */
    const char *own_key_file;    /* or NULL */
    const struct kms_set *kms;   /* protectors outside that this host may call; NULL: none */
    struct bandwidth *bandwidth; /* what its runs send and receive; NULL: unlimited */
    struct credit_pool *credits; /* what its runs may have under way */
    uint64_t lease_ms;           /* how long a side waits for a lost peer */
    uint64_t check_bytes_per_s;  /* how fast a check may read; 0: unlimited */
    struct run_hooks hooks;
};

/* A decoded Assign, copied. */
struct run;
struct run *run_start(const struct run_environment *environment, const Sealift__Assign *assign);
/* makes it end with ERR_CANCELLED; any thread */
void run_cancel(struct run *run, const char *reason);
/* The same with ERR_FAILED: nobody wanted this run to end, but the whole host. */
void run_shut_down(struct run *run);
/* after `ended`: joins the thread, which may still be busy until `gone` */
void run_free(struct run *run);

#endif
