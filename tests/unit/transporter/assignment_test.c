#include "target_host.h"

#include <criterion/criterion.h>
#include <string.h>

/* A host that could be the target of a run, and assignments that do not fit it. */
static struct target_host host;
static struct fake_director *const director = &host.director;

static void setup(void)
{
    target_host_start(&host);
}

static void teardown(void)
{
    target_host_stop(&host);
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
    Sealift__Assign body;
    const struct target_assignment assignment = {
        .run = {{run}}, .side = misfit->side, .version = misfit->version, .peer = misfit->peer};
    Sealift__Head head = target_host_assign(&assignment, &body);
    AUTO(buf) struct buf bytes = {0};
    head_encode(&head, &bytes);
    bytes.data[1] = protocol;
    fake_director_send_bytes(director, buf_span(&bytes), span_of(NULL, 0));
}

static void assign(const struct misfit *misfit, uint8_t run)
{
    assign_speaking(PROTOCOL_VERSION, misfit, run);
}

/* Ends that were not answered are told again: those of other runs are passed over. */
static Sealift__Head *end_of(uint8_t run)
{
    for (;;) {
        Sealift__Head *end = fake_director_expect(director, SEALIFT__HEAD__KIND_RUN_END);
        if (end->run_end->run.len && end->run_end->run.data[0] == run) return end;
        head_free(end);
    }
}

Test(assignment, is_refused_by_name_when_side_peer_or_version_are_not_the_statements)
{
    const uint8_t *peer = director->site.target->known.sign_pk,
                  *stranger = director->site.helper->known.sign_pk;
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

/* The job says 'direct'; what says nothing of it goes as the director assigns. */
Test(assignment, is_refused_where_it_goes_another_way_than_the_job_or_no_way)
{
    static uint8_t name[32] = {7};
    static const struct {
        Sealift__Connection connection;
        const char *endpoint;
        size_t name_len;
        enum err_code code;
        const char *text;
    } ways[] = {
        {SEALIFT__CONNECTION__CONNECTION_REVERSE, "web.example:9450", 32, ERR_POLICY,
         "the job says 'direct' for its connection, and the assignment 'reverse'"},
        {SEALIFT__CONNECTION__CONNECTION_NONE, "", 0, ERR_POLICY,
         "the job says 'direct' for its connection, and the assignment 'none'"},
        {SEALIFT__CONNECTION__CONNECTION_DIRECT, "tcp://elsewhere:1", 0, ERR_PROTOCOL,
         "the assignment says where the other side listens, which such a connection has not"},
        {SEALIFT__CONNECTION__CONNECTION_DIRECT, "", 32, ERR_PROTOCOL,
         "the assignment names a rendezvous for a direct connection"},
    };
    for (uint8_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        Sealift__Assign body;
        const struct target_assignment assignment = {.run = {{(uint8_t)(i + 1)}},
                                                     .side = SEALIFT__RUN_SIDE__SIDE_TARGET,
                                                     .version = 1,
                                                     .peer = director->site.target->known.sign_pk};
        Sealift__Head head = target_host_assign(&assignment, &body);
        body.connection = ways[i].connection;
        body.endpoint = (char *)(uintptr_t)ways[i].endpoint;
        body.rendezvous = (ProtobufCBinaryData){ways[i].name_len, name};
        fake_director_send(director, &head, span_of(NULL, 0));
        AUTO(head) Sealift__Head *end = end_of((uint8_t)(i + 1));
        cr_assert_eq(end->run_end->code, ways[i].code, "%s", end->run_end->text);
        cr_assert_not_null(strstr(end->run_end->text, ways[i].text), "%s", end->run_end->text);
    }
}

/* Whoever speaks another version is hung up on; what he asks for is not guessed at. */
Test(assignment, of_another_protocol_version_costs_the_connection_and_begins_nothing)
{
    const struct misfit misfit = {SEALIFT__RUN_SIDE__SIDE_BOTH, 1, director->site.target->known.sign_pk,
                                  NULL};
    unsigned ends = 0;
    assign_speaking(PROTOCOL_VERSION + 1, &misfit, 1);
    /* what it had sent before has to be taken, or the end of the connection does not show */
    while (fake_director_poke(director) != NET_UNREACHABLE)
        ends += fake_director_heard(director, SEALIFT__HEAD__KIND_RUN_END);
    cr_assert_eq(ends, 0);
}
