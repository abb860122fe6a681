/* What the tests of fetches share: what one told, and where the copies of a chunk lie. */
#ifndef SEALIFT_TESTS_FETCHING_H
#define SEALIFT_TESTS_FETCHING_H

#include "builder.h"
#include "transporter/repository/fetch.h"

/* What a fetch told, in order: E envelope, F frame, L list, M missing. */
struct told {
    struct buf order;
    struct hash frames[256];
    struct buf bytes[256];
    size_t frame_count;
    struct buf list_hashes; /* of all lists */
    struct buf batch;       /* all of it as records, as a copy sends them */
    enum err_code missing_code;
    char missing_text[512];
    size_t stop_after; /* so many frames; 0: never */
};

void told_deinit(struct told *told);
DEFINE_AUTO_IN_PLACE(told, struct told, told_deinit)

const char *order(struct told *told);

/* Notes everything; asserts that each frame has the id under which it is told. */
struct fetch_sink sink_of(struct told *told);

void fetch_all(struct repository *repository, const struct hash *ids, size_t count, enum fetch_proof proof,
               struct told *told);

/* For sinks of other kinds: fails the test. */
bool no_missing(void *arg, const struct hash *id, const struct err *why, struct err *err);

/* Where the nth copy (from 0) is, and its pack's path, which the caller frees. */
void locate(struct place *place, const struct hash *id, size_t nth, char **path, struct index_location *out);

#endif
