#include "transporter/source/stat_cache.h"

#include "transporter/source/cache_db.h"
#include "transporter/source/stat_cache_parts.h"
#include "tree.h"

#include "common/base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const struct hash binding = {{1, 2, 3}};
static const struct stat_key some_key = {.inode = 7, .size = 100, .mtime_ns = -5, .ctime_ns = 1000};

static struct stat_cache *open_cache(const struct tree *tree, bool expect_fresh)
{
    struct stat_cache *cache = NULL;
    bool fresh;
    struct err err;
    cr_assert(stat_cache_open(tree->path, &binding, &cache, &fresh, &err), "%s", err.text);
    cr_assert_eq(fresh, expect_fresh);
    return cache;
}

/* An encoded entry of this name and type; `mode` tells versions apart. */
static void encode(const char *name, enum entry_type type, uint32_t mode, struct buf *out)
{
    const struct entry entry = {.type = type, .depth = 1, .mode = mode, .name = span_str(name)};
    struct err err;
    buf_clear(out);
    cr_assert(entry_encode(&entry, out, &err), "%s", err.text);
}

static void add_child(struct stat_cache_record *record, const char *name, enum entry_type type, uint32_t mode)
{
    AUTO(buf) struct buf encoded = {0};
    struct err err;
    encode(name, type, mode, &encoded);
    cr_assert(stat_cache_record_add(record, span_str(name), &some_key, buf_span(&encoded), &err), "%s",
              err.text);
}

/* Stages the record of a subdirectory as it is, without its own subdirectories' records. */
static void visit(struct stat_cache *cache, const char *dir, const char *name)
{
    AUTO(buf) struct buf path = {0};
    buf_printf(&path, "%s/%s", dir, name);
    AUTO(stat_cache_dir) struct stat_cache_dir *before = stat_cache_dir_get(cache, buf_span(&path));
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, buf_span(&path));
    struct err err;
    for (; before && before->has_child; stat_cache_dir_step(before)) {
        const struct cached_child *child = &before->child;
        cr_assert(stat_cache_record_add(record, child->name, &child->key, child->encoded, &err), "%s",
                  err.text);
    }
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
}

/* Stages a record: "file d/ d?" are a file, a directory, and a directory that is visited and not cacheable,
 * whose own record stays as it is. */
static void stage_record(struct stat_cache *cache, const char *dir, const char *children, uint32_t mode)
{
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, span_str(dir));
    char copy[256], *rest = NULL;
    struct err err;
    (void)snprintf(copy, sizeof(copy), "%s", children);
    for (char *name = strtok_r(copy, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        size_t len = strlen(name);
        bool unknown = name[len - 1] == '?';
        bool is_directory = name[len - 1] == '/';
        if (unknown || is_directory) name[len - 1] = 0;
        if (unknown)
            visit(cache, dir, name);
        else
            add_child(record, name, is_directory ? ENTRY_DIRECTORY : ENTRY_FILE, mode);
    }
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
}

static void apply(struct stat_cache *cache)
{
    struct err err;
    cr_assert(stat_cache_apply(cache, &err), "%s", err.text);
}

/* The mode of the cached entry; -1 if there is none. */
static int look_up(struct stat_cache *cache, const char *dir, const char *name, const struct stat_key *key)
{
    AUTO(stat_cache_dir) struct stat_cache_dir *found = stat_cache_dir_get(cache, span_str(dir));
    if (!found) return -1;
    struct span encoded = stat_cache_dir_find(found, span_str(name), key);
    if (encoded.len == 0) return -1;
    struct reader reader = reader_of(encoded);
    struct entry entry;
    struct err err;
    cr_assert(entry_decode(&reader, &entry, &err), "%s", err.text);
    cr_assert(span_eq(entry.name, span_str(name)));
    return (int)entry.mode;
}

static bool has_record(struct stat_cache *cache, const char *dir)
{
    AUTO(stat_cache_dir) struct stat_cache_dir *found = stat_cache_dir_get(cache, span_str(dir));
    return found != NULL;
}

static off_t staged_bytes(struct stat_cache *cache)
{
    return (off_t)(cache->stage_len + cache->stage.len);
}

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

/* a/{b/{c/{x} y} n/{x}} */
static void stage_nested(struct stat_cache *cache)
{
    stage_record(cache, "a", "b/ n/ z", 0644);
    stage_record(cache, "a/b", "c/ y", 0644);
    stage_record(cache, "a/b/c", "x", 0644);
    stage_record(cache, "a/n", "x", 0644);
    apply(cache);
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

/* --- contents --- */

static struct hash content_number(unsigned number)
{
    struct hash hash = {{1}};
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

Test(stat_cache, a_content_is_told_while_a_record_uses_it)
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

/* Of a file too young for a record. */
Test(stat_cache, a_content_that_no_record_uses_is_told_for_one_run)
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

Test(stat_cache, contents_below_a_directory_that_is_gone_are_not_told)
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

Test(stat_cache, files_of_several_chunks_use_no_content)
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
Test(stat_cache, very_many_contents_are_counted)
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

static size_t contents_stored(struct stat_cache *cache)
{
    MDB_stat stat;
    cr_assert_eq(mdb_stat(cache->db.read, cache->db.contents, &stat), 0);
    return stat.ms_entries;
}

Test(stat_cache, contents_that_nothing_uses_are_swept)
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
    bool fresh = false;
    struct err err;
    fill(&tree);
    cr_assert(stat_cache_open(tree.path, &other, &cache, &fresh, &err), "%s", err.text);
    cr_assert(fresh);
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
        bool fresh;
        struct err err;
        if (!stat_cache_open(tree.path, &binding, &cache, &fresh, &err)) _exit(1);
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
    bool fresh;
    struct err err;
    cr_assert(!stat_cache_open(tree.path, &binding, &second, &fresh, &err));
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
    bool fresh;
    struct err err;
    cr_assert(stat_cache_open(path, &binding, &cache, &fresh, &err), "%s", err.text);
    stat_cache_close(cache);
    put_file(&tree, "file", "");
    cr_assert(!stat_cache_open(blocked, &binding, &cache, &fresh, &err));
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

/* --- with a walk --- */

/* Walks with the cache as a run does, and counts hits; stages every entry as a bare one. */
static unsigned walk_staging(const struct tree *tree, struct stat_cache *cache, uint64_t when_ns)
{
    const char *paths[] = {tree->path};
    const struct walk_options options = {.paths = paths, .path_count = 1, .cache = cache, .now_ns = when_ns};
    AUTO(walk) struct walk *walk = NULL;
    struct stat_cache_record *records[64];
    struct walk_entry entry;
    enum walk_event event;
    struct err note, err;
    unsigned hits = 0;
    cr_assert(walk_new(&options, &walk, &err), "%s", err.text);
    records[0] = stat_cache_record_new(cache, span_of(NULL, 0));
    do {
        cr_assert(walk_next(walk, &event, &entry, &note, &err), "%s", err.text);
        if (event == WALK_ENTRY) {
            AUTO(buf) struct buf encoded = {0};
            const struct entry bare = {.type = entry.type,
                                       .depth = entry.depth,
                                       .name = entry.name,
                                       .target = entry.type == ENTRY_SYMLINK ? span_str("x") : entry.target};
            cr_assert(entry_encode(&bare, &encoded, &err), "%s", err.text);
            if (entry.cached.len > 0) {
                cr_assert(span_eq(entry.cached, buf_span(&encoded)));
                if (path_within(entry.path, span_str(tree->path + 1))) hits++;
            }
            if (entry.cacheable)
                cr_assert(stat_cache_record_add(records[entry.depth - 1], entry.name, &entry.key,
                                                buf_span(&encoded), &err));
            if (entry.type == ENTRY_DIRECTORY)
                records[entry.depth] = stat_cache_record_new(cache, entry.path);
        }
        if (event == WALK_LEAVE) {
            unsigned depth = path_depth(entry.path);
            cr_assert(stat_cache_record_end(records[depth], &err), "%s", err.text);
            stat_cache_record_free(records[depth]);
        }
    } while (event != WALK_END);
    apply(cache);
    return hits;
}

/* Six entries of the tree, and the directories that lead to it. */
static void make_walked(const struct tree *tree)
{
    put_dir(tree, "t");
    put_file(tree, "t/a", "");
    put_hard_link(tree, "t/b", "t/a");
    put_dir(tree, "t/d");
    put_file(tree, "t/d/x", "");
    put_symlink(tree, "t/l", "x");
}

static uint64_t later(void)
{
    return now_ns() + 3000000000u;
}

Test(stat_cache, a_second_walk_knows_everything_but_hard_links)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(tree) struct tree state = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&state, true);
    make_walked(&tree);
    unsigned first = walk_staging(&tree, cache, later());
    cr_assert_eq(first, 0);
    unsigned second = walk_staging(&tree, cache, later());
    /* the tree, t, a, d, x, l */
    cr_assert_eq(second, 6);
}

Test(stat_cache, an_entry_younger_than_two_seconds_is_not_trusted)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(tree) struct tree state = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&state, true);
    make_walked(&tree);
    struct stat st;
    cr_assert_eq(fstatat(tree.fd, "t/l", &st, AT_SYMLINK_NOFOLLOW), 0);
    uint64_t changed = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
    AUTO(free) char *link = tree_path(&tree, "t/l");
    const char *paths[] = {link};
    for (unsigned young = 0; young < 2; young++) {
        const struct walk_options options = {
            .paths = paths, .path_count = 1, .now_ns = changed + 2000000000u - young};
        AUTO(walk) struct walk *walk = NULL;
        struct walk_entry entry;
        enum walk_event event;
        struct err note, err;
        cr_assert(walk_new(&options, &walk, &err), "%s", err.text);
        do {
            cr_assert(walk_next(walk, &event, &entry, &note, &err), "%s", err.text);
            if (event == WALK_ENTRY && entry.type == ENTRY_SYMLINK) cr_assert_eq(entry.cacheable, young == 0);
        } while (event != WALK_END);
    }
    cr_assert_eq(walk_staging(&tree, cache, changed), 0);
    unsigned known = walk_staging(&tree, cache, later());
    cr_assert_lt(known, 6, "%u", known);
}

Test(stat_cache, a_changed_entry_is_a_miss_and_the_others_are_hits)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(tree) struct tree state = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&state, true);
    make_walked(&tree);
    (void)walk_staging(&tree, cache, later());
    unsigned all = walk_staging(&tree, cache, later());
    cr_assert_eq(fchmodat(tree.fd, "t/d/x", 0600, 0), 0); /* ctime alone */
    cr_assert_eq(walk_staging(&tree, cache, later()), all - 1);
    cr_assert_eq(walk_staging(&tree, cache, later()), all);
    put_file(&tree, "t/d/x", "longer"); /* size, mtime, ctime */
    cr_assert_eq(walk_staging(&tree, cache, later()), all - 1);
    put_file(&tree, "t/d/y", ""); /* a new one, and its directory */
    cr_assert_eq(walk_staging(&tree, cache, later()), all - 1);
    cr_assert_eq(walk_staging(&tree, cache, later()), all + 1);
}

static uint64_t ctime_of(const struct tree *tree, const char *name)
{
    struct stat st;
    cr_assert_eq(fstatat(tree->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    return (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
}

Test(stat_cache, a_directory_too_young_to_be_trusted_does_not_cost_what_is_below)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(tree) struct tree state = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&state, true);
    make_walked(&tree);
    (void)walk_staging(&tree, cache, later());
    unsigned all = walk_staging(&tree, cache, later());
    do {
        cr_assert_eq(fchmodat(tree.fd, "t", 0700, 0), 0);
    } while (ctime_of(&tree, "t") <= ctime_of(&tree, "t/l"));
    uint64_t when = ctime_of(&tree, "t") + 1999999999u;
    cr_assert_eq(walk_staging(&tree, cache, when), all - 1);
    cr_assert_eq(walk_staging(&tree, cache, when), all - 1, "t alone is missing");
    cr_assert(has_record(cache, tree.path + 1), "and is there when it is old enough");
    cr_assert_eq(walk_staging(&tree, cache, later()), all - 1);
    cr_assert_eq(walk_staging(&tree, cache, later()), all);
}

/* Two names of a file, of which its stat says nothing new when a directory above one is renamed: what
 * was the file becomes the link, and the other way round. */
static void expect_no_hits(const char *renamed, const char *to)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(tree) struct tree state = tree_make();
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&state, true);
    put_dir(&tree, "b");
    put_file(&tree, "b/x", "");
    put_dir(&tree, "d");
    put_hard_link(&tree, "d/x", "b/x");
    (void)walk_staging(&tree, cache, later());
    cr_assert_eq(renameat(tree.fd, renamed, tree.fd, to), 0);
    const char *paths[] = {tree.path};
    const struct walk_options options = {.paths = paths, .path_count = 1, .cache = cache, .now_ns = later()};
    AUTO(walk) struct walk *walk = NULL;
    struct walk_entry entry;
    enum walk_event event;
    struct err note, err;
    unsigned met = 0;
    cr_assert(walk_new(&options, &walk, &err), "%s", err.text);
    do {
        cr_assert(walk_next(walk, &event, &entry, &note, &err), "%s", err.text);
        if (event != WALK_ENTRY || !span_eq(entry.name, span_str("x"))) continue;
        cr_assert_eq(entry.type, met == 0 ? ENTRY_FILE : ENTRY_HARD_LINK);
        cr_assert_eq(entry.cached.len, 0);
        met++;
    } while (event != WALK_END);
    cr_assert_eq(met, 2);
}

Test(stat_cache, a_name_that_becomes_the_first_of_its_file_is_no_hit)
{
    expect_no_hits("b", "e");
}

Test(stat_cache, a_name_that_was_the_first_of_its_file_is_no_hit)
{
    expect_no_hits("d", "a");
}
