/* Which bundles are to be stored anew: of four contents of 100 bytes each in one bundle. */
#include "cache.h"

#include <criterion/criterion.h>

static struct hash content_number(unsigned number)
{
    return (struct hash){{(uint8_t)number, 1}};
}

/* Content `number` at its place in the bundle `bundle`. */
static struct ref ref_of(unsigned number, uint8_t bundle)
{
    return (struct ref){.kind = REF_DATA, .length = 100, .offset = 100 * number, .content = {{bundle}}};
}

static void place(struct stat_cache *cache, unsigned number, uint8_t bundle)
{
    const struct hash hash = content_number(number);
    const struct ref ref = ref_of(number, bundle);
    struct err err;
    cr_assert(stat_cache_stage_content(cache, &hash, &ref, &err), "%s", err.text);
}

static void place_four(struct stat_cache *cache, uint8_t bundle)
{
    for (unsigned i = 0; i < 4; i++)
        place(cache, i, bundle);
}

static void encode_file(const char *name, unsigned number, uint8_t bundle, struct buf *out)
{
    AUTO(buf) struct buf refs = {0};
    const struct ref ref = ref_of(number, bundle);
    struct entry entry = {
        .type = ENTRY_FILE, .depth = 1, .name = span_str(name), .ref_count = 1, .size = 100};
    struct err err;
    ref_encode(&ref, &refs);
    entry.refs = buf_span(&refs);
    entry.file_hash = content_number(number);
    cr_assert(entry_encode(&entry, out, &err), "%s", err.text);
}

/* The directory d has files with these contents, all in the bundle, and all with this key. */
static void stage_with_key(struct stat_cache *cache, const char *numbers, uint8_t bundle,
                           const struct stat_key *key)
{
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, span_str("d"));
    struct err err;
    for (const char *at = numbers; *at; at++) {
        AUTO(buf) struct buf encoded = {0};
        const char name[] = {'f', *at, 0};
        encode_file(name, (unsigned)(*at - '0'), bundle, &encoded);
        cr_assert(stat_cache_record_add(record, span_str(name), key, buf_span(&encoded), &err), "%s",
                  err.text);
    }
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
}

static void stage_files(struct stat_cache *cache, const char *numbers, uint8_t bundle)
{
    stage_with_key(cache, numbers, bundle, &some_key);
}

static void expect_anew(const struct stat_cache *cache, uint8_t bundle, bool anew, const char *when)
{
    AUTO(buf) struct buf encoded = {0};
    encode_file("f0", 0, bundle, &encoded);
    cr_assert_eq(stat_cache_wants_anew(cache, buf_span(&encoded)), anew, "%s", when);
}

static bool tells(struct stat_cache *cache, unsigned number)
{
    const struct hash hash = content_number(number);
    struct ref ref;
    return stat_cache_content(cache, &hash, &ref);
}

Test(stat_cache_bundles, one_under_half_alive_is_wanted_anew_and_its_contents_are_not_told)
{
    AUTO(tree) struct tree tree = tree_make();
    struct stat_cache *cache = open_cache(&tree, true);
    place_four(cache, 8);
    stage_files(cache, "0123", 8);
    apply(cache);
    expect_anew(cache, 8, false, "whole");
    stage_files(cache, "01", 8);
    apply(cache);
    expect_anew(cache, 8, false, "just half");
    cr_assert(tells(cache, 0) && tells(cache, 1));
    stage_files(cache, "0", 8);
    apply(cache);
    for (int again = 0; again < 2; again++) {
        expect_anew(cache, 8, true, "a quarter");
        expect_anew(cache, 9, false, "another bundle");
        cr_assert(!tells(cache, 0));
        stat_cache_close(cache);
        cache = open_cache(&tree, false);
    }
    place(cache, 0, 9); /* stored anew */
    stage_files(cache, "0", 9);
    apply(cache);
    cr_assert(tells(cache, 0));
    expect_anew(cache, 9, false, "the new bundle");
    stat_cache_close(cache);
}

Test(stat_cache_bundles, files_too_young_to_be_trusted_use_theirs)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    place_four(cache, 8);
    stage_with_key(cache, "0123", 8, NULL);
    apply(cache);
    for (int run = 0; run < 3; run++) {
        place(cache, 9, 9); /* the run has something to apply */
        apply(cache);
        expect_anew(cache, 8, false, "whole");
        cr_assert(tells(cache, 0) && tells(cache, 3));
    }
    stage_with_key(cache, "0", 8, NULL);
    apply(cache);
    expect_anew(cache, 8, true, "a quarter");
}

Test(stat_cache_bundles, one_made_by_the_last_run_is_left_alone)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    place_four(cache, 8);
    stage_files(cache, "0", 8);
    apply(cache);
    expect_anew(cache, 8, false, "made by this run");
    cr_assert(tells(cache, 3));
    stage_files(cache, "0123", 8);
    apply(cache);
    expect_anew(cache, 8, false, "all of it is in use by now");
}

static size_t bundles_stored(struct stat_cache *cache)
{
    MDB_stat stat;
    cr_assert_eq(mdb_stat(cache->db.snapshots[0].txn, cache->db.bundles, &stat), 0);
    return stat.ms_entries;
}

/* Two files of one content may lie in two bundles, of which only the one placed last is counted. */
Test(stat_cache_bundles, one_that_seems_dead_is_wanted_anew_once_and_then_forgotten)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    place_four(cache, 8);
    place_four(cache, 9);
    stage_files(cache, "0123", 9);
    apply(cache);
    cr_assert_eq(bundles_stored(cache), 2);
    stage_files(cache, "012", 9);
    apply(cache);
    expect_anew(cache, 8, true, "seems dead");
    expect_anew(cache, 9, false, "three quarters");
    stage_files(cache, "0123", 9);
    apply(cache);
    expect_anew(cache, 8, false, "forgotten");
    cr_assert_eq(bundles_stored(cache), 1);
}

Test(stat_cache_bundles, after_a_reset_none_is_wanted_anew)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    struct err err;
    place_four(cache, 8);
    stage_files(cache, "0123", 8);
    apply(cache);
    stage_files(cache, "0", 8);
    apply(cache);
    expect_anew(cache, 8, true, "a quarter");
    cr_assert(stat_cache_reset(cache, &err), "%s", err.text);
    expect_anew(cache, 8, false, "reset");
}

/* More than are looked at in one transaction. */
Test(stat_cache_bundles, very_many_are_surveyed)
{
    enum { MANY = 20000 };
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    struct err err;
    for (uint32_t i = 0; i < MANY; i++) {
        struct hash hash = {{200}};
        struct ref ref = {.kind = REF_DATA, .length = 100, .content = {{0}}};
        le32_put(hash.bytes + 1, i);
        le32_put(ref.content.bytes, i * 2654435761u);
        cr_assert(stat_cache_stage_content(cache, &hash, &ref, &err), "%s", err.text);
    }
    apply(cache);
    cr_assert_eq(bundles_stored(cache), MANY);
    stage_files(cache, "0", 77);
    apply(cache);
    cr_assert_eq(cache->sparse.len, MANY * BUNDLE_KEY_LEN);
    for (size_t i = 1; i < MANY; i++)
        if (memcmp(cache->sparse.data + (i - 1) * BUNDLE_KEY_LEN, cache->sparse.data + i * BUNDLE_KEY_LEN,
                   BUNDLE_KEY_LEN) >= 0)
            cr_assert_fail("%zu is out of order", i);
    stage_files(cache, "1", 77);
    apply(cache);
    cr_assert_eq(bundles_stored(cache), 0);
}
