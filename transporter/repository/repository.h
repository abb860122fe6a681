/* A repository: log, points, packs, and the chunk index that finds frames in packs
 * (docs/format.md sections 6 to 10). No key is needed for anything here. One process owns a
 * repository at a time (a lock file in the local state says so, and the log's put_if_absent fences).
 * All functions may be called from any thread. */
#ifndef SEALIFT_REPOSITORY_REPOSITORY_H
#define SEALIFT_REPOSITORY_REPOSITORY_H

#include "common/base/err.h"
#include "common/crypto/hash.h"
#include "common/crypto/sign.h"

#include <stdatomic.h>

struct repository;

enum repository_kind { REPOSITORY_ENCRYPTED, REPOSITORY_PLAINTEXT };

/* Writes `created` as log entry 1 into an empty or absent directory (ERR_EXISTS otherwise).
 * statement: the SignedStatement that asks for it (may be empty only in benches and tests). */
bool repository_create(const char *path, const struct id *site, const struct id *repository,
                       enum repository_kind kind, struct span statement, const struct sign_pair *owner,
                       struct err *err) MUST_CHECK;

/* What to do with a log of which an entry is missing or does not verify. */
enum repository_damage {
    REPOSITORY_REFUSE_DAMAGE,
    REPOSITORY_READ_DAMAGED /* read only: such entries are stepped over, so that a check can name them and the
                               points of the others be restored. What they said, removals too, is not known */
};

/* Whose statements, besides those of the operator who made it, may name a repository's owner. */
struct repository_operators {
    bool (*known)(void *arg, const uint8_t operator_pk[SIGN_PK_LEN]);
    void *arg;
};

/* Whether an owner's chunk index of before is used, if it can be trusted. */
enum repository_index {
    REPOSITORY_INDEX_KEPT,
    REPOSITORY_INDEX_ANEW /* it is dropped unread, and built from the packs */
};

/* How far the opening is with the packs; by bytes of them that are known, not of what was read. */
struct repository_progress {
    bool (*passed)(void *arg, uint64_t done_bytes, uint64_t total_bytes); /* false ends it: ERR_CANCELLED */
    void *arg;
};

struct repository_options {
    const char *path;
    const char *state_dir;         /* local state: index, remembered head, lock. NULL: read only, an
                                      index in a temporary directory (used by `offline`) */
    const struct sign_pair *owner; /* signs log entries; NULL: read only. Borrowed, must outlive */
    enum repository_damage damage; /* an owner always refuses */
    struct span statement;         /* names us the owner: a repository of another owner becomes ours by it */
    const struct repository_operators *operators; /* NULL: none. Borrowed, must outlive */
    enum repository_index index;
    const struct repository_progress *progress; /* NULL: nobody asks */
};

/* How the text of a failed repository_open begins; the path of the repository follows. */
#define REPOSITORY_NOT_OPENED "cannot open the repository '"

/* Verifies the log from the remembered head (or from entry 1), compares the index with the packs that
 * are there (reads trailers of new ones, voids missing ones, rebuilds an index that is absent, of
 * another repository, or not trustworthy after a machine crash), salvages journals of `open/` into
 * packs. ERR_BUSY (another owner), ERR_VERSION, ERR_NOT_AUTHENTIC (chain, signature, head stepped
 * back), ERR_DAMAGED, ERR_NOT_FOUND. */
bool repository_open(const struct repository_options *options, struct repository **out,
                     struct err *err) MUST_CHECK;
/* What of an owner's local state was lost or not to be believed when it was opened, and was made anew: words
 * for a log. NULL: nothing. */
const char *repository_mended(const struct repository *repository);
/* Whether something failed in such a way that nothing more is committed, and opening it anew may help: an
 * entry of its log failed half-way, or its index is not what was written. Waits for a commit that goes on. */
bool repository_is_stuck(struct repository *repository);
void repository_close(struct repository *repository);
DEFINE_AUTO(repository, struct repository *, repository_close)

struct repository_info {
    struct id site;
    struct id repository;
    enum repository_kind kind;
    uint8_t owner[SIGN_PK_LEN]; /* signer of the log */
    uint64_t head_number;
    struct hash head_hash;
    uint64_t points;
    uint64_t chunks;
    uint64_t pack_bytes;
    uint64_t free_bytes; /* of the file system where it lies; 0: unknown */
};
void repository_info(struct repository *repository, struct repository_info *out);

/* Whether prune and delete leave a point alone, whatever rule or order there is, until it is released. */
enum repository_hold { REPOSITORY_RELEASED, REPOSITORY_HELD };

/* A point as the log lists it; the body is not decoded here. */
struct repository_point {
    struct id point;
    uint64_t number;  /* of the log entry */
    uint64_t time_ns; /* the repository side's clock */
    struct hash hash; /* of points/<id> */
    enum repository_hold hold;
};
/* Not-removed points in log order. false from the callback stops. */
typedef bool repository_point_fn(void *arg, const struct repository_point *point);
bool repository_points(struct repository *repository, repository_point_fn *each, void *arg,
                       struct err *err) MUST_CHECK;
/* What the log says of a point that is there: ERR_NOT_FOUND, also when it was removed. */
bool repository_point_find(struct repository *repository, const struct id *point,
                           struct repository_point *out, struct err *err) MUST_CHECK;
/* The exact bytes of points/<id> (a PointFile), checked against the log's hash: ERR_NOT_FOUND,
 * ERR_DAMAGED. */
bool repository_point_read(struct repository *repository, const struct id *point, struct buf *out,
                           struct err *err) MUST_CHECK;
/* Whether all that the point refers to is there and not known to be damaged. Quick where no pack is damaged
 * or lost; on an index that was built anew only once a check found nothing. `cancelled`: or NULL;
 * ERR_CANCELLED. */
bool repository_point_is_whole(struct repository *repository, struct span point_file,
                               const _Atomic bool *cancelled, bool *out, struct err *err) MUST_CHECK;
/* Whether the log says that this point was there once and has been removed, also when a sweep has taken its
 * data since: it is not taken a second time. */
bool repository_point_is_removed(struct repository *repository, const struct id *point);
/* Raw log entry files from number `from` on, for witnesses and copies. */
typedef bool repository_log_fn(void *arg, uint64_t number, struct span entry);
bool repository_log(struct repository *repository, uint64_t from, repository_log_fn *each, void *arg,
                    struct err *err) MUST_CHECK;

#endif
