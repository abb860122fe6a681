/* Reading frames: a window of ids is answered in pack order with read-ahead. Any thread; one fetch is
 * one thread. */
#ifndef SEALIFT_REPOSITORY_FETCH_H
#define SEALIFT_REPOSITORY_FETCH_H

#include "transporter/repository/repository.h"

#define FETCH_MAX_IDS 4096
/* Of one id that can be told: so many false ones a writer must plant before the true one to hide it. */
#define FETCH_PLACES 256

enum fetch_proof {
    FETCH_FRAMES,    /* frames and the envelopes they need */
    FETCH_WITH_LISTS /* also the signed lists that cover them, for copies */
};

/* Who finds that a frame's bytes are not those that were written. */
enum fetch_verify {
    FETCH_VERIFIED, /* the fetch, by the record's check: the next place is tried at once */
    FETCH_TO_OPEN,  /* who opens them, where there is no next place: a frame opens to its id or not at all, so
                       it is not hashed here besides */
};

struct fetch_sink {
    /* Bytes are borrowed for the call. Returning false ends the fetch with *err set by the callback. */
    bool (*envelope)(void *arg, struct span envelope, struct err *err); /* before the seal's first frame */
    bool (*frame)(void *arg, const struct hash *id, struct span frame, struct err *err);
    /* NULL, or in the place of `frame`: the frame with the record around it, as stored */
    bool (*record)(void *arg, const struct hash *id, struct span record, struct err *err);
    bool (*list)(void *arg, struct span list, struct err *err); /* after the frames it covers */
    /* an id that is in no readable pack (or whose frame does not parse, or failed its record check);
     * `why` says which pack. The fetch goes on. */
    bool (*missing)(void *arg, const struct hash *id, const struct err *why, struct err *err);
    /* NULL, or: a rewrap of a seal, before its envelope is told, which comes along; neither is verified */
    bool (*rewrap)(void *arg, struct span envelope, struct span object, struct err *err);
    void *arg;
    /* Only frames of this dedup domain: a writer of another domain can plant a frame under any id, and
     * its frame would open to other bytes, or not at all. NULL: of any (plaintext repositories). */
    const struct hash *domain;
    enum fetch_verify verify; /* FETCH_TO_OPEN never goes with lists */
    /* Below FETCH_PLACES: how many places of each id are passed over, in the order in which they are tried.
     * Whether a frame opens to what its id says only a key tells: who has it asks for the next place. */
    unsigned skip;
};

/* At most FETCH_MAX_IDS. Envelopes are told once per call. When an id has several locations and one is
 * bad, the next is tried. */
bool repository_fetch(struct repository *repository, const struct hash *ids, size_t count,
                      enum fetch_proof proof, const struct fetch_sink *sink, struct err *err) MUST_CHECK;

#endif
