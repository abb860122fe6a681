#include "target_host.h"

#include "common/base/alloc.h"
#include "common/wire/lent.h"
#include "tests/unit/session/site_statements.h"

#include <criterion/criterion.h>

const struct id target_host_job = {{7}};
static const struct id repository_id = {{4}};

static void deliver(struct fake_director *director, struct statement *statement)
{
    fake_director_deliver(director, buf_span(&statement->bytes));
    statement_free(statement);
}

static void expect_open(struct fake_director *director)
{
    AUTO(head) Sealift__Head *state = fake_director_expect(director, SEALIFT__HEAD__KIND_REPOSITORY_STATE);
    cr_assert_eq(state->repository_state->code, 0, "%s", state->repository_state->text);
}

void target_host_start(struct target_host *host)
{
    struct fake_director *director = &host->director;
    fake_director_start(director);
    host->root = xasprintf("%s/repository", director->state);
    director->policy.repository_roots = &host->root;
    director->policy.repository_count = 1;
    deliver(director,
            site_roster(&director->site,
                        &(struct roster_draft){.version = 1, .target_zone = SEALIFT__ZONE__ZONE_TRUSTED}));
    AUTO(head) Sealift__Head *hello = fake_director_expect(director, SEALIFT__HEAD__KIND_HELLO);
    deliver(director, site_repository(&director->site, &(struct repository_draft){
                                                           .id = repository_id,
                                                           .name = "here",
                                                           .path = host->root,
                                                           .owner = director->site.source,
                                                           .kind = SEALIFT__STORE_KIND__STORE_PLAINTEXT}));
    expect_open(director);
    deliver(director, site_backup(&director->site, &(struct backup_draft){.id = target_host_job,
                                                                          .repository = repository_id,
                                                                          .version = 1,
                                                                          .source = director->site.target,
                                                                          .path = "/nothing"}));
}

void target_host_stop(struct target_host *host)
{
    fake_director_stop(&host->director);
    free(host->root);
}

Sealift__Head target_host_assign(const struct target_assignment *assignment, Sealift__Assign *body)
{
    static const uint8_t ticket[32] = {1};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    sealift__assign__init(body);
    body->run = lent_id(&assignment->run);
    body->attempt = 1;
    body->side = assignment->side;
    if (assignment->side != SEALIFT__RUN_SIDE__SIDE_BOTH)
        body->connection = SEALIFT__CONNECTION__CONNECTION_DIRECT;
    body->subject = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB;
    body->subject_id = lent_id(&target_host_job);
    body->subject_version = assignment->version;
    body->ticket = lent_bytes(ticket, sizeof(ticket));
    body->peer = lent_bytes(assignment->peer, SIGN_PK_LEN);
    head.kind_case = SEALIFT__HEAD__KIND_ASSIGN;
    head.assign = body;
    return head;
}
