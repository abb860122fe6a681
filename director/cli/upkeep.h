/* The upkeep of a repository that the director starts by itself: what operators signed of it (how often it is
 * swept and checked), and how old the last of each is. */
#ifndef SEALIFT_CLI_UPKEEP_H
#define SEALIFT_CLI_UPKEEP_H

#include "director/cli/args.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/statements.h"

/* --sweep, --check, --check-sample, --no-maintenance into the statement, as far as they were given. Borrows
 * from `args`. */
bool upkeep_read(const struct args *args, Sealift__RepositoryBody *body, struct err *err) MUST_CHECK;
#define UPKEEP_OPTIONS                                                                                       \
    {"sweep", "SPEC",                                                                                        \
     "when it is swept, and its jobs are pruned after that: weekly [sun] [03:00] (default), "                \
     "daily [03:00], every 48h, none (UTC)"},                                                                \
        {"check", "SPEC", "when a part of its packs is read and checked (default: daily)"},                  \
        {"check-sample", "PERCENT", "how many of the packs each such check reads (default: a thirtieth)"},   \
    {                                                                                                        \
        "no-maintenance", NULL, "neither sweeps nor checks unless somebody asks for them"                    \
    }

/* Adds schedules, ages, the share of the bytes that was checked within 30 days, and what is overdue, as one
 * sentence each. `runs`: of the repository. */
void upkeep_json(const struct statement *repository, const Sealift__StatusAnswer *status,
                 const Sealift__RunListAnswer *runs, uint64_t now_ns, json_t *object);
/* Says as warnings what upkeep_json found overdue. */
void upkeep_warn(const struct cli *cli, const char *repository, const json_t *object);

/* sealift repository set */
bool upkeep_set(struct cli *cli, const struct args *args, struct err *err) MUST_CHECK;
extern const struct option_spec upkeep_set_options[];

#endif
