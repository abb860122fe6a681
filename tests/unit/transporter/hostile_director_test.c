#include "fake_director.h"

#include "../base/capture.h"

#include "common/crypto/box.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <string.h>

static struct fake_director director;
static struct statement *first; /* roster 1, delivered and believed */
static const struct id job = {{7}};

static void expect_seen(enum err_code code, const char *text)
{
    AUTO(head) Sealift__Head *seen = fake_director_expect(&director, SEALIFT__HEAD__KIND_STATEMENT_SEEN);
    cr_assert_eq(seen->statement_seen->code, (uint32_t)code, "%s", seen->statement_seen->text);
    if (text) cr_assert_str_eq(seen->statement_seen->text, text);
}

static void deliver(const struct statement *statement)
{
    fake_director_deliver(&director, buf_span(&statement->bytes));
}

static void setup(void)
{
    fake_director_start(&director);
    first = site_roster(&director.site, &(struct roster_draft){.version = 1});
    deliver(first);
    AUTO(head) Sealift__Head *hello = fake_director_expect(&director, SEALIFT__HEAD__KIND_HELLO);
    cr_assert_eq(hello->hello->roster_version, 1);
    expect_seen(ERR_NONE, NULL);
}

/* Whatever was tried: the host is healthy, and believes what is true. */
static void teardown(void)
{
    AUTO(statement)
    struct statement *good = site_job(&director.site, director.site.admin, &(struct id){{99}}, 1, "good");
    deliver(good);
    expect_seen(ERR_NONE, NULL);
    statement_free(first);
    fake_director_stop(&director);
}

TestSuite(hostile_director, .init = setup, .fini = teardown, .timeout = 60);

static Sealift__Zone zone_of_target(void)
{
    const struct roster *roster = authority_roster_take(director.authority);
    Sealift__Zone zone = roster_transporter_named(roster, "vault")->zone;
    authority_roster_release(director.authority, roster);
    return zone;
}

Test(hostile_director, moves_no_host_into_the_zone)
{
    struct roster_draft lie = {
        .version = 2, .previous = &first->hash, .target_zone = SEALIFT__ZONE__ZONE_TRUSTED};
    lie.signer = director.site.helper; /* an operator, but no admin */
    AUTO(statement) struct statement *by_operator = site_roster(&director.site, &lie);
    deliver(by_operator);
    expect_seen(ERR_NOT_AUTHENTIC, "roster version 2 is not signed by an admin of the one before it");
    lie.signer = director.site.target; /* the host itself */
    AUTO(statement) struct statement *by_host = site_roster(&director.site, &lie);
    deliver(by_host);
    expect_seen(ERR_NOT_AUTHENTIC, "roster version 2 is not signed by an admin of the one before it");
    cr_assert_eq(zone_of_target(), SEALIFT__ZONE__ZONE_UNTRUSTED);
}

/* Nobody fills the disk of a host's log with what it refuses. */
Test(hostile_director, has_a_bounded_number_of_lines_logged)
{
    enum { TIMES = 200 };
    AUTO(buf) struct buf text = {0};
    Sealift__Head fail = SEALIFT__HEAD__INIT;
    Sealift__Fail why = SEALIFT__FAIL__INIT;
    fail.kind_case = SEALIFT__HEAD__KIND_FAIL;
    fail.fail = &why;
    AUTO(statement)
    struct statement *lie = site_job(&director.site, director.site.target, &job, 1, "by-no-operator");
    struct capture capture = capture_start();
    for (int i = 0; i < TIMES; i++) {
        deliver(lie);
        fake_director_send(&director, &fail, span_of(NULL, 0));
        AUTO(head) Sealift__Head *seen = fake_director_expect(&director, SEALIFT__HEAD__KIND_STATEMENT_SEEN);
        if (seen->statement_seen->code != ERR_NOT_AUTHENTIC) break;
    }
    size_t lines = 0;
    for (const char *at = capture_stop(&capture, &text); *at; at++)
        lines += *at == '\n';
    cr_assert_gt(lines, 50);
    cr_assert_lt(lines, 70, "%zu lines", lines);
}

Test(hostile_director, replays_no_old_roster)
{
    AUTO(statement)
    struct statement *second =
        site_roster(&director.site, &(struct roster_draft){.version = 2, .previous = &first->hash});
    deliver(second);
    expect_seen(ERR_NONE, NULL);
    deliver(first);
    expect_seen(ERR_NOT_AUTHENTIC, "roster version 1 is older than the known version 2");
    AUTO(statement)
    struct statement *fork =
        site_roster(&director.site, &(struct roster_draft){.version = 2,
                                                           .previous = &first->hash,
                                                           .target_zone = SEALIFT__ZONE__ZONE_TRUSTED});
    deliver(fork);
    expect_seen(ERR_NOT_AUTHENTIC, "two different rosters have version 2");
    cr_assert_eq(zone_of_target(), SEALIFT__ZONE__ZONE_UNTRUSTED);
}

Test(hostile_director, swaps_no_box_key)
{
    struct identity_public swapped = director.site.target->known;
    random_bytes(swapped.box_pk, sizeof(swapped.box_pk));
    AUTO(statement)
    struct statement *lie = site_roster(
        &director.site,
        &(struct roster_draft){
            .version = 2, .previous = &first->hash, .instead = &swapped, .signer = director.site.helper});
    deliver(lie);
    expect_seen(ERR_NOT_AUTHENTIC, "roster version 2 is not signed by an admin of the one before it");
}

Test(hostile_director, changes_no_job)
{
    AUTO(statement) struct statement *good = site_job(&director.site, director.site.admin, &job, 2, "web");
    AUTO(statement) struct statement *older = site_job(&director.site, director.site.admin, &job, 1, "web");
    AUTO(statement) struct statement *forged = site_job(&director.site, director.site.target, &job, 3, "web");
    deliver(good);
    expect_seen(ERR_NONE, NULL);
    deliver(older);
    expect_seen(ERR_NOT_AUTHENTIC, "job statement version 1 is older than the known version 2");
    deliver(forged);
    expect_seen(ERR_NOT_AUTHENTIC, "the signer of the job statement is no operator of the roster");
    for (size_t i = 0; i < good->bytes.len; i += 7) {
        AUTO(buf) struct buf changed = {0};
        buf_put_span(&changed, buf_span(&good->bytes));
        changed.data[i] ^= 4;
        fake_director_deliver(&director, buf_span(&changed)); /* does not even decode: nothing to answer */
    }
    AUTO(statement) struct statement *kept = NULL;
    struct err err = {0};
    cr_assert(
        authority_statement(director.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &job, &kept, &err));
    cr_assert(hash_eq(&kept->hash, &good->hash));
}

static void expect_refused_of(Sealift__StatementType type, const struct id *subject, uint64_t version,
                              const uint8_t *peer, const char *text)
{
    static uint8_t runs;
    uint8_t run[16] = {++runs}, ticket[32] = {1};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Assign assign = SEALIFT__ASSIGN__INIT;
    assign.run = stored_bytes(span_of(run, 16));
    assign.attempt = 1;
    assign.side = SEALIFT__RUN_SIDE__SIDE_SOURCE;
    assign.subject = type;
    assign.subject_id = stored_bytes(span_of(subject->bytes, ID_LEN));
    assign.subject_version = version;
    assign.ticket = stored_bytes(span_of(ticket, 32));
    assign.peer = stored_bytes(span_of(peer, 32));
    assign.endpoint = (char *)(uintptr_t) "tcp://127.0.0.1:1";
    assign.connection = SEALIFT__CONNECTION__CONNECTION_DIRECT;
    head.kind_case = SEALIFT__HEAD__KIND_ASSIGN;
    head.assign = &assign;
    fake_director_send(&director, &head, span_of(NULL, 0));
    AUTO(head) Sealift__Head *end = fake_director_expect(&director, SEALIFT__HEAD__KIND_RUN_END);
    cr_assert_gt(end->run_end->code, 1);
    cr_assert_not_null(strstr(end->run_end->text, text), "%s", end->run_end->text);
    Sealift__Head answer = SEALIFT__HEAD__INIT;
    Sealift__Done done = SEALIFT__DONE__INIT;
    answer.serial = end->serial;
    answer.kind_case = SEALIFT__HEAD__KIND_DONE;
    answer.done = &done;
    fake_director_send(&director, &answer, span_of(NULL, 0));
}

static void expect_refused(const struct id *subject, uint64_t version, const uint8_t *peer, const char *text)
{
    expect_refused_of(SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, subject, version, peer, text);
}

/* An order that was signed with a stolen identity, and kept back until that was revoked. */
Test(hostile_director, carries_out_no_order_of_somebody_who_is_no_operator_any_more)
{
    static const uint8_t hash[HASH_LEN] = {1};
    const Sealift__StatementType type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER;
    const uint8_t *self = director.site.source->known.sign_pk, *peer = director.site.target->known.sign_pk;
    struct id id = {{9}};
    struct err err = {0};
    AUTO(buf) struct buf body = {0};
    AUTO(buf) struct buf bytes = {0};
    Sealift__OrderBody order = SEALIFT__ORDER_BODY__INIT;
    order.kind = SEALIFT__ORDER_KIND__ORDER_RESTORE;
    order.repository = order.point = stored_bytes(span_of(id.bytes, ID_LEN));
    order.point_hash = stored_bytes(span_of(hash, HASH_LEN));
    order.target = stored_bytes(span_of(self, SIGN_PK_LEN));
    order.open_at = SEALIFT__OPEN_AT__OPEN_AT_TARGET;
    statement_body_encode(&order, &body);
    struct statement_draft draft = {
        .type = type, .site = director.site.id, .id = id, .version = 1, .body = buf_span(&body)};
    cr_assert(statement_sign(director.site.helper->sign, &draft, &bytes, &err), "%s", err.text);
    fake_director_deliver(&director, buf_span(&bytes));
    expect_seen(ERR_NONE, NULL);
    expect_refused_of(type, &id, 1, peer, "there is no repository statement");
    AUTO(statement)
    struct statement *second =
        site_roster(&director.site,
                    &(struct roster_draft){.version = 2, .previous = &first->hash, .without_helper = true});
    deliver(second);
    expect_seen(ERR_NONE, NULL);
    expect_refused_of(type, &id, 1, peer, "the signer of the order is no operator of the current roster");
}

static void deliver_repository_of_the_target(const struct id *id)
{
    struct err err = {0};
    AUTO(buf) struct buf body = {0};
    AUTO(buf) struct buf bytes = {0};
    Sealift__RepositoryBody plain = SEALIFT__REPOSITORY_BODY__INIT;
    plain.name = (char *)(uintptr_t) "main";
    plain.owner = stored_bytes(span_of(director.site.target->known.sign_pk, SIGN_PK_LEN));
    plain.kind = SEALIFT__STORE_KIND__STORE_ENCRYPTED;
    statement_body_encode(&plain, &body);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                                    .site = director.site.id,
                                    .id = *id,
                                    .version = 1,
                                    .body = buf_span(&body)};
    cr_assert(statement_sign(director.site.admin->sign, &draft, &bytes, &err), "%s", err.text);
    fake_director_deliver(&director, buf_span(&bytes));
    expect_seen(ERR_NONE, NULL);
}

/* A restore to this host from the target's repository. */
static void deliver_restore(const struct id *id)
{
    const struct identity *self = director.site.source;
    struct err err = {0};
    AUTO(buf) struct buf context = {0};
    AUTO(buf) struct buf plain = {0};
    AUTO(buf) struct buf sealed = {0};
    AUTO(buf) struct buf body = {0};
    AUTO(buf) struct buf bytes = {0};
    Sealift__RestorePlan plan = SEALIFT__RESTORE_PLAN__INIT;
    Sealift__SealedCopy copy = SEALIFT__SEALED_COPY__INIT, *copies[] = {&copy};
    Sealift__OrderBody order = SEALIFT__ORDER_BODY__INIT;
    plan.destination = stored_bytes(span_str(director.state));
    statement_body_encode(&plan, &plain);
    statement_box_context("order", &director.site.id, id, span_of(NULL, 0), &context);
    cr_assert(box_seal(self->known.box_pk, buf_span(&context), buf_span(&plain), &sealed, &err), "%s",
              err.text);
    copy.recipient = order.target = stored_bytes(span_of(self->known.sign_pk, SIGN_PK_LEN));
    copy.sealed = stored_bytes(buf_span(&sealed));
    order.kind = SEALIFT__ORDER_KIND__ORDER_RESTORE;
    order.repository = order.point = stored_bytes(span_of(id->bytes, ID_LEN));
    order.point_hash = copy.recipient;
    order.open_at = SEALIFT__OPEN_AT__OPEN_AT_TARGET;
    order.n_plan = 1;
    order.plan = copies;
    statement_body_encode(&order, &body);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                    .site = director.site.id,
                                    .id = *id,
                                    .version = 1,
                                    .body = buf_span(&body)};
    cr_assert(statement_sign(director.site.admin->sign, &draft, &bytes, &err), "%s", err.text);
    fake_director_deliver(&director, buf_span(&bytes));
    expect_seen(ERR_NONE, NULL);
}

static void assign_restore(const struct id *id)
{
    static const uint8_t ticket[32] = {1};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Assign assign = SEALIFT__ASSIGN__INIT;
    assign.run = assign.subject_id = stored_bytes(span_of(id->bytes, ID_LEN));
    assign.attempt = 1;
    assign.side = SEALIFT__RUN_SIDE__SIDE_TARGET;
    assign.subject = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER;
    assign.connection = SEALIFT__CONNECTION__CONNECTION_DIRECT;
    assign.subject_version = 1;
    assign.ticket = stored_bytes(span_of(ticket, sizeof(ticket)));
    assign.peer = stored_bytes(span_of(director.site.target->known.sign_pk, SIGN_PK_LEN));
    head.kind_case = SEALIFT__HEAD__KIND_ASSIGN;
    head.assign = &assign;
    fake_director_send(&director, &head, span_of(NULL, 0));
}

/* Whether its connection stands does not matter. */
Test(hostile_director, serves_nobody_who_was_revoked_while_his_run_went_on)
{
    static char root[] = "/", *roots[] = {root};
    struct id id = {{6}};
    director.policy.restore_roots = roots;
    director.policy.restore_count = 1;
    deliver_repository_of_the_target(&id);
    deliver_restore(&id);
    assign_restore(&id);
    head_free(fake_director_expect(&director, SEALIFT__HEAD__KIND_RUN_READY));
    AUTO(statement)
    struct statement *second = site_roster(
        &director.site,
        &(struct roster_draft){.version = 2, .previous = &first->hash, .revoked = director.site.target});
    deliver(second);
    expect_seen(ERR_NONE, NULL);
    AUTO(head) Sealift__Head *end = fake_director_expect(&director, SEALIFT__HEAD__KIND_RUN_END);
    cr_expect_eq(end->run_end->code, (uint32_t)ERR_CANCELLED, "%u: %s", end->run_end->code,
                 end->run_end->text);
    Sealift__Head answer = SEALIFT__HEAD__INIT;
    Sealift__Done done = SEALIFT__DONE__INIT;
    answer.serial = end->serial;
    answer.kind_case = SEALIFT__HEAD__KIND_DONE;
    answer.done = &done;
    fake_director_send(&director, &answer, span_of(NULL, 0));
}

/* A repository without a directory, which nobody can open. */
static struct statement *site_repository_of(const struct identity *owner, const struct id *id)
{
    struct err err = {0};
    AUTO(buf) struct buf body = {0};
    AUTO(buf) struct buf bytes = {0};
    struct statement *statement = NULL;
    Sealift__RepositoryBody plain = SEALIFT__REPOSITORY_BODY__INIT;
    plain.name = (char *)(uintptr_t) "theirs";
    plain.owner = stored_bytes(span_of(owner->known.sign_pk, SIGN_PK_LEN));
    plain.kind = SEALIFT__STORE_KIND__STORE_ENCRYPTED;
    statement_body_encode(&plain, &body);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                                    .site = director.site.id,
                                    .id = *id,
                                    .version = 1,
                                    .body = buf_span(&body)};
    cr_assert(statement_sign(director.site.admin->sign, &draft, &bytes, &err), "%s", err.text);
    cr_assert(statement_decode(buf_span(&bytes), &statement, &err), "%s", err.text);
    return statement;
}

/* Where repositories lie is sealed; why one cannot be opened is told without it. */
Test(hostile_director, hears_no_path_of_a_repository_that_cannot_be_opened)
{
    static const char path[] = "/srv/merger-with-initech";
    const struct identity *self = director.site.source;
    struct id id = {{8}};
    struct err err = {0};
    AUTO(buf) struct buf context = {0};
    AUTO(buf) struct buf sealed = {0};
    AUTO(buf) struct buf body = {0};
    AUTO(buf) struct buf bytes = {0};
    statement_box_context("repository", &director.site.id, &id, span_of(NULL, 0), &context);
    cr_assert(box_seal(self->known.box_pk, buf_span(&context), span_str(path), &sealed, &err), "%s",
              err.text);
    Sealift__SealedCopy copy = SEALIFT__SEALED_COPY__INIT, *copies[] = {&copy};
    Sealift__RepositoryBody plain = SEALIFT__REPOSITORY_BODY__INIT;
    copy.recipient = stored_bytes(span_of(self->known.sign_pk, SIGN_PK_LEN));
    copy.sealed = stored_bytes(buf_span(&sealed));
    plain.name = (char *)(uintptr_t) "main";
    plain.owner = copy.recipient;
    plain.kind = SEALIFT__STORE_KIND__STORE_ENCRYPTED;
    plain.n_path = 1;
    plain.path = copies;
    statement_body_encode(&plain, &body);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                                    .site = director.site.id,
                                    .id = id,
                                    .version = 1,
                                    .body = buf_span(&body)};
    cr_assert(statement_sign(director.site.admin->sign, &draft, &bytes, &err), "%s", err.text);
    fake_director_deliver(&director, buf_span(&bytes));
    expect_seen(ERR_NONE, NULL);
    AUTO(head) Sealift__Head *told = fake_director_expect(&director, SEALIFT__HEAD__KIND_REPOSITORY_STATE);
    cr_expect_eq(told->repository_state->code, (uint32_t)ERR_POLICY);
    cr_expect_not_null(strstr(told->repository_state->text, "(setting 'repositories')"));
    cr_expect_null(strstr(told->repository_state->text, "merger"), "%s", told->repository_state->text);
}

/* Asking for maintenance takes no signature; a repository that no operator signed, or that is another's, is
 * not touched all the same, and nothing else than the known kinds of work is done. */
Test(hostile_director, keeps_up_no_repository_that_is_not_ours)
{
    const Sealift__StatementType type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY;
    const uint8_t *target = director.site.target->known.sign_pk;
    struct id id = {{8}};
    expect_refused_of(type, &id, 1, target, "there is no repository statement");
    AUTO(statement)
    struct statement *theirs = site_repository_of(director.site.target, &id);
    deliver(theirs);
    expect_seen(ERR_NONE, NULL);
    expect_refused_of(type, &id, 2, target,
                      "the run is of version 2 of the repository, and this transporter holds version 1");
    expect_refused_of(type, &id, 1, target, "this transporter is not that side of the run");
}

/* What is given waits in the transporter's memory until the director reads it. */
Test(hostile_director, is_given_all_back_once_however_often_it_asks)
{
    unsigned given = 0;
    for (uint32_t i = 0; i < 40; i++) {
        Sealift__Head head = SEALIFT__HEAD__INIT;
        Sealift__Welcome body = SEALIFT__WELCOME__INIT;
        head.kind_case = SEALIFT__HEAD__KIND_WELCOME;
        head.welcome = &body;
        body.wants_back = i % 2 == 0;
        fake_director_send(&director, &head, span_of(NULL, 0));
    }
    AUTO(statement) struct statement *last = site_job(&director.site, director.site.admin, &job, 2, "web");
    deliver(last);
    AUTO(head)
    Sealift__Head *seen = fake_director_count(&director, SEALIFT__HEAD__KIND_STATEMENT_SEEN,
                                              SEALIFT__HEAD__KIND_GIVE_BACK, &given);
    cr_assert_eq(seen->statement_seen->code, 0);
    cr_assert_eq(given, 2, "the roster, and the end: %u", given);
}

Test(hostile_director, starts_no_run_that_no_operator_signed)
{
    const uint8_t *target = director.site.target->known.sign_pk;
    expect_refused(&job, 1, target, "there is no job statement");
    AUTO(statement) struct statement *good = site_job(&director.site, director.site.admin, &job, 2, "web");
    deliver(good);
    expect_seen(ERR_NONE, NULL);
    expect_refused(&job, 1, target,
                   "the run is of version 1 of the job, and this transporter holds version 2");
    expect_refused(&job, 2, target, "there is no repository statement");
}
