/* A director whose state was brought back: who is waited for, for how long, and what may come in any order.
 */
#include "loop_site.h"

#include "common/wire/lent.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

TestSuite(reconcile, .init = loop_setup, .fini = loop_teardown, .timeout = 60);

static struct caller lab;

static uint64_t wall_s(void)
{
    return (uint64_t)time(NULL);
}

static void write_restored(const char *text)
{
    int fd = openat(loop.dock.dir.fd, "restored", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

/* When the wait for hosts outside the zone ends, as the file says. */
static uint64_t deadline_s(void)
{
    char text[64] = "";
    unsigned long long copied = 1, until = 0;
    int fd = openat(loop.dock.dir.fd, "restored", O_RDONLY);
    cr_assert(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    cr_assert_eq(sscanf(text, "%llu %llu", &copied, &until), 2, "'%s'", text);
    return until / 1000000000;
}

/* As after an import, with this in the file; all who were connected are to dial again. */
static void bring_back(const char *text)
{
    caller_hang_up(&loop.anna);
    caller_hang_up(&loop.web);
    caller_hang_up(&loop.nas);
    dock_stop(&loop.dock);
    write_restored(text);
    dock_start(&loop.dock);
    caller_dial(&loop.anna, &loop.dock, OPERATOR_PORT, ANNA);
}

static void connect_all(void)
{
    loop_connect_hosts();
    caller_dial(&lab, &loop.dock, CONTROL_PORT, LAB);
    caller_hello(&lab, 1, loop.dock.signing.roster_version, NULL);
}

static void give(struct caller *caller, Sealift__GiveBackKind what, const struct buf *bytes)
{
    Sealift__GiveBack body = SEALIFT__GIVE_BACK__INIT;
    body.what = what;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_GIVE_BACK);
    head.serial = 0;
    head.give_back = &body;
    caller_send(caller, &head, bytes ? buf_span(bytes) : (struct span){0});
}

static void give_statement(struct caller *caller, const struct buf *bytes)
{
    give(caller, SEALIFT__GIVE_BACK_KIND__GIVE_BACK_STATEMENT, bytes);
}

static void give_end(struct caller *caller)
{
    give(caller, SEALIFT__GIVE_BACK_KIND__GIVE_BACK_END, NULL);
}

/* What was sent before has been dealt with. */
static void settle(struct caller *caller)
{
    static const struct id nothing = {{0xaa}};
    caller_end(caller, &nothing, 1, SIDE(SOURCE), 0, "", (struct span){0});
}

static void repository(uint64_t version, enum signing_member owner, struct buf *out)
{
    signing_repository(&loop.dock.signing, &loop_store, version, "main", owner,
                       SEALIFT__STORE_KIND__STORE_ENCRYPTED, out);
}

/* SIZE_MAX: it is over. */
static size_t waits_for(size_t *goes_without)
{
    AUTO(payload_status) Sealift__StatusAnswer *answer = loop_status();
    if (!answer->restored) return SIZE_MAX;
    if (goes_without) *goes_without = answer->restored->n_goes_without;
    return answer->restored->n_waits_for;
}

static uint64_t statements(Sealift__StatementType type)
{
    Sealift__Get get = SEALIFT__GET__INIT;
    get.what = SEALIFT__GET_KIND__GET_STATEMENTS;
    get.type = type;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_GET);
    head.get = &get;
    AUTO(heard) struct heard heard = {0};
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
    return heard.head->done->count;
}

Test(reconcile, waits_an_hour_for_hosts_outside_the_zone_and_not_longer)
{
    size_t without = 9;
    bring_back("5\n"); /* as an import writes it */
    cr_assert(deadline_s() > wall_s() + 3500 && deadline_s() <= wall_s() + 3600);
    cr_assert_eq(waits_for(&without), 3);
    cr_assert_eq(without, 0);
    bring_back("5 1\n");
    cr_assert_eq(waits_for(&without), 2, "the trusted ones");
    cr_assert_eq(without, 1, "nas");
    connect_all();
    give_end(&loop.web);
    give_end(&lab);
    settle(&loop.web);
    settle(&lab);
    cr_assert_eq(waits_for(&without), 0);
    cr_assert_eq(without, 1, "it is asked all the same");
    AUTO(buf) struct buf bytes = {0};
    repository(1, NAS, &bytes);
    give_statement(&loop.nas, &bytes);
    give_end(&loop.nas);
    settle(&loop.nas);
    cr_assert_eq(statements(SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY), 1);
    caller_hang_up(&lab);
}

Test(reconcile, begins_no_wait_anew_with_each_start_nor_believes_a_clock_that_was_ahead)
{
    char text[64];
    uint64_t soon = wall_s() + 100;
    (void)snprintf(text, sizeof(text), "5 %llu000000000\n", (unsigned long long)soon);
    bring_back(text);
    cr_assert_eq(deadline_s(), soon);
    (void)snprintf(text, sizeof(text), "5 %llu000000000\n", (unsigned long long)soon + 100000);
    bring_back(text);
    cr_assert(deadline_s() <= wall_s() + 3600);
    bring_back("");
    cr_assert(deadline_s() <= wall_s() + 3600 && deadline_s() > wall_s() + 3500);
}

Test(reconcile, waits_for_nothing_that_only_the_owner_of_before_could_tell)
{
    AUTO(buf) struct buf old = {0};
    AUTO(buf) struct buf new = {0};
    AUTO(heard) struct heard heard = {0};
    bring_back("5\n");
    connect_all();
    repository(1, NAS, &old);
    repository(2, WEB, &new);
    give_statement(&lab, &old);
    caller_await(&loop.nas, SEALIFT__HEAD__KIND_LOG_ASK, &heard); /* which has no such repository any more */
    give_statement(&loop.web, &new);
    caller_await(&loop.web, SEALIFT__HEAD__KIND_LOG_ASK, &heard);
    give_end(&loop.nas);
    give_end(&lab);
    give_end(&loop.web);
    settle(&loop.nas);
    settle(&lab);
    settle(&loop.web);
    cr_assert_eq(waits_for(NULL), 1, "web, which has the log");
    Sealift__RepositoryState state = SEALIFT__REPOSITORY_STATE__INIT;
    state.repository = lent_id(&loop_store);
    Sealift__Head head = caller_head(&loop.web, SEALIFT__HEAD__KIND_REPOSITORY_STATE);
    head.serial = heard.head->serial;
    head.repository_state = &state;
    static const uint8_t hash[HASH_LEN] = {5};
    state.head_hash = stored_bytes(span_of(hash, sizeof(hash)));
    state.head_number = 1;
    caller_send(&loop.web, &head, (struct span){0});
    settle(&loop.web);
    cr_assert_eq(waits_for(NULL), SIZE_MAX);
    cr_assert_neq(faccessat(loop.dock.dir.fd, "restored", F_OK, 0), 0);
    caller_hang_up(&lab);
}

Test(reconcile, waits_for_nobody_to_tell_of_a_detached_repository_and_keeps_its_jobs)
{
    AUTO(buf) struct buf before = {0};
    AUTO(buf) struct buf detached = {0};
    AUTO(buf) struct buf job = {0};
    AUTO(heard) struct heard heard = {0};
    bring_back("5\n");
    connect_all();
    repository(1, NAS, &before);
    give_statement(&lab, &before);
    caller_await(&loop.nas, SEALIFT__HEAD__KIND_LOG_ASK, &heard);
    signing_detached(&loop.dock.signing, &loop_store, 2, "main", NAS, &detached);
    signing_job(&loop.dock.signing,
                &(struct job_draft){.id = loop_job, .name = "web-daily", .repository = loop_store}, &job);
    give_statement(&loop.nas, &detached);
    settle(&loop.nas);
    give_statement(&loop.web, &job);
    give_end(&loop.web);
    give_end(&loop.nas);
    give_end(&lab);
    settle(&loop.web);
    settle(&loop.nas);
    settle(&lab);
    cr_assert_eq(waits_for(NULL), SIZE_MAX);
    cr_assert_eq(statements(SEALIFT__STATEMENT_TYPE__STATEMENT_JOB), 1);
    caller_hang_up(&lab);
}

/* A grant by web, and the section that it names. */
static void some_grant(struct buf *unlock, struct buf *grant)
{
    signing_unlock(4, unlock);
    signing_grant(&loop.dock.signing, &(struct id){{5}}, 1, 4, buf_span(unlock), WEB, grant);
}

Test(reconcile, takes_a_grant_back_when_its_section_comes_with_a_point)
{
    AUTO(buf) struct buf unlock = {0};
    AUTO(buf) struct buf grant = {0};
    AUTO(buf) struct buf file = {0};
    loop_put_store();
    bring_back("5\n");
    connect_all();
    some_grant(&unlock, &grant);
    give_statement(&loop.web, &grant);
    settle(&loop.web);
    cr_assert_eq(statements(SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT), 0);
    signing_sealed_point(&loop.dock.signing, WEB, &(struct id){{0x71}}, &(struct id){{0x70}}, 4,
                         buf_span(&unlock), &file);
    static const uint8_t hash[HASH_LEN] = {1};
    Sealift__PointNews news = SEALIFT__POINT_NEWS__INIT;
    news.repository = lent_id(&loop_store);
    news.number = 2;
    news.time_ns = 5;
    news.log_hash = stored_bytes(span_of(hash, sizeof(hash)));
    Sealift__Head head = caller_head(&loop.nas, SEALIFT__HEAD__KIND_POINT_NEWS);
    head.point_news = &news;
    AUTO(heard) struct heard heard = {0};
    caller_send(&loop.nas, &head, buf_span(&file));
    caller_await(&loop.nas, SEALIFT__HEAD__KIND_DONE, &heard);
    cr_assert_eq(statements(SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT), 1);
    caller_hang_up(&lab);
}

/* Signed by operators once, and replayed; or by nobody who may sign. */
Test(reconcile, keeps_for_later_only_what_operators_signed)
{
    AUTO(buf) struct buf unlock = {0};
    AUTO(buf) struct buf grant = {0};
    AUTO(buf) struct buf section = {0};
    AUTO(buf) struct buf forged = {0};
    struct job_draft by_eve = {.id = {{9}}, .name = "planted", .repository = loop_store, .signer = EVE};
    bring_back("5\n");
    connect_all();
    signing_job(&loop.dock.signing, &by_eve, &forged);
    some_grant(&unlock, &grant);
    for (int i = 0; i < 50; i++) {
        give_statement(&loop.nas, &forged);
        give_statement(&loop.nas, &grant);
    }
    give_end(&loop.nas);
    give_statement(&loop.nas, &forged);
    AUTO(buf) struct buf store = {0};
    repository(1, NAS, &store);
    settle(&loop.nas);
    give_statement(&loop.web, &store);
    give(&loop.web, SEALIFT__GIVE_BACK_KIND__GIVE_BACK_UNLOCK, &unlock);
    give_end(&loop.web);
    settle(&loop.web);
    cr_assert_eq(statements(SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT), 1);
    cr_assert_eq(statements(SEALIFT__STATEMENT_TYPE__STATEMENT_JOB), 0);
    caller_hang_up(&lab);
}
