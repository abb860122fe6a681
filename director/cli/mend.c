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
    WAIT_OPTION,
    {"stats", "N",
     "where there is no terminal: progress at least every N seconds (0: each tenth only; default 10)"},
    {0},
};

/* --- advice --- */

/* The first repository that is to hold all that this one holds, or all of a job. */
static const struct statement *find_holder(const struct statements *jobs,
                                           const struct statements *repositories, const struct id *from)
{
    for (size_t i = 0; i < jobs->count; i++) {
        const Sealift__JobBody *body = jobs->items[i]->body.job;
        struct id to;
        if (body->deleted || body->from_repository.len != ID_LEN || body->repository.len != ID_LEN ||
            memcmp(body->from_repository.data, from->bytes, ID_LEN) != 0)
            continue;
        memcpy(to.bytes, body->repository.data, ID_LEN);
        const struct statement *found = statements_with_id(repositories, &to);
        if (found && !statement_is_deleted(found)) return found;
    }
    return NULL;
}

void mend_advise(struct cli *cli, const struct id *repository, const struct err *why)
{
    AUTO(statements) struct statements repositories = {0};
    AUTO(statements) struct statements jobs = {0};
    struct err ignored;
    char name[IDENTITY_NAME_MAX + 1];
    if (why->code != ERR_DAMAGED && why->code != ERR_TRUNCATED) return;
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, &ignored) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, &ignored))
        return;
    statements_name_of(&repositories, repository, name);
    const struct statement *holder = find_holder(&jobs, &repositories, repository);
    if (holder)
        output_note(
            &cli->output,
            "the damage is in the repository '%s': --repository %s reads from the copy there; 'sealift "
            "repository check %s --wait' finds what else is hit, 'sealift repository repair %s --from %s "
            "--wait' brings it back",
            name, statement_name(holder), name, name, statement_name(holder));
    else
        output_note(
            &cli->output,
            "the damage is in the repository '%s': 'sealift repository check %s --wait' finds what else is "
            "hit; after it the next run of the job stores again what its source still has (there is no "
            "copy to repair from)",
            name, name);
}
