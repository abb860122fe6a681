/* The statements that the director keeps, believed only as far as operators' signatures and this machine's
 * memory carry: what does not verify, or is older than what was seen before, is left out and named. */
#ifndef SEALIFT_CLI_STATEMENTS_H
#define SEALIFT_CLI_STATEMENTS_H

#include "director/cli/access.h"

/* {0} is empty. */
struct statements {
    Sealift__StatementType type;
    struct statement **items;
    size_t count;
    struct err doubt; /* the first that was left out; code ERR_NONE: none was */
};
void statements_deinit(struct statements *statements);
DEFINE_AUTO_IN_PLACE(statements, struct statements, statements_deinit)

/* The newest of each id, deleted ones among them. Each doubt is said as a warning. `out` must be empty. */
bool statements_get(struct cli *cli, Sealift__StatementType type, struct statements *out,
                    struct err *err) MUST_CHECK;

/* Was nothing left out? Else ERR_NOT_AUTHENTIC: how a listing ends. */
bool statements_believed(const struct statements *statements, struct err *err) MUST_CHECK;

/* Repositories and jobs, those that were not deleted, by name. ERR_NOT_FOUND names the nearest
 * (ERR_NOT_AUTHENTIC when something was left out: it may be that one). Borrowed. */
bool statements_named(const struct statements *statements, const char *name, const struct statement **out,
                      struct err *err) MUST_CHECK;
/* NULL when there is none */
const struct statement *statements_with_id(const struct statements *statements, const struct id *id);
/* Of a repository or job. */
const char *statement_name(const struct statement *statement);
bool statement_is_deleted(const struct statement *statement);
/* The body that takes back what was never made: deleted, and without a directory. The director keeps it, as
 * it keeps the newest statement of every id; nobody is shown it. */
void statement_take_back(Sealift__RepositoryBody *body);
/* A repository that was detached, though jobs write to it or copy from it. */
bool repository_is_missed(const struct statement *repository, const struct statements *jobs);
/* Does a job that was not deleted? */
bool job_concerns(const struct statement *job, const struct id *repository);
/* The name of the repository with this id, or its first 12 hex digits. */
void statements_name_of(const struct statements *repositories, const struct id *id,
                        char out[static IDENTITY_NAME_MAX + 1]);

#endif
