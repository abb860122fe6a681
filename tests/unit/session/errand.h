/* What the two hosts are made to do in tests: back up a small tree, and restore it. */
#ifndef SEALIFT_TEST_SESSION_ERRAND_H
#define SEALIFT_TEST_SESSION_ERRAND_H

#include "hosts.h"

/* small ones: a cache knows them by their contents, however new they are */
enum { ERRAND_FILES = 36, ERRAND_FILE_LEN = 100000 };

/* Of one point: from `source`'s tree into a repository of `target`. */
struct errand {
    struct hosts *hosts;
    struct host *source, *target;
    const struct write_half *half; /* NULL: plain */
    char *tree, *store;
    /* after the backup */
    struct id point;
    struct hash point_hash, key_id;
    uint64_t time_ns;
};

/* Makes the tree, the repository and the job. */
void errand_init(struct errand *errand, struct host *source, struct host *target,
                 const struct write_half *half, struct hosts *hosts);
void errand_deinit(struct errand *errand);
DEFINE_AUTO_IN_PLACE(errand, struct errand, errand_deinit)

/* The job's run; if it succeeds, the point is noted. */
void errand_back_up(struct errand *errand, struct trip *trip);
/* The same, which has to succeed. */
void errand_make_point(struct errand *errand);

/* An order to restore the point to `to`, told to both; numbered, as its id. */
void errand_order(struct errand *errand, uint8_t number, struct host *to, uint32_t accept_revoked);
/* How that order's run goes. */
struct assignment errand_recovery(const struct errand *errand, uint8_t number, struct host *to);
/* Under what the order of this number restores; free it. */
char *errand_destination(const struct errand *errand, uint8_t number);
/* The order of this number has restored the whole tree. */
void errand_assert_restored(const struct errand *errand, uint8_t number);

#endif
