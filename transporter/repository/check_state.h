/* A check from the inside. Private to check*.c. */
#ifndef SEALIFT_REPOSITORY_CHECK_STATE_H
#define SEALIFT_REPOSITORY_CHECK_STATE_H

#include "common/base/pace.h"
#include "transporter/repository/check.h"
#include "transporter/repository/inside.h"

#include <stdatomic.h>

struct finding {
    enum err_code code;
    char *object;
    char *text;
    enum check_about about;
    struct buf points; /* struct id each */
};

/* Bytes of a pack that cannot be read as they were, and the finding that says so. */
struct bad_range {
    uint32_t pack;
    uint32_t from, to;
    size_t finding;
};

/* An envelope that cannot be read in one pack; its frames die if it is in no other. */
struct bad_seal {
    struct id seal;
    uint32_t pack;
    uint32_t envelope; /* its number there */
    size_t finding;
};

/* A pack to be looked at. */
struct check_item {
    uint32_t no;
    enum check_depth { DEPTH_PRESENCE, DEPTH_HASH, DEPTH_HASH_AGAIN /* it was damaged before */ } depth;
    enum { ITEM_OPEN, ITEM_DONE, ITEM_GONE /* swept meanwhile */ } state;
};

struct check {
    struct repository *repository;
    const struct check_options *options;
    enum check_level level;
    const struct check_sink *sink;
    struct pace pace; /* of reading packs */

    pthread_mutex_t lock; /* over everything below while packs are read */
    struct finding *findings;
    size_t count, cap;
    struct bad_range *ranges; /* by pack and start */
    size_t range_count, range_cap;
    struct bad_seal *bad_seals;
    size_t bad_seal_count;
    struct check_result result;
    uint64_t total_bytes;

    struct check_item *items; /* in the order in which they are taken; does not change */
    size_t item_count, item_cap;
    size_t next_item;   /* for the readers to take */
    size_t passed_item; /* those before it are done, and the sink was told of them */
    bool failed;
    struct err failure;

    size_t lost_chunks; /* that are in no pack that was ever known */
    size_t lost_finding;
    size_t too_deep; /* nodes below the deepest allowed level */
    size_t deep_finding;
};

/* Adds a finding; its number. Takes lock. */
size_t check_add(struct check *check, enum err_code code, const char *object, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Bytes [from, to) of the pack are bad. Takes lock. */
void check_add_range(struct check *check, uint32_t pack, uint64_t from, uint64_t to, size_t finding);
/* The finding for a place in a pack; false: none. */
bool check_find_range(struct check *check, uint32_t pack, uint32_t offset, size_t *finding);
bool check_admitted(void *check, const uint8_t writer[SIGN_PK_LEN]);

bool check_cancelled(const struct check *check);

/* check_log.c, check_packs.c, check_seals.c, check_points.c */
bool check_log(struct check *check, struct err *err) MUST_CHECK;
bool check_packs(struct check *check, struct err *err) MUST_CHECK;
/* check_choice.c: which packs are looked at, and how closely. */
bool check_choose(struct check *check, struct err *err) MUST_CHECK;
/* Once all packs are read: which frames bad envelopes take along. */
bool check_seals(struct check *check, struct err *err) MUST_CHECK;
bool check_points(struct check *check, struct err *err) MUST_CHECK;

#endif
