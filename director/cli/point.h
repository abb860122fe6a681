/* Recovery points as the director's catalog knows them, each verified: writer's signature, site, and that a
 * roster ever admitted the writer. Number and time are the repository's word. */
#ifndef SEALIFT_CLI_POINT_H
#define SEALIFT_CLI_POINT_H

#include "common/crypto/identity.h"
#include "common/wire/stored.h"
#include "director/cli/output.h"
#include "director/cli/statements.h"

struct point {
    struct id id;
    struct id repository;
    uint64_t number;
    uint64_t time_ns;                   /* the repository side's clock */
    char writer[IDENTITY_NAME_MAX + 1]; /* by the roster: what a host calls itself may be another's name */
    uint64_t revoked_since;             /* when its writer stopped being trusted; UINT64_MAX: it is trusted */
    struct buf bytes;                   /* the exact PointFile */
    struct hash hash;                   /* of it: what an order names */
    bool held;                          /* it stays until it is released; the repository's word */
    Sealift__PointFile *file;
    Sealift__PointBody *body;
    Sealift__UnlockSection *unlock; /* NULL in a plaintext repository */
};
void point_free(struct point *point);
DEFINE_AUTO(point, struct point *, point_free)

/* What it holds, in words: "image (crash-consistent)" is one that was read without a script that stilled it.
 */
const char *point_holds(const Sealift__PointBody *body);

/* Was it written after its writer stopped being trusted? */
bool point_is_revoked(const struct point *point);

struct points {
    struct point **items; /* as the director gives them: by repository and number */
    size_t count;
    struct err doubt;
};
void points_deinit(struct points *points);
DEFINE_AUTO_IN_PLACE(points, struct points, points_deinit)

/* What is there; or what was removed, and no sweep has taken yet. */
enum points_which { POINTS_THERE, POINTS_REMOVED };
/* `repository` or `job` (a label) NULL: all. Points that do not verify are left out and named as warnings. */
bool points_get(struct cli *cli, const struct id *repository, const char *job, enum points_which which,
                struct points *out, struct err *err) MUST_CHECK;

/* Takes an id or a unique prefix of at least 4 digits, JOB@latest, or JOB@TIME: the newest one made not after
 * that time, or on that day or before (time_word_parse). `repository` is where it is to be read from, or
 * NULL: where it was first. ERR_NOT_FOUND; ERR_USAGE: not unique. */
bool point_resolve(struct cli *cli, const char *text, const char *repository, struct point **out,
                   struct err *err) MUST_CHECK;
/* The same among points that were removed. */
bool point_resolve_removed(struct cli *cli, const char *text, const char *repository, struct point **out,
                           struct err *err) MUST_CHECK;

/* Adds what the point says of its encryption: `cipher`, `key` and `key_fingerprint` (null where it is plain).
 * For tables `fingerprint` has as much of it as --key and 'key show' take. */
void point_set_key(const struct point *point, enum output_form form, json_t *object);

enum point_word { POINT_BY_PREFIX, POINT_LATEST, POINT_BEFORE };
/* What the words mean; pure. `job` gets the label for the last two, *time_ns the moment of the last.
 * ERR_USAGE. */
bool point_word_parse(const char *text, uint64_t now_ns, enum point_word *word,
                      char job[static IDENTITY_NAME_MAX + 1], uint64_t *time_ns, struct err *err) MUST_CHECK;

#endif
