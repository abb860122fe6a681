/* The catalog that each of its tests begins with: new, open, in a directory of its own. */
#ifndef SEALIFT_TESTS_OPEN_CATALOG_H
#define SEALIFT_TESTS_OPEN_CATALOG_H

#include "director/catalog/catalog.h"
#include "tests/unit/base/scratch.h"

/* of the test that runs */
extern struct scratch dir;
extern struct catalog *catalog;
extern struct err err;

/* As after a restart. */
void reopen(void);

#define MUST(call) cr_assert((call), "%s", err.text)
#define FAILS(call, expected)                                                                                \
    do {                                                                                                     \
        cr_assert_not((call));                                                                               \
        cr_assert_eq(err.code, (expected), "%d: %s", err.code, err.text);                                    \
    } while (0)

struct collected {
    struct buf bytes;
    size_t count;
};

/* Takes what a catalog tells, one behind the other. */
bool collect(void *arg, struct span bytes, struct err *unused);

struct catalog_point some_point(uint8_t repository, uint64_t number, const char *job);

/* Of repository 1: a byte each, with the high bit when it is held. */
void expect_points(enum catalog_points_which which, const char *numbers);

#endif
