/* Points and logs in the catalog. */
#include "open_catalog.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <string.h>

/* ---- points and logs */

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
