/* The trace of a watched directory: shared between the wrapped calls that write it and what remains after a
 * power cut. Private to fault_storage.c and fault_remains.c. */
#ifndef SEALIFT_TESTS_REPOSITORY_FAULT_TRACE_H
#define SEALIFT_TESTS_REPOSITORY_FAULT_TRACE_H

#include "fault_storage.h"

#include <pthread.h>
#include <sys/types.h>

enum { TRACE_STEPS = 20000, TRACE_NODES = 4000, TRACE_NAME = 80, TRACE_BYTES = 384 * 1024 * 1024 };

enum trace_kind {
    TRACE_ENTRY, /* in directory `dir`, `name` is `node` from now on; -1: nothing */
    TRACE_WRITE,
    TRACE_TRUNCATE, /* to `offset` */
    TRACE_SYNC,
    TRACE_SYNC_FAILED
};

struct trace_step {
    enum trace_kind kind;
    int dir, node;
    char name[TRACE_NAME];
    uint64_t offset;
    size_t data, len; /* in bytes[] */
};

struct trace_node {
    dev_t dev;
    ino_t ino;
    bool is_dir;
};

/* Node 0 is the watched directory. The steps before `base` are durable. */
struct trace {
    pthread_mutex_t lock;
    bool on;
    enum fault_disk_how how;
    int at;
    int counted, hits; /* of this run */
    bool failed;       /* a sync, in this run */
    int count, base, nodes;
    size_t used;
    uint64_t marks[FAULT_MARKS];
    struct trace_node node[TRACE_NODES];
    struct trace_step step[TRACE_STEPS];
    uint8_t bytes[TRACE_BYTES];
};
extern struct trace *fault_trace; /* NULL: nothing was ever watched */

#endif
