/* How far the checks of one repository have come: which packs the next one begins with, so that samples
 * follow each other and an interrupted check goes on. A small file in the repository's local state; without
 * it the packs are read from the first on. One thread. */
#ifndef SEALIFT_SESSION_CHECK_POSITION_H
#define SEALIFT_SESSION_CHECK_POSITION_H

#include "common/base/err.h"
#include "common/crypto/hash.h"

/* Times are ns since 1970 by this host's clock. */
struct check_position {
    struct hash next;    /* the lowest name that is still to be read */
    uint32_t sample_ppm; /* of the check that is under way, 0: of everything */
    uint64_t left;       /* packs that it still has to read; 0: none is under way */
    uint64_t done;       /* packs that it has read */
    uint64_t begun_ns;   /* when it was begun */
    uint64_t round_ns;   /* when the round through all names was begun; 0: not yet */
    uint64_t whole_ns;   /* every pack that was there at this time has been read since; 0: never */
};

/* Of a file that is absent, cut or damaged: all zeros. */
void check_position_load(const char *path, struct check_position *out);
bool check_position_save(const char *path, const struct check_position *position, struct err *err) MUST_CHECK;

/* Begins a check of so many millionths of `packs` (0: all), or goes on with one of the same sample that did
 * not end. `left` then says how many packs it is to read. */
void check_position_begin(struct check_position *position, uint32_t sample_ppm, uint64_t packs,
                          uint64_t now_ns);
/* Every pack up to this name has been read. */
void check_position_pass(struct check_position *position, const struct hash *name);
/* The check has come to its end. `more`: there are packs from `next` on. */
enum check_rest { CHECK_REST_NONE, CHECK_REST_MORE };
void check_position_end(struct check_position *position, enum check_rest rest);

#endif
