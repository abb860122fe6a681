#include "open_catalog.h"

#include "director/catalog/catalog.h"
#include "tests/unit/base/scratch.h"

#include <criterion/criterion.h>

struct scratch dir;
struct catalog *catalog;
struct err err;

void reopen(void)
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

bool collect(void *arg, struct span bytes, struct err *unused)
{
    struct collected *collected = arg;
    buf_put_span(&collected->bytes, bytes);
    collected->count++;
    return true;
}

struct catalog_point some_point(uint8_t repository, uint64_t number, const char *job)
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

static bool note_point(void *arg, const struct catalog_point *point, struct err *why)
{
    (void)why;
    buf_put_u8(arg, (uint8_t)(point->number + (point->held ? 0x80 : 0)));
    return true;
}

void expect_points(enum catalog_points_which which, const char *numbers)
{
    AUTO(buf) struct buf found = {0};
    MUST(catalog_points(catalog, &(struct id){{1}}, "", which, note_point, &found, &err));
    cr_assert(span_eq(buf_span(&found), span_str(numbers)), "%zu points", found.len);
}

TestSuite(catalog, .init = setup, .fini = teardown);
