/* Statements on their way to transporters: rosters first, then what concerns each. */
#include "director/loop/inside.h"

#include <string.h>

/* A grant comes after the unlock section that it names. */
static void send_one(struct host_link *host, const struct statement *statement)
{
    if (statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT) {
        const Sealift__GrantBody *grant = statement->body.grant;
        struct hash hash;
        if (grant->unlock_hash.len == HASH_LEN) {
            memcpy(hash.bytes, grant->unlock_hash.data, HASH_LEN);
            line_send_unlock(&host->line, &hash);
        }
    }
    line_send_statement(&host->line, statement->type, &statement->id);
}

static void deliver_type(struct director *director, struct host_link *host, Sealift__StatementType type)
{
    for (size_t i = 0; i < registry_count(director->registry, type); i++) {
        const struct statement *statement = registry_at(director->registry, type, i);
        if (registry_concerns(director->registry, statement, host->sign_pk)) send_one(host, statement);
    }
}

static bool takes_part(const struct run *run, const struct host_link *host)
{
    return memcmp(run->source.host, host->sign_pk, SIGN_PK_LEN) == 0 ||
           memcmp(run->target.host, host->sign_pk, SIGN_PK_LEN) == 0;
}

/* Orders whose runs are not over. */
static void deliver_orders(struct director *director, struct host_link *host)
{
    for (size_t i = 0; i < run_table_count(director->runs); i++) {
        const struct run *run = run_table_at(director->runs, i);
        if (run->subject == SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER && takes_part(run, host))
            line_send_statement(&host->line, run->subject, &run->subject_id);
    }
}

void deliver_rosters(struct director *director, struct host_link *host, uint64_t version)
{
    for (uint64_t next = version; next < roster_version(registry_roster(director->registry)); next++)
        line_send_roster(&host->line, next + 1);
}

void deliver_all(struct director *director, struct host_link *host, uint64_t version)
{
    deliver_rosters(director, host, version);
    deliver_type(director, host, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY);
    deliver_type(director, host, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB);
    deliver_type(director, host, SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT);
    deliver_orders(director, host);
}

void deliver_roster(struct director *director)
{
    for (size_t i = 0; i < director->host_count; i++)
        if (director->hosts[i]->stage == HOST_CONNECTED)
            line_send_roster(&director->hosts[i]->line, roster_version(registry_roster(director->registry)));
}

void deliver_jobs(struct director *director, const struct statement *repository)
{
    struct host_link *owner = hosts_find(director, repository->body.repository->owner.data);
    if (owner && owner->stage == HOST_CONNECTED)
        deliver_type(director, owner, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB);
}

void deliver_statement(struct director *director, const struct statement *statement,
                       const struct statement *old)
{
    for (size_t i = 0; i < director->host_count; i++) {
        struct host_link *host = director->hosts[i];
        if (host->stage != HOST_CONNECTED) continue;
        if (registry_concerns(director->registry, statement, host->sign_pk) ||
            (old && registry_concerns(director->registry, old, host->sign_pk)))
            send_one(host, statement);
    }
}
