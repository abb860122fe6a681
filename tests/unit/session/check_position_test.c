/* Where checks of a repository begin: samples follow each other, an interrupted one goes on. */
#include "transporter/session/check_position.h"

#include "common/base/file.h"
#include "tests/unit/base/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>

enum { PACKS = 20 };
static const uint64_t SECOND = 1000000000;

static struct hash name_of(unsigned pack)
{
    struct hash name = {{0}};
    name.bytes[0] = (uint8_t)(10 * pack + 5);
    return name;
}

/* Reads `left` packs as a check would; which ones, as bits. */
static uint32_t read_packs(struct check_position *position, uint64_t most)
{
    const struct hash last = name_of(PACKS - 1);
    uint32_t seen = 0;
    uint64_t left = position->left < most ? position->left : most;
    for (unsigned i = 0; left > 0; i = (i + 1) % PACKS) {
        struct hash name = name_of(i);
        bool wraps = hash_cmp(&position->next, &last) > 0;
        if (!wraps && hash_cmp(&name, &position->next) < 0) continue;
        check_position_pass(position, &name);
        seen |= 1u << i;
        left--;
    }
    return seen;
}

static void end(struct check_position *position)
{
    struct hash last = name_of(PACKS - 1);
    check_position_end(position, hash_cmp(&position->next, &last) > 0 ? CHECK_REST_NONE : CHECK_REST_MORE);
}

Test(check_position, twenty_samples_of_five_percent_see_every_pack)
{
    struct check_position position = {0};
    uint32_t seen = 0;
    for (uint64_t run = 1; run <= 20; run++) {
        check_position_begin(&position, 50000, PACKS, run * SECOND);
        cr_assert_eq(position.left, 1);
        seen |= read_packs(&position, UINT64_MAX);
        cr_assert_eq(position.whole_ns, 0, "run %llu", (unsigned long long)run);
        end(&position);
    }
    cr_assert_eq(seen, (1u << PACKS) - 1);
    cr_assert_eq(position.whole_ns, SECOND, "all has been read since the first of them began");
}

Test(check_position, a_sample_is_rounded_up_and_never_more_than_all)
{
    static const struct {
        uint32_t ppm;
        uint64_t packs, left;
    } cases[] = {{1, 10, 1},      {50000, 21, 2}, {1000000, 7, 7}, {0, 7, 7},
                 {2000000, 7, 7}, {333334, 3, 2}, {50000, 0, 0},   {1, UINT64_MAX, 18446744073710},
                 {999999, 1, 1},  {500000, 2, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct check_position position = {0};
        check_position_begin(&position, cases[i].ppm, cases[i].packs, 1);
        cr_expect_eq(position.left, cases[i].left, "case %zu: %llu", i, (unsigned long long)position.left);
    }
}

Test(check_position, a_check_that_was_interrupted_goes_on)
{
    struct check_position position = {0};
    check_position_begin(&position, 0, PACKS, SECOND);
    uint32_t seen = read_packs(&position, 7);
    check_position_begin(&position, 0, PACKS, 2 * SECOND);
    cr_assert_eq(position.left, PACKS - 7);
    cr_assert_eq(position.done, 7);
    cr_assert_eq(position.begun_ns, SECOND);
    seen |= read_packs(&position, UINT64_MAX);
    end(&position);
    cr_assert_eq(seen, (1u << PACKS) - 1);
    cr_assert_eq(position.whole_ns, SECOND);
}

Test(check_position, another_sample_begins_anew_but_where_the_last_one_stopped)
{
    struct check_position position = {0};
    check_position_begin(&position, 0, PACKS, SECOND);
    (void)read_packs(&position, 7);
    check_position_begin(&position, 100000, PACKS, 2 * SECOND);
    cr_assert_eq(position.left, 2);
    cr_assert_eq(position.done, 0);
    cr_assert_eq(read_packs(&position, UINT64_MAX), 3u << 7);
}

Test(check_position, a_whole_check_from_the_middle_goes_around)
{
    struct check_position position = {0};
    check_position_begin(&position, 250000, PACKS, SECOND);
    (void)read_packs(&position, UINT64_MAX);
    end(&position);
    check_position_begin(&position, 0, PACKS, 5 * SECOND);
    cr_assert_eq(read_packs(&position, UINT64_MAX), (1u << PACKS) - 1);
    end(&position);
    cr_assert_eq(position.whole_ns, 5 * SECOND);
}

Test(check_position, is_kept_in_a_file)
{
    AUTO(scratch) struct scratch scratch = scratch_make();
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/checked", scratch.path);
    struct check_position position = {0}, out;
    struct err err;
    check_position_begin(&position, 50000, PACKS, SECOND);
    (void)read_packs(&position, 1);
    cr_assert(check_position_save(path, &position, &err), "%s", err.text);
    check_position_load(path, &out);
    cr_assert(hash_eq(&out.next, &position.next));
    cr_assert_eq(out.done, 1);
    cr_assert_eq(out.sample_ppm, 50000);
    cr_assert_eq(out.begun_ns, SECOND);
}

Test(check_position, of_a_file_that_was_cut_or_changed_is_the_beginning)
{
    AUTO(scratch) struct scratch scratch = scratch_make();
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/checked", scratch.path);
    struct check_position position = {0}, out;
    struct err err;
    AUTO(buf) struct buf good = {0};
    check_position_load(path, &out);
    cr_assert_eq(out.begun_ns, 0, "there is none");
    check_position_begin(&position, 50000, PACKS, SECOND);
    cr_assert(check_position_save(path, &position, &err), "%s", err.text);
    cr_assert(file_read(AT_FDCWD, path, 4096, &good, &err), "%s", err.text);
    for (size_t i = 0; i < good.len; i++) {
        AUTO(buf) struct buf bad = {0};
        cr_assert(file_replace(AT_FDCWD, path, span_of(good.data, i), 0600, &err));
        check_position_load(path, &out);
        cr_assert_eq(out.begun_ns, 0, "cut to %zu", i);
        buf_put_span(&bad, buf_span(&good));
        bad.data[i] ^= 1;
        cr_assert(file_replace(AT_FDCWD, path, buf_span(&bad), 0600, &err));
        check_position_load(path, &out);
        cr_assert_eq(out.begun_ns, 0, "byte %zu", i);
    }
}
