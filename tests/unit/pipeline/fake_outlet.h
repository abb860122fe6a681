/* An outlet in memory for tests: validates what it is given as a repository would, remembers it, and
 * fails, blocks or already "has" things on request. Any thread, as outlets go. */
#ifndef SEALIFT_TEST_FAKE_OUTLET_H
#define SEALIFT_TEST_FAKE_OUTLET_H

#include "common/crypto/frame.h"
#include "transporter/pipeline/outlet.h"
#include "transporter/pipeline/raw_batch.h"

#include <pthread.h>

enum fake_call { FAKE_ASK, FAKE_ENVELOPE, FAKE_SEND, FAKE_COMMIT, FAKE_CALLS };

struct fake_chunk {
    enum frame_type type;
    struct hash name; /* chunk id, or content hash in raw batches */
    size_t offset;    /* in `bytes`: the frame, or the compressed bytes */
    size_t len;
    uint32_t raw_len;    /* raw batches */
    uint8_t compression; /* raw batches */
};

struct fake_outlet {
    enum seal_place place;
    bool has_everything;
    bool lacks_something;       /* the next commit finds that a reference is missing */
    size_t fail_at[FAKE_CALLS]; /* the n-th call of the kind fails, from 1; 0: none does */
    bool shut;                  /* send blocks until it is opened or cancelled */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool cancelled;
    size_t calls[FAKE_CALLS];
    size_t asked, asked_for_data;      /* ids */
    size_t waiting;                    /* threads in send while shut */
    struct hash hashes[SEAL_LIST_MAX]; /* of the frames in the batch being read */
    struct buf envelope;
    struct buf bytes;
    struct buf chunks;     /* struct fake_chunk each */
    struct buf known;      /* struct hash each: what it has had all along */
    struct buf batch_lens; /* size_t each */
    size_t earlier;        /* chunks of earlier runs */
    struct commit_request committed;
    struct buf point_file;
    struct err invalid; /* the first thing that a repository would have refused */
};

void fake_outlet_init(struct fake_outlet *fake, enum seal_place place);
void fake_outlet_deinit(struct fake_outlet *fake);
DEFINE_AUTO_IN_PLACE(fake_outlet, struct fake_outlet, fake_outlet_deinit)
struct outlet fake_outlet_outlet(struct fake_outlet *fake);

void fake_outlet_knows(struct fake_outlet *fake, const struct hash *name);
/* What was received stays, and the counters start again: the next run. */
void fake_outlet_next_run(struct fake_outlet *fake);
void fake_outlet_open(struct fake_outlet *fake);
/* until `count` threads are blocked in send */
void fake_outlet_await_waiting(struct fake_outlet *fake, size_t count);

/* Chunks of this run; the other functions know those of all runs. */
size_t fake_outlet_count(const struct fake_outlet *fake, enum frame_type type);
const struct fake_chunk *fake_outlet_find(const struct fake_outlet *fake, enum frame_type type,
                                          const struct hash *name);
const struct fake_chunk *fake_outlet_chunk(const struct fake_outlet *fake, size_t index);
struct span fake_outlet_bytes(const struct fake_outlet *fake, const struct fake_chunk *chunk);

#endif
