#include "director/catalog/catalog.h"

#include "common/base/alloc.h"
#include "director/catalog/run_record.h"
#include "signing.h"
#include "stage.h"
#include "tests/unit/base/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct scratch dir;
static struct catalog *catalog;
static struct err err;

static void reopen(void)
{
    catalog_close(catalog);
    catalog = NULL;
    cr_assert(catalog_open(dir.path, &catalog, &err), "%s", err.text);
}

static void setup(void)
{
    dir = scratch_make();
    cr_assert(catalog_create(dir.path, &err), "%s", err.text);
    reopen();
}

static void teardown(void)
{
    catalog_close(catalog);
    scratch_remove(&dir);
}

TestSuite(catalog, .init = setup, .fini = teardown);

#define MUST(call) cr_assert((call), "%s", err.text)
#define FAILS(call, expected)                                                                                \
    do {                                                                                                     \
        cr_assert_not((call));                                                                               \
        cr_assert_eq(err.code, (expected), "%d: %s", err.code, err.text);                                    \
    } while (0)

/* ---- the file */

Test(catalog, is_made_once_and_for_the_owner_only)
{
    FAILS(catalog_create(dir.path, &err), ERR_EXISTS);
    struct stat there;
    AUTO(free) char *path = xasprintf("%s/%s", dir.path, CATALOG_FILE);
    cr_assert_eq(stat(path, &there), 0);
    cr_assert_eq(there.st_mode & 0777, 0600);
}

Test(catalog, is_not_opened_where_there_is_none)
{
    struct catalog *other = NULL;
    FAILS(catalog_open("/nowhere", &other, &err), ERR_NOT_FOUND);
    cr_assert_null(other);
}

Test(catalog, belongs_to_one_opener_at_a_time)
{
    struct catalog *other = NULL;
    FAILS(catalog_open(dir.path, &other, &err), ERR_BUSY);
    catalog_close(catalog);
    catalog = NULL;
    MUST(catalog_open(dir.path, &catalog, &err));
}

static void overwrite(off_t offset, const void *bytes, size_t len)
{
    catalog_close(catalog);
    catalog = NULL;
    AUTO(free) char *path = xasprintf("%s/%s", dir.path, CATALOG_FILE);
    AUTO(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(fd, bytes, len, offset), (ssize_t)len);
}

Test(catalog, of_another_kind_or_version_is_refused)
{
    overwrite(60, "\0\0\0\2", 4); /* user_version, https://www.sqlite.org/fileformat.html */
    FAILS(catalog_open(dir.path, &catalog, &err), ERR_VERSION);
    overwrite(68, "\0\0\0\2", 4); /* application_id */
    FAILS(catalog_open(dir.path, &catalog, &err), ERR_DAMAGED);
    overwrite(0, "not a database at all, this", 27);
    FAILS(catalog_open(dir.path, &catalog, &err), ERR_DAMAGED);
}

Test(catalog, forgets_what_was_not_committed)
{
    struct claim claim = {.code = {{1}}, .tries = 2}, out;
    MUST(catalog_begin(catalog, &err));
    MUST(catalog_claim_put(catalog, &claim, &err));
    catalog_rollback(catalog);
    FAILS(catalog_claim_get(catalog, &out, &err), ERR_NOT_FOUND);
    MUST(catalog_begin(catalog, &err));
    MUST(catalog_claim_put(catalog, &claim, &err));
    reopen(); /* as when the process dies */
    FAILS(catalog_claim_get(catalog, &out, &err), ERR_NOT_FOUND);
    MUST(catalog_begin(catalog, &err));
    MUST(catalog_claim_put(catalog, &claim, &err));
    MUST(catalog_commit(catalog, &err));
    reopen();
    MUST(catalog_claim_get(catalog, &out, &err));
    cr_assert_eq(out.tries, 2);
    cr_assert_eq(out.code.bytes[0], 1);
    MUST(catalog_claim_end(catalog, &err));
    FAILS(catalog_claim_get(catalog, &out, &err), ERR_NOT_FOUND);
}

Test(catalog, on_a_full_disk_keeps_all_of_a_change_or_nothing)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, small;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 256 * 1024;
    AUTO(free) uint8_t *big = xcalloc(1, 512 * 1024);
    struct hash hash = {{1}}, key = {{2}};
    struct claim claim = {.tries = 1}, out;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    MUST(catalog_begin(catalog, &err));
    MUST(catalog_claim_put(catalog, &claim, &err));
    bool kept = catalog_unlock_put(catalog, &hash, &key, span_of(big, 512 * 1024), &err) &&
                catalog_commit(catalog, &err);
    catalog_rollback(catalog);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    cr_assert_not(kept);
    cr_assert(err.code == ERR_NO_SPACE || err.code == ERR_SYSTEM, "%d %s", err.code, err.text);
    reopen();
    FAILS(catalog_claim_get(catalog, &out, &err), ERR_NOT_FOUND);
}

/* ---- what operators signed */

struct collected {
    struct buf bytes;
    size_t count;
};

static bool collect(void *arg, struct span bytes, struct err *unused)
{
    struct collected *collected = arg;
    buf_put_span(&collected->bytes, bytes);
    collected->count++;
    return true;
}

static bool refuse(void *arg, struct span bytes, struct err *out)
{
    return err_set(out, ERR_PROTOCOL, "no more");
}

Test(catalog, keeps_the_chain_of_rosters)
{
    for (uint64_t version = 1; version <= 3; version++)
        MUST(catalog_roster_put(catalog, version, span_of("abc" + version - 1, 1), &err));
    reopen();
    struct collected all = {0};
    MUST(catalog_rosters(catalog, 1, collect, &all, &err));
    MUST(catalog_rosters(catalog, 3, collect, &all, &err));
    MUST(catalog_rosters(catalog, UINT64_MAX, collect, &all, &err));
    cr_assert_str_eq(buf_cstr(&all.bytes), "abcc");
    cr_assert_not(catalog_roster_put(catalog, 2, span_of("x", 1), &err), "a version is never rewritten");
    FAILS(catalog_rosters(catalog, 1, refuse, NULL, &err), ERR_PROTOCOL);
    buf_deinit(&all.bytes);
}

static bool count_seen(void *arg, Sealift__StatementType type, const struct id *id, uint64_t version,
                       const struct hash *hash, struct err *unused)
{
    uint64_t *sum = arg;
    *sum += version;
    return true;
}

Test(catalog, keeps_the_newest_bytes_of_a_statement_and_remembers_what_it_saw)
{
    struct signing signing;
    signing_init(&signing);
    struct id repository = {{3}};
    for (uint64_t version = 1; version <= 2; version++) {
        AUTO(buf) struct buf bytes = {0};
        signing_job(
            &signing,
            &(struct job_draft){.id = {{1}}, .version = version, .name = "a", .repository = repository},
            &bytes);
        AUTO(statement) struct statement *statement = signing_decode(&bytes);
        MUST(catalog_statement_put(catalog, statement, &err));
        reopen();
        AUTO(buf) struct buf got = {0};
        MUST(catalog_statement_get(catalog, statement->type, &statement->id, &got, &err));
        cr_assert(span_eq(buf_span(&got), buf_span(&bytes)), "not the exact bytes");
    }
    struct collected all = {0};
    MUST(catalog_statements(catalog, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, collect, &all, &err));
    cr_assert_eq(all.count, 1);
    buf_deinit(&all.bytes);

    AUTO(buf) struct buf got = {0};
    struct id job = {{1}};
    MUST(catalog_statement_drop(catalog, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &job, &err));
    FAILS(catalog_statement_get(catalog, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &job, &got, &err),
          ERR_NOT_FOUND);
    uint64_t sum = 0;
    MUST(catalog_seen(catalog, count_seen, &sum, &err));
    cr_assert_eq(sum, 2, "the version stays remembered");
    signing_deinit(&signing);
}

Test(catalog, keeps_versions_above_what_sqlite_calls_an_integer)
{
    struct signing signing;
    signing_init(&signing);
    AUTO(buf) struct buf bytes = {0};
    signing_job(&signing,
                &(struct job_draft){.id = {{1}}, .version = UINT64_MAX, .name = "a", .repository = {{3}}},
                &bytes);
    AUTO(statement) struct statement *statement = signing_decode(&bytes);
    MUST(catalog_statement_put(catalog, statement, &err));
    uint64_t sum = 0;
    MUST(catalog_seen(catalog, count_seen, &sum, &err));
    cr_assert_eq(sum, UINT64_MAX);
    signing_deinit(&signing);
}

Test(catalog, remembers_which_run_an_order_became)
{
    struct id order = {{1}}, run = {{2}}, out;
    struct hash hash = {{3}}, out_hash;
    FAILS(catalog_executed_get(catalog, &order, &out, &out_hash, &err), ERR_NOT_FOUND);
    MUST(catalog_executed_put(catalog, &order, &run, &hash, &err));
    reopen();
    MUST(catalog_executed_get(catalog, &order, &out, &out_hash, &err));
    cr_assert(id_eq(&out, &run) && hash_eq(&out_hash, &hash));
    cr_assert_not(catalog_executed_put(catalog, &order, &run, &hash, &err), "once is once");
}

static bool count_unlock(void *arg, const struct hash *hash, const struct hash *key_id, struct err *unused)
{
    *(int *)arg += hash->bytes[0] * 10 + key_id->bytes[0];
    return true;
}

Test(catalog, keeps_unlock_sections_by_their_hash)
{
    struct hash hash = {{1}}, key = {{2}};
    AUTO(buf) struct buf out = {0};
    FAILS(catalog_unlock_get(catalog, &hash, &out, &err), ERR_NOT_FOUND);
    MUST(catalog_unlock_put(catalog, &hash, &key, span_str("section"), &err));
    MUST(catalog_unlock_put(catalog, &hash, &key, span_str("section"), &err));
    reopen();
    MUST(catalog_unlock_get(catalog, &hash, &out, &err));
    cr_assert_str_eq(buf_cstr(&out), "section");
    int sum = 0;
    MUST(catalog_unlocks(catalog, count_unlock, &sum, &err));
    cr_assert_eq(sum, 12);
}

/* ---- runs */

static struct run some_run(uint8_t id, Sealift__RunState state)
{
    struct run run = {.id = {{id}},
                      .subject = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                      .subject_id = {{(uint8_t)(id % 2)}},
                      .subject_version = 7,
                      .kind = RUN_COPY,
                      .repository = {{4}},
                      .state = state,
                      .attempt = 3,
                      .ticket = {5},
                      .endpoint = "tcp://x:1",
                      .stopping = true,
                      .in_log = true,
                      .started_ns = 11,
                      .ended_ns = 12,
                      .code = 26,
                      .text = "why",
                      .point = {{6}}};
    run.source = (struct run_side){.host = {1},
                                   .name = "web",
                                   .state = SIDE_LIVE,
                                   .incarnation = {{8}},
                                   .code = 9,
                                   .text = "side",
                                   .counters = {.entries = 1, .failed = 2, .total_bytes = UINT64_MAX}};
    run.target = (struct run_side){.host = {2}, .name = "nas", .state = SIDE_LOST};
    run.work.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK;
    run.work.level = SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH;
    run.work.sample_ppm = 123456;
    run.work.about = (struct id){{7}};
    run.work.dry_run = true;
    run.own_way = (struct way_wish){.connection = SEALIFT__CONNECTION__CONNECTION_REVERSE};
    run.way = (struct way_wish){.connection = SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS, .proxy = "p:1"};
    run.rendezvous[31] = 9;
    return run;
}

static bool collect_run(void *arg, const struct run *run, struct err *unused)
{
    buf_put_u8(arg, run->id.bytes[0]);
    return true;
}

Test(catalog, gives_a_run_back_as_it_was)
{
    struct run run = some_run(1, STATE(RUNNING)), out;
    FAILS(catalog_run_get(catalog, &run.id, &out, &err), ERR_NOT_FOUND);
    MUST(catalog_run_put(catalog, &run, &err));
    reopen();
    MUST(catalog_run_get(catalog, &run.id, &out, &err));
    /* all bytes are set, padding too: NOLINTNEXTLINE */
    cr_assert_eq(memcmp(&run, &out, sizeof(run)), 0);
}

Test(catalog, lists_runs_that_are_open_and_runs_of_a_job)
{
    for (uint8_t i = 1; i <= 8; i++) {
        struct run run = some_run(i, (Sealift__RunState)i);
        MUST(catalog_run_put(catalog, &run, &err));
    }
    struct run ended = some_run(1, STATE(FAILED));
    MUST(catalog_run_put(catalog, &ended, &err));
    reopen();
    AUTO(buf) struct buf ids = {0};
    MUST(catalog_runs_open(catalog, collect_run, &ids, &err));
    cr_assert(span_eq(buf_span(&ids), span_of("\2\3\4\10", 4)), "assigned, running, committing, unknown");
    buf_clear(&ids);
    MUST(catalog_runs(catalog, NULL, 3, collect_run, &ids, &err));
    cr_assert(span_eq(buf_span(&ids), span_of("\10\7\6", 3)));
    buf_clear(&ids);
    MUST(catalog_runs(catalog, &(struct id){{1}}, 100, collect_run, &ids, &err));
    cr_assert(span_eq(buf_span(&ids), span_of("\7\5\3\1", 4)));
}

Test(catalog, forgets_old_runs_that_have_ended_and_their_warnings)
{
    for (uint8_t i = 1; i <= 6; i++) {
        struct run run = some_run(i, i == 2 ? STATE(UNKNOWN) : STATE(OK));
        MUST(catalog_run_put(catalog, &run, &err));
        MUST(catalog_warnings_put(catalog, &run.id, SIDE(SOURCE), span_str("w"), &err));
    }
    MUST(catalog_runs_forget(catalog, 2, &err));
    AUTO(buf) struct buf ids = {0};
    MUST(catalog_runs(catalog, NULL, 100, collect_run, &ids, &err));
    cr_assert(span_eq(buf_span(&ids), span_of("\6\5\2", 3)), "the newest two, and the one that is open");
    struct collected warnings = {0};
    MUST(catalog_warnings(catalog, &(struct id){{3}}, collect, &warnings, &err));
    cr_assert_eq(warnings.count, 0);
    MUST(catalog_warnings(catalog, &(struct id){{2}}, collect, &warnings, &err));
    cr_assert_eq(warnings.count, 1);
    buf_deinit(&warnings.bytes);
}

Test(catalog, keeps_the_warnings_of_each_side)
{
    struct id run = {{1}};
    MUST(catalog_warnings_put(catalog, &run, SIDE(TARGET), span_str("b"), &err));
    MUST(catalog_warnings_put(catalog, &run, SIDE(SOURCE), span_str("x"), &err));
    MUST(catalog_warnings_put(catalog, &run, SIDE(SOURCE), span_str("a"), &err));
    struct collected all = {0};
    MUST(catalog_warnings(catalog, &run, collect, &all, &err));
    cr_assert_str_eq(buf_cstr(&all.bytes), "ab");
    buf_deinit(&all.bytes);
}

Test(run_record, cut_or_lengthened_anywhere_is_damaged)
{
    struct run run = some_run(1, STATE(OK)), out;
    AUTO(buf) struct buf record = {0};
    run_record_encode(&run, &record);
    for (size_t len = 0; len < record.len; len++)
        FAILS(run_record_decode(span_of(record.data, len), &out, &err), ERR_DAMAGED);
    MUST(run_record_decode(buf_span(&record), &out, &err));
    buf_put_u8(&record, 0);
    FAILS(run_record_decode(buf_span(&record), &out, &err), ERR_DAMAGED);
    static const uint8_t unknown[] = {0, 4, 255};
    for (size_t i = 0; i < sizeof(unknown); i++) {
        record.data[0] = unknown[i];
        FAILS(run_record_decode(buf_span(&record), &out, &err), ERR_VERSION);
    }
}

/* The wish of the job, that of the attempt with its proxy "p:1", and the rendezvous name. */
enum { WAY_LEN = (1 + 2) + (1 + 2 + 3) + WAY_NAME_LEN };

Test(run_record, of_a_director_that_knew_no_ways_is_read_as_direct)
{
    struct run run = some_run(1, STATE(OK)), out;
    AUTO(buf) struct buf record = {0};
    run_record_encode(&run, &record);
    record.data[0] = 2;
    FAILS(run_record_decode(buf_span(&record), &out, &err), ERR_DAMAGED);
    record.len -= WAY_LEN;
    MUST(run_record_decode(buf_span(&record), &out, &err));
    cr_assert_eq(out.way.connection, SEALIFT__CONNECTION__CONNECTION_DIRECT);
    cr_assert_eq(out.own_way.connection, SEALIFT__CONNECTION__CONNECTION_NONE);
    cr_assert(out.work.dry_run);
}

Test(run_record, of_a_director_that_knew_no_maintenance_is_read)
{
    enum { WORK_LEN = WAY_LEN + 1 + 1 + 4 + ID_LEN + 1 };
    struct run run = some_run(1, STATE(OK)), out;
    AUTO(buf) struct buf record = {0};
    run_record_encode(&run, &record);
    record.data[0] = 1;
    FAILS(run_record_decode(buf_span(&record), &out, &err), ERR_DAMAGED);
    record.len -= WORK_LEN;
    MUST(run_record_decode(buf_span(&record), &out, &err));
    cr_assert(id_eq(&out.point, &run.point));
    cr_assert_eq(out.work.kind, 0);
}

Test(run_record, survives_every_flipped_bit)
{
    struct run run = some_run(1, STATE(OK));
    AUTO(buf) struct buf record = {0};
    run_record_encode(&run, &record);
    for (size_t bit = 0; bit < record.len * 8; bit++) {
        record.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct run out;
        if (run_record_decode(buf_span(&record), &out, &err)) {
            cr_assert_leq((int)out.state, STATE(UNKNOWN));
            cr_assert(out.kind >= RUN_BACKUP && out.kind <= RUN_RECOVERY);
            cr_assert_leq((int)out.source.state, SIDE_LOST);
        }
        record.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* ---- points and logs */

static struct catalog_point some_point(uint8_t repository, uint64_t number, const char *job)
{
    return (struct catalog_point){.repository = {{repository}},
                                  .number = number,
                                  .point = {{(uint8_t)number}},
                                  .run = {{9}},
                                  .job = job,
                                  .time_ns = 1700000000000000000,
                                  .log_hash = {{(uint8_t)number}},
                                  .file = span_str("file")};
}

static bool collect_point(void *arg, const struct catalog_point *point, struct err *unused)
{
    cr_assert(span_eq(point->file, span_str("file")));
    buf_put_u8(arg, (uint8_t)(point->repository.bytes[0] * 16 + point->number));
    return true;
}

Test(catalog, lists_points_of_a_repository_and_of_a_job)
{
    const struct catalog_point points[] = {some_point(1, 2, "a"), some_point(1, 1, "b"),
                                           some_point(2, 1, "a"), some_point(1, 3, "a")};
    for (size_t i = 0; i < 4; i++)
        MUST(catalog_point_put(catalog, &points[i], &err));
    reopen();
    AUTO(buf) struct buf all = {0};
    MUST(catalog_points(catalog, NULL, "", CATALOG_POINTS_THERE, collect_point, &all, &err));
    cr_assert(span_eq(buf_span(&all), span_of("\x11\x12\x13\x21", 4)));
    buf_clear(&all);
    MUST(catalog_points(catalog, &(struct id){{1}}, "a", CATALOG_POINTS_THERE, collect_point, &all, &err));
    cr_assert(span_eq(buf_span(&all), span_of("\x12\x13", 2)));
    AUTO(buf) struct buf file = {0};
    MUST(catalog_point_get(catalog, &(struct id){{3}}, &file, &err));
    FAILS(catalog_point_get(catalog, &(struct id){{30}}, &file, &err), ERR_NOT_FOUND);
}

Test(catalog, forgets_the_points_of_a_repository)
{
    const struct catalog_point points[] = {some_point(1, 1, "a"), some_point(2, 1, "a")};
    for (size_t i = 0; i < 2; i++)
        MUST(catalog_point_put(catalog, &points[i], &err));
    MUST(catalog_points_drop(catalog, &(struct id){{1}}, &err));
    AUTO(buf) struct buf all = {0};
    MUST(catalog_points(catalog, NULL, "", CATALOG_POINTS_THERE, collect_point, &all, &err));
    cr_assert(span_eq(buf_span(&all), span_of("\x21", 1)));
}

Test(catalog, takes_one_point_under_a_number)
{
    struct catalog_point point = some_point(1, 1, "a");
    MUST(catalog_point_put(catalog, &point, &err));
    MUST(catalog_point_put(catalog, &point, &err));
    point.log_hash.bytes[5] = 1;
    FAILS(catalog_point_put(catalog, &point, &err), ERR_EXISTS);
    point = some_point(1, 1, "a");
    point.file = span_str("File");
    FAILS(catalog_point_put(catalog, &point, &err), ERR_EXISTS);
}

Test(catalog, remembers_the_head_of_a_log)
{
    struct catalog_head head = {.repository = {{1}},
                                .number = 9,
                                .hash = {{2}},
                                .read = 8,
                                .points = 3,
                                .pack_bytes = 4,
                                .free_bytes = 5,
                                .code = 22,
                                .text = "t",
                                .alarm = "a"},
                        out;
    FAILS(catalog_head_get(catalog, &head.repository, &out, &err), ERR_NOT_FOUND);
    MUST(catalog_head_put(catalog, &head, &err));
    reopen();
    MUST(catalog_head_get(catalog, &head.repository, &out, &err));
    /* all bytes are set, padding too: NOLINTNEXTLINE */
    cr_assert_eq(memcmp(&head, &out, sizeof(head)), 0);
}

/* ---- transporters */

Test(catalog, lets_a_hundred_transporters_wait_for_a_day)
{
    uint8_t key[32] = {0};
    for (uint8_t i = 0; i < CATALOG_PENDING_MAX; i++) {
        key[0] = i;
        MUST(catalog_join_put(catalog, key, span_of(&i, 1), i, &err));
    }
    key[0] = 200;
    FAILS(catalog_join_put(catalog, key, span_of(key, 1), 5, &err), ERR_LIMIT);
    key[0] = 7;
    MUST(catalog_join_put(catalog, key, span_of(key, 1), 500, &err));
    MUST(catalog_joins_forget(catalog, 98, &err));
    struct collected all = {0};
    MUST(catalog_joins(catalog, collect, &all, &err));
    cr_assert(span_eq(buf_span(&all.bytes), span_of("\7\142\143", 3)), "7 joined again, 98 and 99 are young");
    MUST(catalog_join_drop(catalog, key, &err));
    MUST(catalog_joins(catalog, collect, &all, &err));
    cr_assert_eq(all.count, 5);
    buf_deinit(&all.bytes);
}

Test(catalog, remembers_transporters)
{
    struct catalog_host host = {.sign_pk = {1}, .last_seen_ns = 5, .version = "0.1"}, out;
    FAILS(catalog_host_get(catalog, host.sign_pk, &out, &err), ERR_NOT_FOUND);
    MUST(catalog_host_put(catalog, &host, &err));
    MUST(catalog_host_get(catalog, host.sign_pk, &out, &err));
    /* all bytes are set, padding too: NOLINTNEXTLINE */
    cr_assert_eq(memcmp(&host, &out, sizeof(host)), 0);
    host.has_own_key = true;
    host.own_key_id[3] = 4;
    host.own_domain_id[31] = 4;
    MUST(catalog_host_put(catalog, &host, &err));
    reopen();
    MUST(catalog_host_get(catalog, host.sign_pk, &out, &err));
    /* all bytes are set, padding too: NOLINTNEXTLINE */
    cr_assert_eq(memcmp(&host, &out, sizeof(host)), 0);
}

static bool note_item(void *arg, const struct agenda_item *item, struct err *why)
{
    (void)why;
    struct agenda_item **next = arg;
    *(*next)++ = *item;
    return true;
}

Test(catalog, keeps_the_agenda_and_forgets_it)
{
    struct agenda_item never = {
        .kind = AGENDA_SWEEP, .repository = {{1}}, .next_ns = UINT64_MAX, .spec = "none"};
    struct agenda_item daily = {
        .kind = AGENDA_PRUNE, .repository = {{1}}, .job = {{2}}, .since_ns = 3, .next_ns = 4, .good_ns = 5};
    (void)snprintf(daily.spec, sizeof(daily.spec), "daily 02:30");
    cr_assert(catalog_agenda_put(catalog, &never, &err) && catalog_agenda_put(catalog, &daily, &err), "%s",
              err.text);
    daily.next_ns = 44; /* replaces the row */
    cr_assert(catalog_agenda_put(catalog, &daily, &err));
    struct agenda_item found[3], *next = found;
    cr_assert(catalog_agenda(catalog, note_item, &next, &err));
    cr_assert_eq(next - found, 2);
    cr_assert_eq(found[0].next_ns, UINT64_MAX);
    cr_assert(found[1].kind == AGENDA_PRUNE && id_eq(&found[1].job, &daily.job) && found[1].next_ns == 44 &&
              found[1].since_ns == 3 && found[1].good_ns == 5);
    cr_assert_str_eq(found[1].spec, "daily 02:30");
    cr_assert(catalog_agenda_drop(catalog, &err));
    next = found;
    cr_assert(catalog_agenda(catalog, note_item, &next, &err));
    cr_assert_eq(next - found, 0);
}

static bool note_point(void *arg, const struct catalog_point *point, struct err *why)
{
    (void)why;
    buf_put_u8(arg, (uint8_t)(point->number + (point->held ? 0x80 : 0)));
    return true;
}

static void expect_points(enum catalog_points_which which, const char *numbers)
{
    AUTO(buf) struct buf found = {0};
    MUST(catalog_points(catalog, &(struct id){{1}}, "", which, note_point, &found, &err));
    cr_assert(span_eq(buf_span(&found), span_str(numbers)), "%zu points", found.len);
}

Test(catalog, tells_held_and_removed_points_from_others_until_they_are_swept)
{
    AUTO(buf) struct buf file = {0};
    struct catalog_point first = some_point(1, 1, "a"), second = some_point(1, 2, "a");
    struct catalog_point other = some_point(2, 3, "a");
    MUST(catalog_point_put(catalog, &first, &err));
    MUST(catalog_point_put(catalog, &second, &err));
    MUST(catalog_point_put(catalog, &other, &err));
    MUST(catalog_point_mark(catalog, &first.repository, &first.point, CATALOG_HELD, 0, &err));
    MUST(catalog_point_mark(catalog, &first.repository, &second.point, CATALOG_NOT_HELD, 7, &err));
    reopen();
    expect_points(CATALOG_POINTS_THERE, "\x81");
    expect_points(CATALOG_POINTS_REMOVED, "\x02");
    MUST(catalog_points_void(catalog, &first.repository, 6, &err));
    expect_points(CATALOG_POINTS_REMOVED, "\x02");
    MUST(catalog_point_mark(catalog, &first.repository, &second.point, CATALOG_NOT_HELD, 0, &err));
    MUST(catalog_point_mark(catalog, &first.repository, &first.point, CATALOG_NOT_HELD, 0, &err));
    expect_points(CATALOG_POINTS_THERE, "\x01\x02");
    MUST(catalog_point_mark(catalog, &first.repository, &second.point, CATALOG_NOT_HELD, 9, &err));
    FAILS(catalog_point_get(catalog, &second.point, &file, &err), ERR_NOT_FOUND);
    MUST(catalog_points_void(catalog, &first.repository, 9, &err));
    expect_points(CATALOG_POINTS_REMOVED, "");
    expect_points(CATALOG_POINTS_THERE, "\x01");
}

static int64_t count_rows(const char *table)
{
    AUTO(free) char *path = xasprintf("%s/%s", dir.path, CATALOG_FILE);
    AUTO(free) char *text = xasprintf("SELECT count(*) FROM %s", table);
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    catalog_close(catalog);
    catalog = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t rows = sqlite3_column_int64(statement, 0);
    cr_assert_eq(sqlite3_finalize(statement), SQLITE_OK);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    reopen();
    return rows;
}

/* The owner of a repository says which points it removed: as many as it likes. */
Test(catalog, keeps_nothing_of_removed_points_that_it_never_heard_of)
{
    struct catalog_point known = some_point(1, 1, "a");
    MUST(catalog_point_put(catalog, &known, &err));
    for (uint8_t i = 2; i < 6; i++)
        MUST(catalog_point_mark(catalog, &known.repository, &(struct id){{i, i}}, CATALOG_NOT_HELD, i, &err));
    MUST(catalog_point_mark(catalog, &known.repository, &known.point, CATALOG_NOT_HELD, 9, &err));
    cr_assert_eq(count_rows("mark"), 1);
}

/* ---- links */

static struct link some_link(uint8_t source, uint8_t target, Sealift__Connection connection,
                             const char *proxy)
{
    struct link link = {.source = {source}, .target = {target}};
    MUST(way_wish_make(connection, proxy, &link.wish, &err));
    return link;
}

static bool collect_link(void *arg, const struct link *link, struct err *unused)
{
    buf_printf(arg, "%d-%d %s %s;", link->source[0], link->target[0],
               way_connection_name(link->wish.connection), link->wish.proxy);
    return true;
}

static void expect_links(const char *expected)
{
    AUTO(buf) struct buf found = {0};
    MUST(catalog_links(catalog, collect_link, &found, &err));
    cr_assert_str_eq(buf_cstr(&found), expected);
}

Test(catalog, keeps_one_link_of_each_ordered_pair)
{
    struct link links[] = {some_link(1, 2, SEALIFT__CONNECTION__CONNECTION_REVERSE, ""),
                           some_link(2, 1, SEALIFT__CONNECTION__CONNECTION_DIRECT, "socks:1080"),
                           some_link(1, 2, SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS, "meet:9449")};
    expect_links("");
    for (size_t i = 0; i < 3; i++)
        MUST(catalog_link_put(catalog, &links[i], &err));
    reopen();
    expect_links("1-2 rendezvous meet:9449;2-1 direct socks:1080;");
    MUST(catalog_link_drop(catalog, links[0].source, links[0].target, &err));
    MUST(catalog_link_drop(catalog, links[0].source, links[0].target, &err));
    reopen();
    expect_links("2-1 direct socks:1080;");
}

/* Tables that came later are made when a catalog of before is opened. */
Test(catalog, of_a_version_without_schedules_marks_and_links_is_opened)
{
    AUTO(free) char *path = xasprintf("%s/%s", dir.path, CATALOG_FILE);
    const struct catalog_point point = some_point(1, 1, "a");
    struct agenda_item item = {.kind = AGENDA_CHECK, .repository = {{1}}, .spec = "daily"};
    sqlite3 *db = NULL;
    MUST(catalog_point_put(catalog, &point, &err));
    catalog_close(catalog);
    catalog = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "DROP TABLE agenda; DROP TABLE mark; DROP TABLE link", NULL, NULL, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    reopen();
    expect_points(CATALOG_POINTS_THERE, "\x01");
    MUST(catalog_agenda_put(catalog, &item, &err));
    MUST(catalog_point_mark(catalog, &point.repository, &point.point, CATALOG_HELD, 0, &err));
    expect_points(CATALOG_POINTS_THERE, "\x81");
}
