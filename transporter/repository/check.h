/* Checking without a key (levels `presence` and `hash`). Findings are told one by one with what was
 * found, where, and which points it kills; a finding does not end the check. */
#ifndef SEALIFT_REPOSITORY_CHECK_H
#define SEALIFT_REPOSITORY_CHECK_H

#include "transporter/repository/repository.h"

enum check_level {
    CHECK_PRESENCE, /* log chain; every point, node, chunk and seal that is referred to exists, sizes agree */
    CHECK_HASH      /* also every stored byte: packs against their names, records, lists, signatures */
};

struct check_finding {
    enum err_code code;      /* ERR_DAMAGED, ERR_TRUNCATED, ERR_NOT_FOUND, ERR_NOT_AUTHENTIC, ERR_VERSION */
    const char *object;      /* "packs/ab/…", "points/…", "log/…" */
    const char *text;        /* a sentence */
    const struct id *points; /* recovery points that cannot be restored whole because of it */
    size_t point_count;
};

struct check_sink {
    /* told at the end, by the calling thread, in the order of log, packs, points, notes */
    void (*finding)(void *arg, const struct check_finding *finding);
    /* may be NULL; any thread, one call at a time */
    void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes);
    /* whether a signer was admitted by the roster; NULL: any signature that verifies. Any thread, one
     * call at a time */
    bool (*admitted)(void *arg, const uint8_t writer[SIGN_PK_LEN]);
    void *arg;
};

struct check_result {
    uint64_t points, packs, frames, bytes_read, findings; /* notes are not counted */
};

/* true = the check ran to its end (result->findings says what it found). Uses all cores. */
bool repository_check(struct repository *repository, enum check_level level, const struct check_sink *sink,
                      struct check_result *result, struct err *err) MUST_CHECK;

#endif
