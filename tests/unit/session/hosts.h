/* The two transporters of the small site in one process, each with a state, authority, stores and data port
 * of its own; runs are assigned to them as a director would. */
#ifndef SEALIFT_TEST_SESSION_HOSTS_H
#define SEALIFT_TEST_SESSION_HOSTS_H

#include "relay.h"
#include "site_statements.h"
#include "transporter/session/listener.h"
#include "transporter/session/run.h"

#include <pthread.h>

struct host {
    const struct identity *self; /* the site's */
    char *state;
    char *own_key_file;        /* or NULL */
    const struct kms_set *kms; /* or NULL; borrowed */
    struct policy policy;
    struct net_context *net;
    struct authority *authority;
    struct stores *stores;
    struct listener *listener;
};

struct hosts {
    char dir[64]; /* both hosts may read, store and restore in it */
    char *root;
    struct site site;
    struct site_line line;
    struct host web, vault; /* the site's source and target */
    struct hash roster;     /* the newest */
    uint64_t roster_version;
    uint64_t lease_ms;
    const Sealift__Maintenance *work; /* of the runs that follow; NULL: no maintenance */
    uint64_t subject_version;         /* of the runs that follow; 0: 1 */
};

/* Both are in the trusted zone, and send plaintext to each other. */
struct hosts *hosts_new(void);
void hosts_free(struct hosts *hosts);
DEFINE_AUTO(hosts, struct hosts *, hosts_free)

/* The host accepts the statement, and opens the repository if it is one of its own. */
void host_tell(struct host *host, const struct statement *statement);
/* Tells both, and frees it. */
void hosts_tell(struct hosts *hosts, struct statement *statement);
/* The next roster; version and predecessor are filled in. */
void hosts_next_roster(struct hosts *hosts, struct roster_draft draft);
/* Between the two, the host is down. */
void host_stop(struct host *host);
void host_start(struct hosts *hosts, struct host *host);

/* One side of a run, and what it reported. */
struct leg {
    struct run *run;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready, ended;
    char endpoint[128];
    struct id id;
    uint32_t code;
    char text[1024];
    struct buf warnings;
    struct buf answer; /* the last one */
    uint64_t sent_bytes;
    /* of a point that it committed */
    struct id point;
    struct hash point_hash;
    uint64_t time_ns;
};

struct assignment {
    Sealift__StatementType subject;
    struct id id;
    struct host *source, *target;
    uint64_t cut_after; /* one connection is cut after so many bytes; 0: none */
    bool stay_down;     /* none stands after that */
};

/* A run of both sides, or of the one that is both. */
struct trip {
    struct leg source, target; /* the target's is unused where one host is both */
    struct relay *relay;
    bool alone;
};
void trip_run(struct hosts *hosts, const struct assignment *assignment, struct trip *trip);
void trip_deinit(struct trip *trip);
DEFINE_AUTO_IN_PLACE(trip, struct trip, trip_deinit)
/* The side that got the data. */
const struct leg *trip_end(const struct trip *trip);
/* Whether a sealed warning of this side has these words. */
bool leg_explains(const struct hosts *hosts, const struct leg *leg, const char *words);

#endif
