/* Sweeping: taking away what no point refers to, without a key, a clock or a stop of backups and restores.
 *
 * First the packs of which too little is referred to are condemned in the log: nothing new relies on them
 * from then on, but sessions that were there before may still. Once these have ended, the points are walked
 * again; what is referred to by now is spared, or moved into new packs as it is; then the log says what is
 * swept, and then it is removed. Killed at any instant, the next sweep goes on from what the log says.
 *
 * What still reads in a damaged pack is first copied out of it, as it is; the pack goes as another does once
 * nothing in it is needed there any more (healed.h).
 *
 * Only so much is moved as fits on the disk; what that frees lets more be moved, in as many rounds as it
 * takes. */
#ifndef SEALIFT_REPOSITORY_SWEEP_H
#define SEALIFT_REPOSITORY_SWEEP_H

#include "transporter/repository/repository.h"

/* A pack of whose frames fewer bytes than this are referred to is rewritten. */
#define SWEEP_REWRITE_BELOW_PERCENT 75

enum sweep_outcome {
    SWEEP_CLEAN, /* there was nothing to take away */
    SWEEP_WAITS, /* condemned; sessions of before must end first, then sweep again */
    SWEEP_DONE
};

struct sweep_result {
    enum sweep_outcome outcome;
    uint64_t sessions;        /* that are waited for */
    uint64_t condemned_packs; /* by this sweep */
    uint64_t swept_packs, spared_packs;
    uint64_t faulty_packs;    /* among the spared: for a check to name */
    uint64_t postponed_packs; /* among the spared: there was no room to write anew what they hold */
    uint64_t short_bytes;     /* so much more must be free for the smallest of those */
    uint64_t freed_bytes;     /* of the swept packs */
    uint64_t moved_bytes;     /* written anew */
};

/* ERR_NO_SPACE: packs hold bytes that could go, but there is no room to move the others of any of them.
 * ERR_BUSY: a sweep, prune or undelete is going on. ERR_DAMAGED, ERR_NOT_FOUND: what a point refers to cannot
 * be told, so nothing is taken away. ERR_POLICY: read only. */
bool repository_sweep(struct repository *repository, struct sweep_result *result, struct err *err) MUST_CHECK;

#endif
