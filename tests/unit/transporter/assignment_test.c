#include "fake_director.h"

#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "tests/unit/session/site_statements.h"

#include <criterion/criterion.h>
#include <string.h>

/* A host that could be the target of a run, and assignments that do not fit it. */
static struct fake_director director;
static const struct id repository_id = {{4}}, job_id = {{7}};
static char *root;

static void deliver(struct statement *statement)
{
    fake_director_deliver(&director, buf_span(&statement->bytes));
    statement_free(statement);
}

static void expect_open(void)
{
    AUTO(head) Sealift__Head *state = fake_director_expect(&director, SEALIFT__HEAD__KIND_REPOSITORY_STATE);
    cr_assert_eq(state->repository_state->code, 0, "%s", state->repository_state->text);
}

static void setup(void)
{
    fake_director_start(&director);
    root = xasprintf("%s/repository", director.state);
    director.policy.repository_roots = &root;
    director.policy.repository_count = 1;
    deliver(site_roster(&director.site,
                        &(struct roster_draft){.version = 1, .target_zone = SEALIFT__ZONE__ZONE_TRUSTED}));
    AUTO(head) Sealift__Head *hello = fake_director_expect(&director, SEALIFT__HEAD__KIND_HELLO);
    deliver(site_repository(&director.site,
                            &(struct repository_draft){.id = repository_id,
                                                       .name = "here",
                                                       .path = root,
                                                       .owner = director.site.source,
                                                       .kind = SEALIFT__STORE_KIND__STORE_PLAINTEXT}));
    expect_open();
    deliver(site_backup(&director.site, &(struct backup_draft){.id = job_id,
                                                               .repository = repository_id,
                                                               .version = 1,
                                                               .source = director.site.target,
                                                               .path = "/nothing"}));
}

static void teardown(void)
{
    fake_director_stop(&director);
    free(root);
}

TestSuite(assignment, .init = setup, .fini = teardown, .timeout = 60);

struct misfit {
    Sealift__RunSide side;
    uint64_t version;
    const uint8_t *peer;
    const char *text;
};

/* Protocol versions are one byte in a head, after its tag. */
static void assign_speaking(uint8_t protocol, const struct misfit *misfit, uint8_t run)
{
    static const uint8_t ticket[32] = {1};
    const struct id id = {{run}};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Assign body = SEALIFT__ASSIGN__INIT;
    body.run = stored_bytes(span_of(id.bytes, ID_LEN));
    body.attempt = 1;
    body.side = misfit->side;
    body.subject = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB;
    body.subject_id = stored_bytes(span_of(job_id.bytes, ID_LEN));
    body.subject_version = misfit->version;
    body.ticket = stored_bytes(span_of(ticket, 32));
    body.peer = stored_bytes(span_of(misfit->peer, SIGN_PK_LEN));
    head.kind_case = SEALIFT__HEAD__KIND_ASSIGN;
    head.assign = &body;
    AUTO(buf) struct buf bytes = {0};
    head_encode(&head, &bytes);
    bytes.data[1] = protocol;
    fake_director_send_bytes(&director, buf_span(&bytes), span_of(NULL, 0));
}

static void assign(const struct misfit *misfit, uint8_t run)
{
    assign_speaking(PROTOCOL_VERSION, misfit, run);
}

/* Ends that were not answered are told again: those of other runs are passed over. */
static Sealift__Head *end_of(uint8_t run)
{
    for (;;) {
        Sealift__Head *end = fake_director_expect(&director, SEALIFT__HEAD__KIND_RUN_END);
        if (end->run_end->run.len && end->run_end->run.data[0] == run) return end;
        head_free(end);
    }
}

Test(assignment, is_refused_by_name_when_side_peer_or_version_are_not_the_statements)
{
    const uint8_t *peer = director.site.target->known.sign_pk,
                  *stranger = director.site.helper->known.sign_pk;
    const struct misfit misfits[] = {
        {SEALIFT__RUN_SIDE__SIDE_SOURCE, 1, peer, "this transporter is not that side of the run"},
        {SEALIFT__RUN_SIDE__SIDE_BOTH, 1, peer, "this transporter is not that side of the run"},
        {SEALIFT__RUN_SIDE__SIDE_TARGET, 1, stranger, "the peer is not whom the job means"},
        {SEALIFT__RUN_SIDE__SIDE_TARGET, 2, peer, "the run is of version 2 of the job"},
    };
    for (uint8_t i = 0; i < sizeof(misfits) / sizeof(misfits[0]); i++) {
        assign(&misfits[i], (uint8_t)(i + 1));
        AUTO(head) Sealift__Head *end = end_of((uint8_t)(i + 1));
        cr_assert_eq(end->run_end->code, ERR_POLICY, "%s", end->run_end->text);
        cr_assert_not_null(strstr(end->run_end->text, misfits[i].text), "%s", end->run_end->text);
    }
}

/* Whoever speaks another version is hung up on; what he asks for is not guessed at. */
Test(assignment, of_another_protocol_version_costs_the_connection_and_begins_nothing)
{
    const struct misfit misfit = {SEALIFT__RUN_SIDE__SIDE_BOTH, 1, director.site.target->known.sign_pk, NULL};
    enum net_status status = NET_OK;
    assign_speaking(PROTOCOL_VERSION + 1, &misfit, 1);
    while (status != NET_UNREACHABLE) {
        status = fake_director_poke(&director);
        cr_assert(status == NET_OK || status == NET_UNREACHABLE, "%d", (int)status);
    }
    cr_assert_eq(fake_director_heard(&director, SEALIFT__HEAD__KIND_RUN_END), 0);
}
