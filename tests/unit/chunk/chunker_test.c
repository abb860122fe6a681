#include "common/chunk/chunker.h"

#include "common/base/alloc.h"
#include "common/base/auto.h"
#include "common/base/bytes.h"
#include "common/chunk/gear.h"
#include "tests/unit/chunk/sample.h"

#include <blake3.h>
#include <criterion/criterion.h>
#include <string.h>

enum { MOST_CUTS = 4096 };

static const struct chunker_params small = {.min = 512, .average = 2048, .max = 8192};

/* Where chunks end, counted from the start of the stream. */
struct cuts {
    size_t count;
    size_t at[MOST_CUTS];
};

static struct chunker new_chunker(const struct chunker_params *params)
{
    struct chunker chunker;
    struct err err = {0};

    cr_assert(chunker_init(&chunker, params, &err), "%s", err.text);
    return chunker;
}

static void add_cut(struct cuts *cuts, size_t at)
{
    cr_assert(cuts->count < MOST_CUTS);
    cuts->at[cuts->count++] = at;
}

/* the stream in windows of `window` bytes */
static void cut(const struct chunker_params *params, const uint8_t *bytes, size_t len, size_t window,
                struct cuts *out)
{
    struct chunker chunker = new_chunker(params);

    out->count = 0;
    for (size_t start = 0; start < len; start += window) {
        size_t end = start + window < len ? start + window : len;
        for (size_t at = start; at < end;) {
            size_t taken = chunker_next(&chunker, bytes + at, end - at);
            if (taken == 0) break;
            at += taken;
            add_cut(out, at);
        }
    }
}

/* The definition in chunker.h, byte by byte. */
static void cut_by_definition(const struct chunker_params *params, const uint8_t *bytes, size_t len,
                              struct cuts *out)
{
    size_t step = params->step ? params->step : 1;
    int bits = __builtin_ctz(params->average) - __builtin_ctzl(step);
    size_t start = 0;

    out->count = 0;
    for (size_t end = params->min; end <= len; end++) {
        size_t length = end - start;
        if (length < params->min || length % step != 0) continue;
        uint64_t hash = 0;
        for (size_t i = end - 64; i < end; i++)
            hash = 2 * hash + gear_table[bytes[i]];
        uint64_t top = hash >> (64 - (length < params->average ? bits + 2 : bits - 2));
        if (top != 0 && length < params->max) continue;
        add_cut(out, end);
        start = end;
    }
}

static bool has_cut(const struct cuts *cuts, size_t at)
{
    for (size_t i = 0; i < cuts->count; i++)
        if (cuts->at[i] == at) return true;
    return false;
}

static void expect_same(const struct cuts *got, const struct cuts *want, const char *what)
{
    cr_assert_eq(got->count, want->count, "%s: %zu cuts, not %zu", what, got->count, want->count);
    for (size_t i = 0; i < got->count; i++)
        cr_assert_eq(got->at[i], want->at[i], "%s: cut %zu at %zu, not %zu", what, i, got->at[i],
                     want->at[i]);
}

Test(gear, table_is_the_output_of_blake3_for_its_seed)
{
    uint8_t bytes[sizeof(gear_table)];
    blake3_hasher hasher;

    blake3_hasher_init(&hasher);
    blake3_hasher_update(&hasher, GEAR_SEED, strlen(GEAR_SEED));
    blake3_hasher_finalize(&hasher, bytes, sizeof(bytes));
    for (size_t i = 0; i < 256; i++)
        cr_assert_eq(gear_table[i], le64_get(bytes + 8 * i), "entry %zu", i);
}

/* Made by an independent program from the definition alone. */
Test(chunker, cuts_of_the_presets_never_change)
{
    static const struct {
        const struct chunker_params *params;
        size_t count;
        size_t lengths[15];
    } golden[] = {
        {&chunker_files, 7, {1122573, 1277207, 629407, 1685547, 1193133, 1057940, 1173852}},
        {&chunker_images,
         14,
         {671232, 627712, 697344, 374272, 244736, 836608, 642560, 618496, 820224, 526336, 579584, 560640,
          617472, 560128}},
    };
    enum { LEN = 8 << 20 };
    AUTO(free) uint8_t *bytes = xmalloc(LEN);
    struct cuts cuts;

    sample_noise(bytes, LEN, 0x5ea11f7);
    for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        cut(golden[i].params, bytes, LEN, LEN, &cuts);
        cr_assert_eq(cuts.count, golden[i].count);
        for (size_t k = 0, start = 0; k < cuts.count; start = cuts.at[k++])
            cr_assert_eq(cuts.at[k] - start, golden[i].lengths[k], "preset %zu, chunk %zu", i, k);
    }
}

Test(chunker, cuts_are_those_of_the_definition)
{
    static const struct chunker_params params[] = {
        {512, 2048, 8192, 0}, {64, 256, 257, 0},     {255, 256, 4096, 0},    {2047, 2048, 2049, 0},
        {64, 4096, 6000, 0},  {512, 2048, 8192, 64}, {128, 2048, 3968, 128}, {2048, 8192, 32768, 512},
    };
    enum { LEN = 300 << 10 };
    AUTO(free) uint8_t *bytes = xmalloc(LEN);
    struct cuts got, want;

    sample_noise(bytes, LEN / 2, 7);
    sample_words(bytes + LEN / 2, LEN - LEN / 2, 8);
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        cut(&params[i], bytes, LEN, LEN, &got);
        cut_by_definition(&params[i], bytes, LEN, &want);
        cr_assert(want.count > 10);
        expect_same(&got, &want, "definition");
    }
}

static void expect_same_in_windows(const struct chunker_params *params)
{
    static const size_t windows[] = {1, 2, 3, 7, 63, 64, 65, 511, 512, 513, 2047, 8191, 8192, 8193, 50000};
    enum { LEN = 200 << 10 };
    AUTO(free) uint8_t *bytes = xmalloc(LEN);
    struct cuts got, want;

    sample_noise(bytes, LEN, 9);
    memset(bytes + LEN / 2, 0, 5 * small.max); /* forced cuts too */
    cut(params, bytes, LEN, LEN, &want);
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        cut(params, bytes, LEN, windows[i], &got);
        expect_same(&got, &want, "windows");
    }
}

static const struct chunker_params stepped = {.min = 512, .average = 2048, .max = 8192, .step = 64};

Test(chunker, cuts_do_not_depend_on_the_windows)
{
    expect_same_in_windows(&small);
    expect_same_in_windows(&stepped);
}

Test(chunker, cuts_at_steps_come_back_behind_what_was_moved_by_whole_steps)
{
    enum { LEN = 256 << 10, AT = 1500 * 64, MOVED = 3 * 64 };
    AUTO(free) uint8_t *bytes = xmalloc(LEN);
    AUTO(free) uint8_t *longer = xmalloc(LEN + MOVED);
    struct cuts before, after;
    size_t behind = 0, found = 0;

    sample_noise(bytes, LEN, 21);
    memcpy(longer, bytes, AT);
    memset(longer + AT, 'x', MOVED);
    memcpy(longer + AT + MOVED, bytes + AT, LEN - AT);
    cut(&stepped, bytes, LEN, LEN, &before);
    cut(&stepped, longer, LEN + MOVED, LEN + MOVED, &after);
    for (size_t i = 0; i < before.count; i++) {
        cr_assert_eq(before.at[i] % stepped.step, 0);
        if (before.at[i] < AT + 4 * stepped.max) continue;
        behind++;
        found += has_cut(&after, before.at[i] + MOVED);
    }
    cr_assert(behind > 20 && found == behind, "%zu of %zu", found, behind);
}

Test(chunker, mean_length_with_steps_is_within_a_fifth_of_the_average)
{
    enum { LEN = 4 << 20 };
    AUTO(free) uint8_t *bytes = xmalloc(LEN);
    struct cuts cuts;

    sample_noise(bytes, LEN, 23);
    cut(&stepped, bytes, LEN, LEN, &cuts);
    double mean = (double)cuts.at[cuts.count - 1] / (double)cuts.count;
    cr_assert(mean > 0.8 * stepped.average && mean < 1.2 * stepped.average, "mean %g", mean);
}

Test(chunker, takes_an_empty_window)
{
    struct chunker chunker = new_chunker(&small);

    cr_assert_eq(chunker_next(&chunker, NULL, 0), 0);
    cr_assert_eq(chunker_next(&chunker, "x", 1), 0);
    cr_assert_eq(chunker_next(&chunker, NULL, 0), 0);
    cr_assert_eq(chunker.length, 1);
}

Test(chunker, chunks_keep_to_the_least_and_most_lengths)
{
    static const struct chunker_params params[] = {
        {512, 2048, 8192, 0}, {64, 256, 300, 0}, {1000, 1024, 1030, 0}};
    enum { LEN = 200 << 10 };
    AUTO(free) uint8_t *bytes = xmalloc(LEN);
    struct cuts cuts;

    sample_noise(bytes, LEN, 11);
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        cut(&params[i], bytes, LEN, LEN, &cuts);
        for (size_t k = 0, start = 0; k < cuts.count; start = cuts.at[k++])
            cr_assert(cuts.at[k] - start >= params[i].min && cuts.at[k] - start <= params[i].max);
        cr_assert(LEN - cuts.at[cuts.count - 1] < params[i].max);
    }
}

Test(chunker, bytes_without_content_are_cut_at_the_most)
{
    enum { LEN = 10 * 8192 };
    AUTO(free) uint8_t *bytes = xcalloc(1, LEN);
    struct cuts cuts;

    cut(&small, bytes, LEN, LEN, &cuts);
    cr_assert_eq(cuts.count, 10);
    for (size_t i = 0; i < cuts.count; i++)
        cr_assert_eq(cuts.at[i], (i + 1) * small.max);
}

Test(chunker, mean_length_is_within_a_fifth_of_the_average)
{
    enum { LEN = 4 << 20 };
    AUTO(free) uint8_t *bytes = xmalloc(LEN);
    struct cuts cuts;

    sample_noise(bytes, LEN, 13);
    cut(&small, bytes, LEN, LEN, &cuts);
    double mean = (double)cuts.at[cuts.count - 1] / (double)cuts.count;
    cr_assert(mean > 0.8 * small.average && mean < 1.2 * small.average, "mean %g", mean);
}

/* Of `edited`, whose bytes from `same_from` on are those of `bytes` shifted by `shift`. */
static void expect_resynchronised(const struct cuts *before, const struct cuts *after, size_t same_from,
                                  long shift)
{
    size_t behind = 0, found = 0;

    for (size_t i = 0; i < before->count; i++) {
        if (before->at[i] < same_from + 4 * small.max) continue;
        behind++;
        if (has_cut(after, (size_t)((long)before->at[i] + shift))) found++;
    }
    cr_assert(behind > 20);
    cr_assert_eq(found, behind, "%zu of %zu cuts came back", found, behind);
}

Test(chunker, cuts_come_back_after_an_insertion_and_a_deletion)
{
    enum { LEN = 256 << 10, AT = 100000, MOVED = 17 };
    AUTO(free) uint8_t *bytes = xmalloc(LEN);
    AUTO(free) uint8_t *longer = xmalloc(LEN + MOVED);
    AUTO(free) uint8_t *shorter = xmalloc(LEN - MOVED);
    struct cuts before, after;

    sample_noise(bytes, LEN, 15);
    memcpy(longer, bytes, AT);
    memset(longer + AT, 'x', MOVED);
    memcpy(longer + AT + MOVED, bytes + AT, LEN - AT);
    memcpy(shorter, bytes, AT);
    memcpy(shorter + AT, bytes + AT + MOVED, LEN - AT - MOVED);

    cut(&small, bytes, LEN, LEN, &before);
    cut(&small, longer, LEN + MOVED, LEN + MOVED, &after);
    expect_resynchronised(&before, &after, AT, MOVED);
    cut(&small, shorter, LEN - MOVED, LEN - MOVED, &after);
    expect_resynchronised(&before, &after, AT + MOVED, -MOVED);
}

Test(chunker, a_chunk_depends_on_nothing_before_its_last_least_length)
{
    enum { LEN = 16 << 10 };
    AUTO(free) uint8_t *bytes = xmalloc(LEN);
    struct chunker chunker = new_chunker(&small);

    sample_noise(bytes, LEN, 17);
    size_t first = chunker_next(&chunker, bytes, LEN);
    cr_assert(first > small.min);
    memset(bytes, 0, small.min - CHUNKER_WINDOW); /* never looked at */
    chunker_restart(&chunker);
    cr_assert_eq(chunker_next(&chunker, bytes, LEN), first);
}

Test(chunker, restart_forgets_what_was_read)
{
    enum { LEN = 16 << 10 };
    AUTO(free) uint8_t *bytes = xmalloc(LEN);
    struct chunker chunker = new_chunker(&small);

    sample_noise(bytes, LEN, 19);
    size_t first = chunker_next(&chunker, bytes, LEN);
    cr_assert_eq(chunker_next(&chunker, bytes + 5000, 500), 0);
    chunker_restart(&chunker);
    cr_assert_eq(chunker_next(&chunker, bytes, LEN), first);
}

Test(chunker, init_refuses_parameters_that_make_no_chunks)
{
    static const struct chunker_params bad[] = {
        {0, 0, 0, 0},
        {63, 256, 1024, 0},
        {64, 128, 1024, 0},
        {1024, 1024, 4096, 0},
        {64, 1000, 4096, 0},
        {2048, 1024, 4096, 0},
        {64, 1024, 1024, 0},
        {64, 1024, 1000, 0},
        {64, 1 << 20, (4 << 20) + 1, 0},
        {64, UINT32_C(1) << 31, UINT32_MAX, 0},
        {UINT32_MAX, UINT32_MAX, UINT32_MAX, 0},
        {512, 2048, 8192, 32},  /* less than the window */
        {512, 2048, 8192, 96},  /* no power of two */
        {512, 2048, 8192, 256}, /* too few steps */
        {500, 2048, 8192, 64},  /* no multiple */
        {512, 2048, 8000, 128},
    };
    struct chunker untouched, chunker;
    struct err err = {0};

    memset(&untouched, 0x5a, sizeof(untouched));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memcpy(&chunker, &untouched, sizeof(chunker));
        cr_assert_not(chunker_init(&chunker, &bad[i], &err), "row %zu", i);
        cr_assert_eq(err.code, ERR_LIMIT);
        /* every byte, padding too: NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-*) */
        cr_assert(memcmp(&chunker, &untouched, sizeof(chunker)) == 0);
    }
    cr_assert_not(chunker_init(&chunker, &bad[4], &err));
    cr_assert_str_eq(err.text, "no such chunk sizes: least 64, average 1000, most 4096");
}
