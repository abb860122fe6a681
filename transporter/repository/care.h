/* What changes which points there are: removal, its reversal, holds. Each is a log entry that quotes the
 * statement which allows it; the bytes stay until a sweep. Needs no key. Any thread; prune, undelete and
 * sweep exclude each other (ERR_BUSY). */
#ifndef SEALIFT_REPOSITORY_CARE_H
#define SEALIFT_REPOSITORY_CARE_H

#include "transporter/core/retention.h"
#include "transporter/repository/repository.h"

/* Whose points count together: those that one host signed and, where a copy sealed them anew, that it says to
 * be of one writer. Bytes only: compared as they are. */
struct care_line {
    uint8_t signer[SIGN_PK_LEN];
    uint8_t origin[SIGN_PK_LEN]; /* zeros: it was not sealed anew */
    uint8_t late;                /* 1: it came when one of them was not trusted any more */
};

/* Who answers for a point that came at time_ns. `line` has signer and origin as they are signed, and may be
 * changed; *heir: the line whose points count against this one's as well, or the same line. */
typedef void care_line_fn(const void *arg, uint64_t time_ns, struct care_line *line, struct care_line *heir);

/* What rules a job's points, and who says so. */
struct care_rule {
    const char *job; /* the label that points carry. Borrowed */
    struct retention retention;
    struct retention_floor floor; /* the stricter of statement and configuration */
    struct span statement;        /* quoted; may be empty only in tests */
    care_line_fn *line;           /* NULL: all the job's points are of one */
    const void *line_arg;         /* borrowed */
};

enum prune_mode { PRUNE_TELL, PRUNE_REMOVE };

struct prune_result {
    uint64_t kept, removed; /* removed: or would be, with PRUNE_TELL */
};
/* Each point of the job in log order, with why it stays; before it is removed. May be NULL. */
typedef void prune_fn(void *arg, const struct repository_point *point, enum retention_reason reason);

/* Removes the job's points that nothing keeps; those of each line are counted by themselves. A point whose
 * file is damaged is left alone, and does not count as one that stays. Failing half-way leaves those removed
 * that the log says. */
bool repository_prune(struct repository *repository, const struct care_rule *rule, enum prune_mode mode,
                      prune_fn *each, void *arg, struct prune_result *result, struct err *err) MUST_CHECK;

/* The label of the point's job, as its writer signed it; appended to `out` without a NUL. ERR_NOT_FOUND:
 * there is no such point, or it was removed. */
bool repository_point_job(struct repository *repository, const struct id *point, struct buf *out,
                          struct err *err) MUST_CHECK;

/* The number of a point with this label that is there, or 0. Reads points until it finds one. */
bool repository_job_point(struct repository *repository, const char *job, uint64_t *number,
                          struct err *err) MUST_CHECK;

/* Removes one point by an order. rule->job must be its job. ERR_NOT_FOUND, ERR_POLICY (retention_may_delete).
 */
bool repository_delete(struct repository *repository, const struct id *point, const struct care_rule *rule,
                       struct err *err) MUST_CHECK;
/* Takes a removal back. ERR_NOT_FOUND: there is no such point; ERR_EXISTS: it was not removed; ERR_POLICY: it
 * has been swept. */
bool repository_undelete(struct repository *repository, const struct id *point, struct span statement,
                         struct err *err) MUST_CHECK;
/* Setting what is set already is success, without another entry. */
bool repository_hold(struct repository *repository, const struct id *point, enum repository_hold hold,
                     struct span statement, struct err *err) MUST_CHECK;

/* Private to this folder: excludes the others until care_end. ERR_BUSY, ERR_POLICY (read only). */
bool care_begin(struct repository *repository, struct repository **out, struct err *err) MUST_CHECK;
void care_end(struct repository *repository);
DEFINE_AUTO(care, struct repository *, care_end)

#endif
