/* The kept ends of runs: told until they are acknowledged, over restarts, and one that is spoiled takes no
 * other with it. */
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/wire/stored.h"
#include "tests/support/remove_tree.h"
#include "transporter/loop/run_ends.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char template[] = "/tmp/sealift-ends-XXXXXX";
static const char *state;

static void setup(void)
{
    state = mkdtemp(template);
    cr_assert_not_null(state);
}

static void teardown(void)
{
    cr_assert(remove_tree(state));
}

TestSuite(run_ends, .init = setup, .fini = teardown);

static void add(struct run_ends *ends, uint8_t run)
{
    struct err err;
    uint8_t id[16];
    memset(id, run, sizeof(id));
    Sealift__RunEnd end = SEALIFT__RUN_END__INIT;
    end.run = stored_bytes(span_of(id, sizeof(id)));
    end.attempt = 1;
    end.side = SEALIFT__RUN_SIDE__SIDE_TARGET;
    cr_assert(run_ends_add(ends, &end, span_str("a warning"), &err), "%s", err.text);
}

static void note(void *arg, uint64_t serial, Sealift__RunEnd *end, struct span warnings)
{
    bool *told = arg;
    cr_assert(span_eq(warnings, span_str("a warning")));
    told[end->run.data[0]] = true;
}

Test(run_ends, one_that_is_cut_or_garbage_is_dropped_and_the_others_are_told)
{
    struct err err;
    AUTO(buf) struct buf whole = {0};
    AUTO(free)
    char *path = xasprintf("%s/ends/02020202020202020202020202020202-1-%d", state,
                           (int)SEALIFT__RUN_SIDE__SIDE_TARGET);
    {
        AUTO(run_ends) struct run_ends *ends = NULL;
        cr_assert(run_ends_open(state, &ends, &err), "%s", err.text);
        for (uint8_t run = 1; run <= 3; run++)
            add(ends, run);
    }
    cr_assert(file_read(AT_FDCWD, path, 4096, &whole, &err), "%s", err.text);
    for (int accident = 0; accident < 5; accident++) {
        bool told[4] = {0};
        uint8_t garbage[200];
        memset(garbage, 0xa5, sizeof(garbage));
        const struct span spoiled[] = {span_of("", 0), span_of(whole.data, 3), span_of(whole.data, 10),
                                       span_of(garbage, sizeof(garbage)), buf_span(&whole)};
        cr_assert(file_replace(AT_FDCWD, path, spoiled[accident], 0600, &err), "%s", err.text);
        AUTO(run_ends) struct run_ends *ends = NULL;
        cr_assert(run_ends_open(state, &ends, &err), "%s", err.text);
        run_ends_each(ends, note, told);
        bool good = accident == 4;
        cr_assert(told[1] && told[3] && told[2] == good, "accident %d", accident);
        cr_assert_eq(access(path, F_OK) == 0, good, "accident %d", accident);
    }
}

/* The end of run 1 as that of many others: written here without waiting for the disk each time. */
static void multiply(int times)
{
    struct err err;
    AUTO(buf) struct buf whole = {0};
    AUTO(free) char *dir = xasprintf("%s/ends", state);
    AUTO(free)
    char *path =
        xasprintf("%s/01010101010101010101010101010101-1-%d", dir, (int)SEALIFT__RUN_SIDE__SIDE_TARGET);
    cr_assert(file_read(AT_FDCWD, path, 4096, &whole, &err), "%s", err.text);
    for (int i = 0; i < times; i++) {
        AUTO(free) char *other = xasprintf("%s/another-%d", dir, i);
        FILE *file = fopen(other, "w");
        cr_assert_not_null(file);
        cr_assert_eq(fwrite(whole.data, 1, whole.len, file), whole.len);
        cr_assert_eq(fclose(file), 0);
    }
}

Test(run_ends, that_nobody_acknowledges_are_bounded_in_number)
{
    struct err err;
    AUTO(run_ends) struct run_ends *ends = NULL;
    Sealift__RunEnd end = SEALIFT__RUN_END__INIT;
    const uint8_t id[16] = {7};
    end.run = stored_bytes(span_of(id, sizeof(id)));
    cr_assert(run_ends_open(state, &ends, &err), "%s", err.text);
    add(ends, 1);
    run_ends_close(ends);
    multiply(RUN_ENDS_MOST - 1);
    cr_assert(run_ends_open(state, &ends, &err), "%s", err.text);
    cr_assert(!run_ends_add(ends, &end, span_of(NULL, 0), &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert(run_ends_acknowledge(ends, 1));
    cr_assert(run_ends_add(ends, &end, span_of(NULL, 0), &err), "%s", err.text);
}
