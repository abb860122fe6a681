/* The catalog as a file, and what operators signed in it. */
#include "open_catalog.h"

#include "common/base/alloc.h"
#include "director/catalog/run_record.h"
#include "signing.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

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

static void in_sqlite(const char *sql)
{
    sqlite3 *db = NULL;
    catalog_close(catalog);
    catalog = NULL;
    AUTO(free) char *path = xasprintf("%s/%s", dir.path, CATALOG_FILE);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    (void)sqlite3_close(db);
}

/* As an older director finds one that a newer has added a table to, and the newer one again afterwards. */
Test(catalog, keeps_a_table_that_it_does_not_know)
{
    in_sqlite(
        "CREATE TABLE later (one INTEGER PRIMARY KEY, more TEXT); INSERT INTO later VALUES (7, 'kept')");
    MUST(catalog_open(dir.path, &catalog, &err));
    struct claim claim = {.code = {{1}}, .tries = 2};
    MUST(catalog_claim_put(catalog, &claim, &err));
    in_sqlite("CREATE TEMP TABLE must (count CHECK (count = 1)); "
              "INSERT INTO must SELECT count(*) FROM later WHERE one = 7 AND more = 'kept'");
    MUST(catalog_open(dir.path, &catalog, &err));
}

/* And a newer director that of an older one, which lacks a table. */
Test(catalog, makes_a_table_that_an_older_director_did_not_have)
{
    struct link link = {.source = {1}, .target = {2}};
    link.wish.connection = SEALIFT__CONNECTION__CONNECTION_DIRECT;
    in_sqlite("DROP TABLE link");
    MUST(catalog_open(dir.path, &catalog, &err));
    MUST(catalog_link_put(catalog, &link, &err));
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

static bool refuse(void *arg, struct span bytes, struct err *out)
{
    return err_set(out, ERR_PROTOCOL, "no more");
}

Test(catalog, keeps_the_chain_of_rosters)
{
    for (uint64_t version = 1; version <= 3; version++)
        MUST(catalog_roster_put(catalog, version, span_of(&"abc"[version - 1], 1), &err));
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
