#include "director/cli/mend.h"

#include "director/cli/job_run.h"
#include "director/cli/statements.h"

#include <string.h>

static bool names(const ProtobufCBinaryData *id, const struct statement *repository)
{
    return id->len == ID_LEN && memcmp(id->data, repository->id.bytes, ID_LEN) == 0;
}

/* A copy of all jobs before one of a single job; one that seals anew brings no chunk back. */
static const Sealift__JobBody *find_copy(const struct statements *jobs, const struct statement *from,
                                         const struct statement *to)
{
    const Sealift__JobBody *found = NULL;
    for (size_t i = 0; i < jobs->count; i++) {
        const Sealift__JobBody *body = jobs->items[i]->body.job;
        bool fits = !body->deleted && body->placement == SEALIFT__PLACEMENT__PLACE_AS_STORED &&
                    names(&body->repository, to) && names(&body->from_repository, from);
        if (fits && (!found || found->from_job[0] != '\0')) found = body;
    }
    return found;
}

bool mend_repository(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(statements) struct statements repositories = {0};
    AUTO(statements) struct statements jobs = {0};
    const struct statement *to = NULL, *from = NULL;
    const char *name = args_operand(args, 0), *source = args_value(args, "from");
    if (!source) return err_set(err, ERR_USAGE, "--from REPOSITORY is needed: one that holds a copy");
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err) ||
        !statements_named(&repositories, name, &to, err) ||
        !statements_named(&repositories, source, &from, err))
        return false;
    if (to == from) return err_set(err, ERR_USAGE, "a repository cannot be repaired from itself");
    const Sealift__JobBody *job = find_copy(&jobs, from, to);
    if (!job)
        return err_set(
            err, ERR_NOT_FOUND,
            "no signed job copies from '%s' to '%s': make one with 'sealift job create NAME --copy %s "
            "--repository %s', then ask again",
            source, name, source, name);
    return job_run_named(cli, args, job->name, err);
}

const struct option_spec mend_options[] = {
    {"from", "REPOSITORY", "the one that holds a copy"},
    {"wait", NULL, "wait until the run ends, and end as it does"},
    {"stats", "N",
     "where there is no terminal: progress at least every N seconds (0: each tenth only; default 10)"},
    {0},
};
