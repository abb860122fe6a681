/* What the operators have signed, as the director believes it: the roster, repositories, jobs, grants,
 * unlock sections, and which versions were ever seen. A statement comes in through the verifier that every
 * program uses, after the rules that only the director can check: names are unique, what is referred to
 * exists, the placement table allows it. Pure: the loop keeps what was accepted and loads it again. */
#ifndef SEALIFT_DIRECTOR_REGISTRY_H
#define SEALIFT_DIRECTOR_REGISTRY_H

#include "common/wire/placement.h"
#include "common/wire/statement.h"
#include "director/core/run_table.h"

#define REGISTRY_STATEMENTS_MAX 100000
#define REGISTRY_BYTES_MAX (256u * 1024 * 1024)
#define REGISTRY_UNLOCKS_MAX 10000

struct registry;
/* `director_pk`: the CURVE key that every roster must name */
struct registry *registry_new(const uint8_t director_pk[32]);
void registry_free(struct registry *registry);
DEFINE_AUTO(registry, struct registry *, registry_free)

/* ---- loading what was accepted before */

/* The rosters in order; the first is believed as it is. */
bool registry_load_roster(struct registry *registry, const struct statement *statement,
                          struct err *err) MUST_CHECK;
/* Takes the statement: repository, job or grant. */
void registry_load(struct registry *registry, struct statement **statement);
void registry_remember(struct registry *registry, Sealift__StatementType type, const struct id *id,
                       uint64_t version, const struct hash *hash);
void registry_load_unlock(struct registry *registry, const struct hash *hash, const struct hash *key_id);

/* ---- accepting */

/* Roster 1, from a peer that connected as one of its admins. ERR_EXISTS: the site is claimed. */
bool registry_claim(struct registry *registry, const struct statement *statement, const uint8_t peer_pk[32],
                    struct err *err) MUST_CHECK;

/* The rosters of a site that had another director, from the first to one that names this director, is signed
 * by an admin and comes from a peer that is that admin. ERR_EXISTS: a site is claimed. */
bool registry_adopt(struct registry *registry, struct statement *const *chain, size_t count,
                    const uint8_t peer_pk[32], struct err *err) MUST_CHECK;

struct acceptance {
    bool known;            /* the same bytes were accepted before; nothing was done */
    struct statement *old; /* the version that this one replaces; the caller's, or NULL */
    bool roster;           /* registry_roster is another one now */
};
void acceptance_deinit(struct acceptance *acceptance);
DEFINE_AUTO_IN_PLACE(acceptance, struct acceptance, acceptance_deinit)

/* Any statement. On success and unless it was known, *statement is the registry's (rosters and orders
 * are not kept here and stay the caller's). ERR_NOT_AUTHENTIC, ERR_POLICY, ERR_NOT_FOUND, ERR_EXISTS (a
 * name that is taken), ERR_LIMIT, ERR_USAGE (not there in this version). */
bool registry_accept(struct registry *registry, struct statement **statement, uint64_t now_s,
                     struct acceptance *out, struct err *err) MUST_CHECK;
/* `key_id` as the decoded section says. Nothing happens when it is known. */
bool registry_accept_unlock(struct registry *registry, const struct hash *hash, const struct hash *key_id,
                            struct err *err) MUST_CHECK;
/* Is it unknown, and is there room for what no operator puts? Half of the room stays theirs. */
bool registry_wants_unlock(const struct registry *registry, const struct hash *hash);

/* ---- asking */

/* NULL before the site is claimed */
const struct roster *registry_roster(const struct registry *registry);
/* The newest repository, job or grant of an id; NULL: none. Borrowed until the next change. */
const struct statement *registry_find(const struct registry *registry, Sealift__StatementType type,
                                      const struct id *id);
/* By index below registry_count, in the order in which they first came. */
size_t registry_count(const struct registry *registry, Sealift__StatementType type);
const struct statement *registry_at(const struct registry *registry, Sealift__StatementType type,
                                    size_t index);
/* Is it for this transporter? */
bool registry_concerns(const struct registry *registry, const struct statement *statement,
                       const uint8_t host[SIGN_PK_LEN]);

/* What a maintenance run of a repository is: its owner's alone. The names are borrowed from the registry,
 * `id` is left to the caller. ERR_NOT_FOUND: no such repository, or no such job that writes to it. */
bool registry_plan_maintenance(const struct registry *registry, const struct id *repository,
                               const struct run_work *work, struct run_plan *out, struct err *err) MUST_CHECK;

/* What a job's or an order's run is, checked against today's roster and placement table. `id` is left to
 * the caller; names are borrowed from the registry. ERR_NOT_FOUND, ERR_POLICY, ERR_USAGE. */
bool registry_plan_job(const struct registry *registry, const struct id *job, struct run_plan *out,
                       struct err *err) MUST_CHECK;
bool registry_plan_order(const struct registry *registry, const struct statement *order, struct run_plan *out,
                         struct err *err) MUST_CHECK;

#endif
