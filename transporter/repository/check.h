/* Checking without a key (levels `presence` and `hash`). Findings are told one by one with what was
 * found, where, and which points it kills; a finding does not end the check. */
#ifndef SEALIFT_REPOSITORY_CHECK_H
#define SEALIFT_REPOSITORY_CHECK_H

#include "transporter/repository/repository.h"

#include <stdatomic.h>

enum check_level {
    CHECK_PRESENCE, /* log chain; every point, node, chunk and seal that is referred to exists, sizes agree */
    CHECK_HASH      /* also every stored byte: packs against their names, records, lists, signatures */
};

/* How a check goes about it. {.level = …} is: everything, at full speed, on all cores. */
struct check_options {
    enum check_level level;
    /* Which packs are read whole (CHECK_HASH): beginning with the first name from `from` on, as many as
     * `packs` says, around the end of the names to their beginning. 0: all. Of the others it is checked
     * that they are there. Packs that were found damaged before are always read. */
    struct hash from;
    uint64_t packs;
    /* NULL, or the one point that it is about: of the packs only those that hold something of it are looked
     * at, of the others not even whether they are there. ERR_NOT_FOUND. */
    const struct id *point;
    uint64_t bytes_per_s;          /* how fast packs are read; 0: unlimited */
    unsigned readers;              /* threads; 0: one for each core */
    const _Atomic bool *cancelled; /* or NULL; the check then ends with ERR_CANCELLED, its findings told */
};

/* The name of what is no object of a repository may be that of somebody's file: it is for those who may know
 * such names. */
enum check_about { CHECK_OBJECT, CHECK_FOREIGN };

struct check_finding {
    enum check_about about;
    enum err_code code;      /* ERR_DAMAGED, ERR_TRUNCATED, ERR_NOT_FOUND, ERR_NOT_AUTHENTIC, ERR_VERSION */
    const char *object;      /* "packs/ab/…", "points/…", "log/…" */
    const char *text;        /* a sentence */
    const struct id *points; /* recovery points that cannot be restored whole because of it */
    size_t point_count;
};

struct check_sink {
    /* told at the end, by the calling thread, in the order of log, packs, points, notes. That a pack is gone
     * which no point needs is a note. */
    void (*finding)(void *arg, const struct check_finding *finding);
    /* may be NULL; any thread, one call at a time */
    void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes);
    /* Every pack up to this name has been read, from `from` on. Any thread, one call at a time, in the order
     * of the names. May be NULL. */
    void (*passed)(void *arg, const struct hash *name);
    /* whether a signer was admitted by the roster; NULL: any signature that verifies. Any thread, one
     * call at a time */
    bool (*admitted)(void *arg, const uint8_t writer[SIGN_PK_LEN]);
    /* whether it is a transporter of the roster today, and not one that was revoked; NULL: whoever was
     * admitted. The calling thread */
    bool (*is_member)(void *arg, const uint8_t host[SIGN_PK_LEN]);
    /* whether an operator has this key, who may add unlock sections; NULL: any signature that verifies. The
     * calling thread */
    bool (*is_operator)(void *arg, const uint8_t signer[SIGN_PK_LEN]);
    void *arg;
};

struct check_result {
    uint64_t points, frames, bytes_read, findings; /* notes are not counted */
    uint64_t packs;                                /* looked at, in whatever way */
    uint64_t packs_read;                           /* whole, of those that were to be */
    uint64_t packs_total, bytes_total;             /* in the repository when it began */
};

/* true = the check ran to its end (result->findings says what it found); also *result is set when it was
 * cancelled. A repository that is open for writing remembers in its index which packs are damaged or gone:
 * what lies there is read as before, but no new point relies on it, so that the next backup or copy brings
 * it again. A pack that turns out well is relied on again. */
bool repository_check(struct repository *repository, const struct check_options *options,
                      const struct check_sink *sink, struct check_result *result, struct err *err) MUST_CHECK;
/* How many packs there are to be read. */
uint64_t repository_pack_count(struct repository *repository);
/* Whether there is one with this name or a higher one. */
bool repository_has_pack_from(struct repository *repository, const struct hash *name);

/* The exit code of a finding: what a repository lacks is damage; "no such thing" is kept for what was asked
 * for. */
enum err_code check_code(enum err_code found);
/* Which finding weighs more; 0: a remark. That something is missing may follow from another finding: a pack
 * that was cut explains more. */
int check_gravity(enum err_code found);

#endif
