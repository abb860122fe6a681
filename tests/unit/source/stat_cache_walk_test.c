/* The stat cache as a walk uses it. */
#include "cache.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

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

Test(stat_cache_walk, a_second_walk_knows_everything_but_hard_links)
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

Test(stat_cache_walk, an_entry_younger_than_two_seconds_is_not_trusted)
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

Test(stat_cache_walk, a_changed_entry_is_a_miss_and_the_others_are_hits)
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

Test(stat_cache_walk, a_directory_too_young_to_be_trusted_does_not_cost_what_is_below)
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

Test(stat_cache_walk, a_name_that_becomes_the_first_of_its_file_is_no_hit)
{
    expect_no_hits("b", "e");
}

Test(stat_cache_walk, a_name_that_was_the_first_of_its_file_is_no_hit)
{
    expect_no_hits("d", "a");
}
