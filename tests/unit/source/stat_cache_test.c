#include "cache.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

Test(stat_cache, finds_what_was_applied)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    stage_record(cache, "home/x", "a b d/ z", 0644);
    apply(cache);
    AUTO(stat_cache_dir) struct stat_cache_dir *dir = stat_cache_dir_get(cache, span_str("home/x"));
    cr_assert_not_null(dir);
    static const struct {
        const char *name;
        bool hit;
    } asked[] = {{"", false}, {"a", true},  {"aa", false}, {"b", true},
                 {"d", true}, {"y", false}, {"z", true},   {"zz", false}};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        cr_assert_eq(stat_cache_dir_find(dir, span_str(asked[i].name), &some_key).len > 0, asked[i].hit, "%s",
                     asked[i].name);
    cr_assert(!has_record(cache, "home"));
    cr_assert(!has_record(cache, ""));
}

Test(stat_cache, any_other_stat_is_a_miss)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    stage_record(cache, "d", "a", 0644);
    apply(cache);
    struct stat_key keys[4] = {some_key, some_key, some_key, some_key};
    keys[0].inode++;
    keys[1].size--;
    keys[2].mtime_ns++;
    keys[3].ctime_ns--;
    cr_assert_eq(look_up(cache, "d", "a", &some_key), 0644);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(look_up(cache, "d", "a", &keys[i]), -1, "field %zu", i);
}

Test(stat_cache, what_is_not_to_be_trusted_is_known_by_its_name_alone)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, span_str("d"));
    AUTO(buf) struct buf encoded = {0};
    const struct stat_key zeros = {0}, ones = {UINT64_MAX, UINT64_MAX, -1, -1};
    const struct stat_key *keys[] = {&some_key, &zeros, &ones};
    struct err err;
    encode("young", ENTRY_FILE, 0644, &encoded);
    cr_assert(stat_cache_record_add(record, span_str("young"), NULL, buf_span(&encoded), &err));
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
    apply(cache);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        AUTO(stat_cache_dir) struct stat_cache_dir *dir = stat_cache_dir_get(cache, span_str("d"));
        cr_assert_eq(stat_cache_dir_find(dir, span_str("young"), keys[i]).len, 0, "key %zu", i);
        cr_assert(span_eq(stat_cache_dir_named(dir, span_str("young")), buf_span(&encoded)), "key %zu", i);
    }
}

Test(stat_cache, what_is_staged_shows_only_when_applied)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    const struct hash content = {{9}};
    const struct ref ref = {.kind = REF_DATA, .length = 5, .content = {{8}}};
    struct ref found;
    struct err err;
    stage_record(cache, "d", "a", 0600);
    apply(cache);
    stage_record(cache, "d", "a", 0644);
    stage_record(cache, "e", "x", 0644);
    cr_assert(stat_cache_stage_content(cache, &content, &ref, &err), "%s", err.text);
    cr_assert_eq(look_up(cache, "d", "a", &some_key), 0600);
    cr_assert(!has_record(cache, "e"));
    cr_assert(!stat_cache_content(cache, &content, &found));
    apply(cache);
    cr_assert_eq(look_up(cache, "d", "a", &some_key), 0644);
    cr_assert_eq(look_up(cache, "e", "x", &some_key), 0644);
    cr_assert(stat_cache_content(cache, &content, &found));
    cr_assert(hash_eq(&found.content, &ref.content) && found.length == 5 && found.kind == REF_DATA);
}

Test(stat_cache, what_was_staged_and_not_applied_is_gone_after_a_restart)
{
    AUTO(tree) struct tree tree = tree_make();
    struct stat_cache *cache = open_cache(&tree, true);
    stage_record(cache, "d", "a", 0600);
    apply(cache);
    stage_record(cache, "d", "a", 0644);
    stat_cache_close(cache);
    cache = open_cache(&tree, false);
    apply(cache);
    cr_assert_eq(look_up(cache, "d", "a", &some_key), 0600);
    stat_cache_close(cache);
}

Test(stat_cache, what_is_as_it_was_is_not_staged)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    stage_record(cache, "d", "a b c/", 0644);
    stage_record(cache, "d/empty", "", 0644);
    apply(cache);
    stage_record(cache, "d", "a b c/", 0644);
    stage_record(cache, "d/empty", "", 0644);
    cr_assert_eq(staged_bytes(cache), 0);
    stage_record(cache, "d", "a b c/", 0600);
    cr_assert_gt(staged_bytes(cache), 0);
}

Test(stat_cache, a_directory_that_became_empty_is_forgotten)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    stage_record(cache, "d", "a b", 0644);
    apply(cache);
    stage_record(cache, "d", "", 0644);
    apply(cache);
    cr_assert(!has_record(cache, "d"));
}

/* A record of many parts. */
static void stage_numbered(struct stat_cache *cache, unsigned from, unsigned to, unsigned step)
{
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, span_str("big"));
    struct err err;
    for (unsigned i = from; i < to; i += step) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%06u", i);
        add_child(record, name, ENTRY_FILE, i % 01000);
    }
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
}

static void expect_numbered(struct stat_cache *cache, unsigned from, unsigned to, unsigned step)
{
    AUTO(stat_cache_dir) struct stat_cache_dir *dir = stat_cache_dir_get(cache, span_str("big"));
    cr_assert_not_null(dir);
    for (unsigned i = 0; i < 30000; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%06u", i);
        struct span found = stat_cache_dir_find(dir, span_str(name), &some_key);
        bool expected = i >= from && i < to && (i - from) % step == 0;
        if ((found.len > 0) != expected) cr_assert_fail("%u", i);
    }
}

Test(stat_cache, a_huge_directory_grows_and_shrinks)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    stage_numbered(cache, 0, 20000, 1);
    apply(cache);
    expect_numbered(cache, 0, 20000, 1);
    stage_numbered(cache, 0, 20000, 1);
    cr_assert_eq(staged_bytes(cache), 0);
    stage_numbered(cache, 0, 20100, 1);
    cr_assert_lt(staged_bytes(cache), 2 * 65536 + 1000, "only the last parts changed");
    apply(cache);
    expect_numbered(cache, 0, 20100, 1);
    stage_numbered(cache, 5, 20000, 7);
    apply(cache);
    expect_numbered(cache, 5, 20000, 7);
    stage_numbered(cache, 100, 103, 1);
    apply(cache);
    expect_numbered(cache, 100, 103, 1);
    struct part_key key = part_key_of(span_str("big"));
    struct span value;
    part_key_set(&key, 1);
    cr_assert(!cache_db_get(&cache->db, cache->db.dirs, span_of(key.bytes, PART_KEY_LEN), &value),
              "no part is left");
}

Test(stat_cache, an_entry_larger_than_a_part_goes_through)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, span_str("d"));
    AUTO(buf) struct buf value = {0}, xattrs = {0}, encoded = {0};
    struct err err;
    memset(buf_grow(&value, 900000), 'v', 900000);
    xattr_encode(span_str("user.x"), buf_span(&value), &xattrs);
    const struct entry entry = {
        .type = ENTRY_FILE, .depth = 1, .name = span_str("b"), .xattr_count = 1, .xattrs = buf_span(&xattrs)};
    cr_assert(entry_encode(&entry, &encoded, &err), "%s", err.text);
    add_child(record, "a", ENTRY_FILE, 0644);
    cr_assert(stat_cache_record_add(record, span_str("b"), &some_key, buf_span(&encoded), &err));
    add_child(record, "c", ENTRY_FILE, 0644);
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
    apply(cache);
    AUTO(stat_cache_dir) struct stat_cache_dir *dir = stat_cache_dir_get(cache, span_str("d"));
    cr_assert(stat_cache_dir_find(dir, span_str("a"), &some_key).len > 0);
    cr_assert(span_eq(stat_cache_dir_find(dir, span_str("b"), &some_key), buf_span(&encoded)));
    cr_assert(stat_cache_dir_find(dir, span_str("c"), &some_key).len > 0);
}

Test(stat_cache, what_was_below_a_directory_that_is_gone_is_dropped)
{
    static const char *const now[] = {"n/ z", "b n/ z", "bb n/ z"}; /* removed, made a file, renamed */
    for (size_t i = 0; i < sizeof(now) / sizeof(now[0]); i++) {
        AUTO(tree) struct tree tree = tree_make();
        AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
        stage_nested(cache);
        stage_record(cache, "a", now[i], 0644);
        apply(cache);
        cr_assert(!has_record(cache, "a/b"), "%s", now[i]);
        cr_assert(!has_record(cache, "a/b/c"), "%s", now[i]);
        cr_assert(has_record(cache, "a/n"), "%s", now[i]);
    }
}

/* Whoever may make directories may make them where their paths are long, and as many as he likes. */
Test(stat_cache, dropping_many_long_paths_takes_no_memory_for_each)
{
    enum { LONG = 60000, MANY = 4000, MOST_KIB = 100 * 1024 };
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    AUTO(free) char *name = xmalloc(LONG + 1);
    AUTO(buf) struct buf path = {0};
    struct rusage before, after;
    memset(name, 'n', LONG);
    name[LONG] = 0;
    buf_printf(&path, "a/%s", name);
    AUTO(stat_cache_record) struct stat_cache_record *a = stat_cache_record_new(cache, span_str("a"));
    AUTO(stat_cache_record) struct stat_cache_record *deep = stat_cache_record_new(cache, buf_span(&path));
    struct err err;
    for (unsigned i = 0; i < MANY; i++) {
        char child[16];
        (void)snprintf(child, sizeof(child), "%06u", i);
        add_child(deep, child, ENTRY_DIRECTORY, 0755);
    }
    cr_assert(stat_cache_record_end(deep, &err), "%s", err.text);
    add_child(a, name, ENTRY_DIRECTORY, 0755);
    cr_assert(stat_cache_record_end(a, &err), "%s", err.text);
    apply(cache);
    stage_record(cache, "a", "z", 0644);
    cr_assert_eq(getrusage(RUSAGE_SELF, &before), 0);
    apply(cache);
    cr_assert_eq(getrusage(RUSAGE_SELF, &after), 0);
    cr_assert(!has_record(cache, buf_cstr(&path)));
    cr_assert_lt(after.ru_maxrss - before.ru_maxrss, MOST_KIB);
}

Test(stat_cache, what_is_below_a_directory_that_is_named_stays)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    stage_nested(cache);
    stage_record(cache, "a", "b? n/ z", 0644);
    apply(cache);
    cr_assert(has_record(cache, "a/b/c"));
    cr_assert_eq(look_up(cache, "a", "b", &some_key), -1, "it has no entry of its own");
    stage_record(cache, "a", "n/", 0644);
    apply(cache);
    cr_assert(!has_record(cache, "a/b/c"), "nor does that keep it for ever");
}

Test(stat_cache, a_record_that_is_not_ended_is_not_staged)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    stage_record(cache, "d", "a", 0600);
    apply(cache);
    struct stat_cache_record *record = stat_cache_record_new(cache, span_str("d"));
    add_child(record, "a", ENTRY_FILE, 0644);
    stat_cache_record_free(record);
    apply(cache);
    cr_assert_eq(look_up(cache, "d", "a", &some_key), 0600);
}

Test(stat_cache, reset_empties_it)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    struct err err;
    stage_record(cache, "d", "a", 0600);
    apply(cache);
    stage_record(cache, "e", "a", 0600);
    cr_assert(stat_cache_reset(cache, &err), "%s", err.text);
    cr_assert(!has_record(cache, "d"));
    apply(cache);
    cr_assert(!has_record(cache, "e"));
    stage_record(cache, "f", "a", 0600);
    apply(cache);
    cr_assert(has_record(cache, "f"));
}

/* --- what may be trusted --- */

static void fill(const struct tree *tree)
{
    AUTO(stat_cache) struct stat_cache *cache = open_cache(tree, true);
    stage_record(cache, "d", "a", 0600);
    apply(cache);
}

static void write_state(const struct tree *tree, const char *state)
{
    struct err err;
    cr_assert(file_replace(tree->fd, "state", span_str(state), 0600, &err), "%s", err.text);
}

Test(stat_cache, stays_over_a_restart)
{
    AUTO(tree) struct tree tree = tree_make();
    fill(&tree);
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, false);
    cr_assert_eq(look_up(cache, "d", "a", &some_key), 0600);
}

Test(stat_cache, of_another_binding_is_emptied)
{
    AUTO(tree) struct tree tree = tree_make();
    const struct hash other = {{1, 2, 4}};
    struct stat_cache *cache = NULL;
    enum cache_found found = CACHE_KEPT;
    struct err err;
    fill(&tree);
    cr_assert(stat_cache_open(tree.path, &other, &cache, &found, &err), "%s", err.text);
    cr_assert_eq(found, CACHE_REBOUND);
    cr_assert(!has_record(cache, "d"));
    stat_cache_close(cache);
    cache = open_cache(&tree, true);
    stat_cache_close(cache);
}

Test(stat_cache, is_not_trusted_after_a_crash_of_the_machine)
{
    static const char *const states[] = {"open another-boot-id\n", "open ", "", "cle"};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        AUTO(tree) struct tree tree = tree_make();
        fill(&tree);
        write_state(&tree, states[i]);
        AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
        cr_assert(!has_record(cache, "d"), "'%s'", states[i]);
    }
    AUTO(tree) struct tree tree = tree_make();
    fill(&tree);
    cr_assert_eq(unlinkat(tree.fd, "state", 0), 0);
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
}

Test(stat_cache, says_that_it_is_changing_before_it_changes)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf state = {0};
    struct err err;
    fill(&tree);
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, false);
    cr_assert(file_read(tree.fd, "state", 100, &state, &err), "%s", err.text);
    cr_assert_str_eq(buf_cstr(&state), "clean\n", "opening and reading change nothing");
    stage_record(cache, "e", "a", 0600);
    apply(cache);
    cr_assert(file_read(tree.fd, "state", 100, &state, &err), "%s", err.text);
    cr_assert_eq(strncmp(buf_cstr(&state), "open ", 5), 0);
}

/* The process dies without a word; the kernel has all that it wrote. */
Test(stat_cache, is_trusted_after_a_crash_of_the_process)
{
    AUTO(tree) struct tree tree = tree_make();
    fill(&tree);
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        struct stat_cache *cache = NULL;
        enum cache_found found;
        struct err err;
        if (!stat_cache_open(tree.path, &binding, &cache, &found, &err)) _exit(1);
        stage_record(cache, "e", "a", 0604);
        if (!stat_cache_apply(cache, &err)) _exit(2);
        stage_record(cache, "f", "a", 0604);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, false);
    cr_assert_eq(look_up(cache, "d", "a", &some_key), 0600);
    cr_assert_eq(look_up(cache, "e", "a", &some_key), 0604);
    cr_assert(!has_record(cache, "f"));
}

Test(stat_cache, that_is_no_database_is_emptied)
{
    static const char *const garbage[] = {"", "garbage", "\xde\xc0\xef\xbe"};
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        AUTO(tree) struct tree tree = tree_make();
        struct err err;
        fill(&tree);
        cr_assert(file_replace(tree.fd, "cache.mdb", span_str(garbage[i]), 0600, &err), "%s", err.text);
        AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
        stage_record(cache, "d", "a", 0600);
        apply(cache);
    }
}

Test(stat_cache, is_for_one_process_at_a_time)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    struct stat_cache *second = NULL;
    enum cache_found found;
    struct err err;
    cr_assert(!stat_cache_open(tree.path, &binding, &second, &found, &err));
    cr_assert_eq(err.code, ERR_BUSY);
    cr_assert_null(second);
    cr_assert_eq(strncmp(err.text, "the stat cache '", 16), 0, "%s", err.text);
}

Test(stat_cache, makes_its_directory_or_says_why_not)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(free) char *path = tree_path(&tree, "some/new/directory");
    AUTO(free) char *blocked = tree_path(&tree, "file/x");
    struct stat_cache *cache = NULL;
    enum cache_found found;
    struct err err;
    cr_assert(stat_cache_open(path, &binding, &cache, &found, &err), "%s", err.text);
    stat_cache_close(cache);
    put_file(&tree, "file", "");
    cr_assert(!stat_cache_open(blocked, &binding, &cache, &found, &err));
    cr_assert(strstr(err.text, "Not a directory"), "%s", err.text);
}

/* What is in the database is ours; should it be damaged all the same, that must cost no more than misses. */
Test(stat_cache, a_damaged_record_ends_early)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    struct part_key key = part_key_of(span_str("d"));
    AUTO(buf) struct buf value = {0}, encoded = {0};
    struct err err;
    encode("a", ENTRY_FILE, 0644, &encoded);
    buf_put_u8(&value, 1);
    cached_child_encode(span_str("a"), &some_key, buf_span(&encoded), &value);
    cached_child_encode(span_str("b"), &some_key, buf_span(&encoded), &value);
    for (size_t len = 0; len <= value.len; len++) {
        cr_assert(
            stage_put(cache, STAGE_PART, span_of(key.bytes, PART_KEY_LEN), span_of(value.data, len), &err));
        apply(cache);
        AUTO(stat_cache_dir) struct stat_cache_dir *dir = stat_cache_dir_get(cache, span_str("d"));
        if (!dir) continue;
        (void)stat_cache_dir_find(dir, span_str("a"), &some_key);
        struct span found = stat_cache_dir_find(dir, span_str("b"), &some_key);
        cr_assert_eq(found.len > 0, len == value.len, "at %zu", len);
    }
    /* a part that is said to have a next, which is not there */
    value.data[0] = 0;
    cr_assert(stage_put(cache, STAGE_PART, span_of(key.bytes, PART_KEY_LEN), buf_span(&value), &err));
    apply(cache);
    AUTO(stat_cache_dir) struct stat_cache_dir *dir = stat_cache_dir_get(cache, span_str("d"));
    cr_assert_eq(stat_cache_dir_find(dir, span_str("z"), &some_key).len, 0);
}

Test(stat_cache, a_damaged_stage_file_is_an_error_and_then_gone)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    struct err err;
    stage_record(cache, "d", "a", 0600);
    cr_assert(stage_put(cache, (enum stage_kind)9, span_str("what"), span_of(NULL, 0), &err));
    cr_assert(!stat_cache_apply(cache, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    cr_assert(!has_record(cache, "d"), "a batch is all or nothing");
    apply(cache);
    stage_record(cache, "d", "a", 0600);
    apply(cache);
    cr_assert_eq(look_up(cache, "d", "a", &some_key), 0600);
}

Test(stat_cache, many_directories_take_several_transactions)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&tree, true);
    char name[32];
    for (unsigned i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof(name), "d%u", i);
        stage_record(cache, name, "a b/", 0644);
    }
    apply(cache);
    for (unsigned i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof(name), "d%u", i);
        if (look_up(cache, name, "a", &some_key) != 0644) cr_assert_fail("%s", name);
    }
}
