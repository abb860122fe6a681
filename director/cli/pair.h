/* How two transporters meet, as people set it and read it: links, which the director keeps without a
 * signature, and what jobs say for themselves. */
#ifndef SEALIFT_CLI_PAIR_H
#define SEALIFT_CLI_PAIR_H

#include "director/cli/args.h"
#include "director/cli/statements.h"
#include "director/core/way.h"

/* Source and target of runs. */
struct pair {
    uint8_t source[SIGN_PK_LEN], target[SIGN_PK_LEN];
    char source_name[IDENTITY_NAME_MAX + 1], target_name[IDENTITY_NAME_MAX + 1];
};
struct way_ends pair_ends(const struct pair *pair);
/* Two different transporters of the roster. ERR_NOT_FOUND, ERR_USAGE. */
bool pair_named(struct cli *cli, const char *source, const char *target, struct pair *out,
                struct err *err) MUST_CHECK;
/* False: both sides of the job's runs are one host, or its repository is not known. */
bool pair_of_job(const struct cli *cli, const Sealift__JobBody *job, const struct statements *repositories,
                 struct pair *out);
bool pair_same(const struct pair *a, const struct pair *b);

/* The director's links; `out` must be empty. */
bool pair_links(struct cli *cli, struct link_table *out, struct err *err) MUST_CHECK;
/* What a job says for itself; "link" where it says nothing. */
struct way_wish pair_job_wish(const Sealift__JobBody *job);

/* --connection and --proxy of `args`, over what `out` says before: another connection forgets its proxy. A
 * rendezvous may name none where `links` has one for the pair (`links` and `pair` NULL: never). ERR_USAGE. */
enum pair_default { PAIR_NEEDS_CONNECTION, PAIR_MAY_SAY_LINK };
bool pair_read(const struct args *args, enum pair_default choice, const struct link_table *links,
               const struct pair *pair, struct way_wish *out, struct err *err) MUST_CHECK;

/* As it is told to the director. Borrows. */
Sealift__Link pair_link(const struct pair *pair, const struct way_wish *way);
/* "vault dials web1", "web1 and vault dial meet:9449", … */
void pair_words(const struct way_wish *way, const struct pair *pair, struct buf *out);
/* Sets `connection`, `proxy` and `dials` of a way, or null and the reason why there is none. */
void pair_json(const struct link_table *links, const struct way_wish *own, const struct pair *pair,
               json_t *object);
/* A warning when the source of a reverse connection is there and has no reverse port. */
void pair_warn(struct cli *cli, const struct way_wish *way, const struct pair *pair);

#endif
