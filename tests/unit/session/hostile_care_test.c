/* A director asks a repository's owner for prunes and sweeps, as it likes: nothing goes that signed retention
 * keeps. */
#include "errand.h"

#include "common/wire/lent.h"
#include "transporter/repository/check.h"
#include "transporter/repository/inside.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>

enum { POINTS = 4, KEPT = 3 };
static const struct id repository = {{4}}, job = {{7}}, copies = {{17}}, moved = {{27}}, nowhere = {{5}};
static struct hosts *hosts;
static struct errand errand;

static void tell_job(const struct id *id, const struct id *to, uint64_t version, uint32_t keep_last,
                     uint32_t deleted)
{
    hosts_tell(hosts, site_backup(&hosts->site, &(struct backup_draft){.id = *id,
                                                                       .repository = *to,
                                                                       .version = version,
                                                                       .source = hosts->web.self,
                                                                       .path = errand.tree,
                                                                       .keep_last = keep_last,
                                                                       .deleted = deleted}));
}

/* A copy of all jobs of another repository into this one, which would keep a single point of each. */
static void tell_copy(void)
{
    struct err err = {0};
    struct statement *statement = NULL;
    Sealift__JobBody body = SEALIFT__JOB_BODY__INIT;
    Sealift__Retention retention = SEALIFT__RETENTION__INIT;
    AUTO(buf) struct buf encoded = {0}, bytes = {0};
    retention.last = 1;
    body.name = lent_text("all");
    body.kind = SEALIFT__JOB_KIND__JOB_COPY;
    body.source = lent_bytes(hosts->web.self->known.sign_pk, SIGN_PK_LEN);
    body.repository = lent_id(&repository);
    body.from_repository = lent_id(&nowhere);
    body.placement = SEALIFT__PLACEMENT__PLACE_AS_STORED;
    body.compressor = lent_text("none");
    body.connection = SEALIFT__CONNECTION__CONNECTION_DIRECT;
    body.retention = &retention;
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                    .site = hosts->site.id,
                                    .id = copies,
                                    .version = 1,
                                    .body = buf_span(&encoded)};
    cr_assert(statement_sign(hosts->site.admin->sign, &draft, &bytes, &err), "%s", err.text);
    cr_assert(statement_decode(buf_span(&bytes), &statement, &err), "%s", err.text);
    hosts_tell(hosts, statement);
}

static void setup(void)
{
    hosts = hosts_new();
    errand_init(&errand, &hosts->web, &hosts->vault, NULL, hosts);
    for (int i = 0; i < POINTS; i++)
        errand_make_point(&errand);
    tell_job(&job, &repository, 2, KEPT, 0);
    tell_job(&moved, &nowhere, 1, 1, 0); /* of the same name, into another repository */
    tell_copy();
}

static void teardown(void)
{
    errand_deinit(&errand);
    hosts_free(hosts);
}

TestSuite(hostile_care, .init = setup, .fini = teardown, .timeout = 60);

static struct repository *store(void)
{
    struct repository *found = NULL;
    struct err err = {0};
    cr_assert(stores_get(hosts->vault.stores, &repository, &found, &err), "%s", err.text);
    stores_give_back(hosts->vault.stores, &repository); /* nobody takes it from us */
    return found;
}

/* All that the point needs is there. */
static bool count_whole(void *arg, const struct repository_point *point)
{
    size_t *whole = arg;
    struct err err = {0};
    bool is_whole = false;
    AUTO(buf) struct buf file = {0};
    cr_assert(repository_point_read(store(), &point->point, &file, &err), "%s", err.text);
    cr_assert(repository_point_is_whole(store(), buf_span(&file), NULL, &is_whole, &err), "%s", err.text);
    *whole += is_whole;
    return true;
}

static void expect_points(size_t count)
{
    struct err err = {0};
    size_t whole = 0;
    struct check_result result = {0};
    cr_assert(repository_points(store(), count_whole, &whole, &err));
    cr_assert_eq(whole, count, "%zu points are whole instead of %zu", whole, count);
    cr_assert(repository_check(store(), &(struct check_options){.level = CHECK_HASH}, &(struct check_sink){0},
                               &result, &err),
              "%s", err.text);
    cr_assert_eq(result.findings, 0);
}

/* What a run with this work ends with. */
static uint32_t ask(Sealift__MaintenanceKind kind, const struct id *of, const char *text)
{
    Sealift__Maintenance work = SEALIFT__MAINTENANCE__INIT;
    AUTO(trip) struct trip trip = {.relay = NULL};
    const struct assignment assignment = {
        SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, repository, &hosts->vault, &hosts->vault, 0, false};
    work.kind = kind;
    if (of) work.about = lent_id(of);
    hosts->work = &work;
    trip_run(hosts, &assignment, &trip);
    hosts->work = NULL;
    /* the director hears a code, the operators the reason */
    if (text && trip.source.code > 1) cr_assert(leg_explains(hosts, &trip.source, text), "%s", text);
    return trip.source.code;
}

#define PRUNE SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE
#define SWEEP SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP
#define REINDEX SEALIFT__MAINTENANCE_KIND__MAINTENANCE_REINDEX

Test(hostile_care, prunes_and_sweeps_as_often_as_one_likes_leave_what_is_signed_to_stay)
{
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(ask(SWEEP, NULL, NULL), 0);
        cr_assert_eq(ask(PRUNE, &job, NULL), 0);
        cr_assert_eq(ask(SWEEP, NULL, NULL), 0);
        expect_points(KEPT);
    }
}

Test(hostile_care, the_prune_of_another_job_takes_nothing)
{
    cr_assert_eq(ask(PRUNE, &moved, "the job 'job' does not write to this repository"), ERR_POLICY);
    cr_assert_eq(ask(PRUNE, &nowhere, "there is no job statement"), ERR_NOT_FOUND);
    cr_assert_eq(ask(PRUNE, &copies, "0 points removed, 0 stay"), 0);
    cr_assert_eq(ask(SWEEP, NULL, NULL), 0);
    expect_points(POINTS);
}

Test(hostile_care, an_old_or_forged_statement_of_the_job_is_no_way_around)
{
    struct err err = {0};
    struct accepted accepted;
    AUTO(statement)
    struct statement *old = site_backup(&hosts->site, &(struct backup_draft){.id = job,
                                                                             .repository = repository,
                                                                             .version = 1,
                                                                             .source = hosts->web.self,
                                                                             .path = errand.tree,
                                                                             .keep_last = 1});
    cr_assert_not(authority_accept(hosts->vault.authority, buf_span(&old->bytes), &accepted, &err));
    hosts->subject_version = 2; /* of the repository: there is none */
    cr_assert_neq(ask(PRUNE, &job, NULL), 0);
    hosts->subject_version = 0;
    cr_assert_eq(ask(PRUNE, &job, NULL), 0);
    cr_assert_eq(ask(SWEEP, NULL, NULL), 0);
    expect_points(KEPT);
}

Test(hostile_care, a_job_that_was_deleted_prunes_nothing_any_more)
{
    tell_job(&job, &repository, 3, 1, 1);
    cr_assert_eq(ask(PRUNE, &job, "the job 'job' has been deleted"), ERR_POLICY);
    cr_assert_eq(ask(PRUNE, &copies, NULL), 0);
    expect_points(POINTS);
}

Test(hostile_care, the_hosts_own_floor_wins_over_what_is_signed)
{
    hosts->vault.policy.keep_least = POINTS;
    cr_assert_eq(ask(PRUNE, &job, NULL), 0);
    expect_points(POINTS);
}

Test(hostile_care, an_index_is_built_anew_as_often_as_one_likes_but_under_nobodys_feet)
{
    struct err err = {0};
    struct repository *used = NULL;
    cr_assert_eq(ask(REINDEX, NULL, NULL), 0);
    cr_assert(stores_get(hosts->vault.stores, &repository, &used, &err), "%s", err.text);
    cr_assert_eq(ask(REINDEX, NULL, "is in use, by 1 other run: "), ERR_BUSY);
    struct repository_info info;
    repository_info(used, &info); /* still there */
    cr_assert_eq(info.points, POINTS);
    stores_give_back(hosts->vault.stores, &repository);
    cr_assert_eq(ask(REINDEX, NULL, NULL), 0);
    expect_points(POINTS);
}

/* Gives back what it has once the repository is waited for, and cannot have it again. */
static void *look_for_a_moment(void *arg)
{
    struct err err;
    struct repository *again = NULL;
    bool *refused = arg;
    while (!stores_is_expected(hosts->vault.stores, &repository))
        (void)sched_yield();
    *refused = !stores_get(hosts->vault.stores, &repository, &again, &err) && err.code == ERR_BUSY;
    stores_give_back(hosts->vault.stores, &repository);
    return NULL;
}

Test(hostile_care, who_looks_into_a_log_for_a_moment_is_waited_for)
{
    struct err err = {0};
    struct repository *used = NULL;
    bool refused = false;
    pthread_t thread;
    cr_assert(stores_get(hosts->vault.stores, &repository, &used, &err), "%s", err.text);
    cr_assert_eq(pthread_create(&thread, NULL, look_for_a_moment, &refused), 0);
    cr_assert_eq(ask(REINDEX, NULL, NULL), 0);
    (void)pthread_join(thread, NULL);
    cr_assert(refused);
    expect_points(POINTS);
}

static void count_closed(void *arg, const struct statement *statement)
{
    size_t *closed = arg;
    cr_expect(id_eq(&statement->id, &repository));
    (*closed)++;
}

static bool stop_at_once(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
    return false;
}

Test(hostile_care, one_whose_index_was_not_built_to_the_end_is_opened_again)
{
    struct err err = {0};
    struct repository *none = NULL;
    size_t closed = 0;
    AUTO(statement) struct statement *statement = NULL;
    const struct repository_progress progress = {.passed = stop_at_once};
    stores_watch(hosts->vault.stores, count_closed, &closed);
    cr_assert(authority_statement(hosts->vault.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                                  &repository, &statement, &err));
    cr_assert_not(stores_reindex(hosts->vault.stores, statement, &progress, &err));
    cr_assert_eq(err.code, ERR_CANCELLED, "%s", err.text);
    cr_assert_eq(closed, 1);
    cr_assert_not(stores_get(hosts->vault.stores, &repository, &none, &err));
    cr_assert(stores_attach(hosts->vault.stores, statement, &err), "%s", err.text);
    expect_points(POINTS);
}

/* As after a log entry of which nobody knows whether it is there. */
Test(hostile_care, one_that_is_stuck_is_opened_again_once_nobody_uses_it)
{
    struct err err = {0};
    struct stores *stores = hosts->vault.stores;
    struct repository *one = NULL, *other = NULL, *none = NULL;
    size_t closed = 0;
    AUTO(statement) struct statement *statement = NULL;
    stores_watch(stores, count_closed, &closed);
    cr_assert(authority_statement(hosts->vault.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                                  &repository, &statement, &err));
    cr_assert(stores_get(stores, &repository, &one, &err), "%s", err.text);
    cr_assert(stores_get(stores, &repository, &other, &err), "%s", err.text);
    one->chain.state = CHAIN_DOUBTFUL;
    stores_mend(stores, &repository);
    stores_give_back(stores, &repository);
    stores_mend(stores, &repository);
    cr_assert_eq(closed, 0, "somebody uses it");
    stores_give_back(stores, &repository);
    stores_mend(stores, &repository);
    cr_assert_eq(closed, 1);
    cr_assert_not(stores_get(stores, &repository, &none, &err));
    cr_assert_eq(err.code, ERR_BUSY, "%s", err.text);
    cr_assert(stores_is_expected(stores, &repository), "a run waits for it");
    stores_mend(stores, &repository);
    cr_assert_eq(closed, 1);
    cr_assert(stores_attach(stores, statement, &err), "%s", err.text);
    expect_points(POINTS);
    stores_mend(stores, &repository);
    cr_assert_eq(closed, 1, "nothing is wrong with it now");
}
