#include "cache.h"

#include <criterion/criterion.h>
#include <pthread.h>

static struct hash content_number(unsigned number)
{
    struct hash hash = {{(uint8_t)number, 1}}; /* the first byte chooses the snapshot */
    le32_put(hash.bytes + 4, number);
    return hash;
}

static void stage_content(struct stat_cache *cache, unsigned number)
{
    const struct hash hash = content_number(number);
    const struct ref ref = {.kind = REF_DATA, .length = 10, .offset = number, .content = {{8}}};
    struct err err;
    cr_assert(stat_cache_stage_content(cache, &hash, &ref, &err), "%s", err.text);
}

/* Adds a file that has this content; -1: one that has several chunks. */
static void add_file(struct stat_cache_record *record, const char *name, int number)
{
    AUTO(buf) struct buf refs = {0}, encoded = {0};
    const struct ref ref = {.kind = REF_DATA, .length = 10, .content = {{8}}};
    struct entry entry = {
        .type = ENTRY_FILE, .depth = 1, .name = span_str(name), .ref_count = number < 0 ? 2 : 1};
    struct err err;
    for (uint32_t i = 0; i < entry.ref_count; i++)
        ref_encode(&ref, &refs);
    entry.size = 10 * entry.ref_count;
    entry.refs = buf_span(&refs);
    entry.file_hash = content_number(number < 0 ? 99 : (unsigned)number);
    cr_assert(entry_encode(&entry, &encoded, &err), "%s", err.text);
    cr_assert(stat_cache_record_add(record, span_str(name), &some_key, buf_span(&encoded), &err), "%s",
              err.text);
}

/* "a1 b2": file a has content 1, b has content 2. */
static void stage_files(struct stat_cache *cache, const char *dir, const char *files)
{
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, span_str(dir));
    struct err err;
    for (const char *at = files; *at; at += at[2] ? 3 : 2)
        add_file(record, (const char[]){at[0], 0}, at[1] - '0');
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
}

/* The numbers of the contents that are told, of 1 to 4. */
static void expect_contents(struct stat_cache *cache, const char *expected)
{
    char found[5] = "", *end = found;
    for (unsigned i = 1; i <= 4; i++) {
        const struct hash hash = content_number(i);
        struct ref ref;
        if (!stat_cache_content(cache, &hash, &ref)) continue;
        cr_assert_eq(ref.offset, i);
        *end++ = (char)('0' + i);
    }
    cr_assert_str_eq(found, expected);
}

Test(stat_cache_contents, a_content_is_told_while_a_record_uses_it)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    for (unsigned i = 1; i <= 3; i++)
        stage_content(cache, i);
    stage_files(cache, "d", "a1 b2 c2 d3");
    apply(cache);
    expect_contents(cache, "123");
    stage_files(cache, "d", "a1 c2 e3"); /* one use of 2 left, 3 renamed */
    apply(cache);
    expect_contents(cache, "123");
    stage_files(cache, "d", "a3 c1"); /* 2 replaced, 1 moved, 3 moved */
    apply(cache);
    expect_contents(cache, "13");
    stage_files(cache, "e", "x1");
    stage_files(cache, "d", "");
    apply(cache);
    expect_contents(cache, "1");
    stage_content(cache, 2); /* it came back, at another place perhaps */
    stage_files(cache, "e", "x2");
    apply(cache);
    expect_contents(cache, "2");
}

/* As of a run that was killed after it had applied them, and before the records that use them. */
Test(stat_cache_contents, a_content_that_no_record_uses_is_told_for_one_run)
{
    AUTO(tree) struct tree tree = tree_make();
    struct stat_cache *cache = open_cache(&tree, true);
    stage_content(cache, 1);
    stage_content(cache, 2);
    apply(cache);
    apply(cache); /* of a run that changed nothing */
    stat_cache_close(cache);
    cache = open_cache(&tree, false);
    expect_contents(cache, "12");
    stage_files(cache, "d", "a1");
    apply(cache);
    expect_contents(cache, "1");
    stat_cache_close(cache);
}

Test(stat_cache_contents, contents_below_a_directory_that_is_gone_are_not_told)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    stage_nested(cache);
    for (unsigned i = 1; i <= 4; i++)
        stage_content(cache, i);
    stage_files(cache, "a/b/c", "x1 y4");
    stage_files(cache, "a/n", "x2 y4");
    apply(cache);
    stage_record(cache, "a", "n?", 0644);
    apply(cache);
    expect_contents(cache, "24");
}

Test(stat_cache_contents, files_of_several_chunks_use_no_content)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, span_str("d"));
    struct ref ref;
    struct err err;
    const struct hash hash = content_number(99);
    stage_content(cache, 99);
    apply(cache);
    add_file(record, "a", -1);
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
    apply(cache);
    cr_assert(!stat_cache_content(cache, &hash, &ref));
}

/* More changes than are gathered at a time, the records staged first. */
Test(stat_cache_contents, very_many_contents_are_counted)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    const unsigned count = CONTENT_CHANGES_MAX * 3 / 4;
    struct err err;
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, span_str("big"));
    for (unsigned i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%06u", i);
        add_file(record, name, (int)i);
    }
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
    for (unsigned i = 0; i < count; i++)
        stage_content(cache, i);
    apply(cache);
    stage_files(cache, "d", "a1");
    apply(cache);
    for (unsigned i = 0; i < count; i++) {
        const struct hash hash = content_number(i);
        struct ref ref;
        if (!stat_cache_content(cache, &hash, &ref) || ref.offset != i) cr_assert_fail("%u", i);
    }
}

enum { LOOKERS = 8, LOOKED_FOR = 2000 };

struct looker {
    pthread_t thread;
    struct stat_cache *cache;
    unsigned found;
};

static void *look_for_all(void *arg)
{
    struct looker *looker = arg;
    for (unsigned i = 0; i < LOOKED_FOR; i++) {
        const struct hash hash = content_number(i);
        struct ref ref;
        looker->found += stat_cache_content(looker->cache, &hash, &ref) && ref.offset == i;
    }
    return NULL;
}

Test(stat_cache_contents, many_threads_are_told_at_the_same_time)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    struct looker lookers[LOOKERS];
    for (unsigned i = 0; i < LOOKED_FOR; i++)
        stage_content(cache, i);
    apply(cache);
    for (unsigned i = 0; i < LOOKERS; i++) {
        lookers[i] = (struct looker){.cache = cache};
        cr_assert_eq(pthread_create(&lookers[i].thread, NULL, look_for_all, &lookers[i]), 0);
    }
    for (unsigned i = 0; i < LOOKERS; i++)
        (void)pthread_join(lookers[i].thread, NULL);
    for (unsigned i = 0; i < LOOKERS; i++)
        cr_assert_eq(lookers[i].found, LOOKED_FOR);
}

static size_t contents_stored(struct stat_cache *cache)
{
    MDB_stat stat;
    cr_assert_eq(mdb_stat(cache->db.snapshots[0].txn, cache->db.contents, &stat), 0);
    return stat.ms_entries;
}

Test(stat_cache_contents, contents_that_nothing_uses_are_swept)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    for (unsigned run = 0; run < 20; run++) {
        if (run == 0) stage_content(cache, 1);
        stage_files(cache, "d", run % 2 ? "a1" : "a1 b1");
        for (unsigned i = 0; i < 3000; i++)
            stage_content(cache, 1000 + run * 3000 + i);
        apply(cache);
        expect_contents(cache, "1");
        cr_assert_leq(contents_stored(cache), 20000);
    }
}
