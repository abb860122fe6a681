#include "restore_rig.h"

#include <criterion/criterion.h>
#include <string.h>

enum { MB = 1024 * 1024 };

struct sink {
    struct restore_rig *rig;
    struct buf bytes;
    size_t fails_after; /* bytes; 0: never */
    bool once_blocked;  /* only when a fetch is blocked */
};

static bool collect(void *arg, struct span bytes, struct err *err)
{
    struct sink *sink = arg;
    buf_put_span(&sink->bytes, bytes);
    if (sink->fails_after == 0 || sink->bytes.len < sink->fails_after) return true;
    if (sink->once_blocked) restore_rig_await_blocked(sink->rig);
    return err_set(err, ERR_LIMIT, "no more room");
}

static bool cat(struct restore_rig *rig, const char *name, struct sink *sink)
{
    struct inlet inlet = restore_rig_inlet(rig);
    struct span path = span_str(tree_name(&rig->tree, name));
    rig->err = (struct err){0};
    rig->faulty.fetches = rig->faulty.ids = 0;
    rig->faulty.cancelled = rig->faulty.blocked = false;
    sink->rig = rig;
    buf_clear(&sink->bytes);
    return restore_cat(rig->opener, &inlet, &rig->root, path, collect, sink, &rig->err);
}

/* Several windows of chunks, some of them twice, and holes. */
static struct restore_rig *large_rig(void)
{
    struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    tree_write(&rig->tree, "large", 3 * MB, 1, 20 * MB);
    tree_write(&rig->tree, "large", 30 * MB, 1, 20 * MB);
    tree_write(&rig->tree, "large", 60 * MB, 2, 10);
    tree_truncate(&rig->tree, "large", 62 * MB);
    tree_write(&rig->tree, "small", 0, 3, 10);
    restore_rig_back_up(rig);
    return rig;
}

static void assert_same(const struct restore_rig *rig, const char *name, const struct sink *sink)
{
    struct hash one = hash_of(buf_span(&sink->bytes)), other = tree_hash(&rig->tree, name);
    cr_assert(hash_eq(&one, &other), "%zu bytes", sink->bytes.len);
}

Test(restore_cat, many_windows_come_in_order)
{
    AUTO(restore_rig) struct restore_rig *rig = large_rig();
    for (unsigned at_once = 0; at_once <= 4; at_once++) {
        struct sink sink = {0};
        rig->faulty.at_once = at_once;
        cr_assert(cat(rig, "large", &sink), "%s", rig->err.text);
        assert_same(rig, "large", &sink);
        cr_assert_leq(rig->faulty.fetches, 12, "%zu fetches, not one a chunk", rig->faulty.fetches);
        buf_deinit(&sink.bytes);
    }
}

Test(restore_cat, any_fetch_that_fails_ends_it)
{
    AUTO(restore_rig) struct restore_rig *rig = large_rig();
    struct sink sink = {0};
    rig->faulty.at_once = 2;
    cr_assert(cat(rig, "large", &sink));
    size_t count = rig->faulty.fetches;
    for (size_t at = 1; at <= count; at++) {
        rig->faulty.fail_at = at;
        cr_assert_not(cat(rig, "large", &sink));
        cr_assert_eq(rig->err.code, ERR_UNREACHABLE, "%zu: %s", at, rig->err.text);
        rig->faulty.fail_at = 0;
        rig->faulty.tell_nothing_at = at;
        cr_assert_not(cat(rig, "large", &sink));
        cr_assert_eq(rig->err.code, ERR_DAMAGED, "%zu: %s", at, rig->err.text);
        rig->faulty.tell_nothing_at = 0;
    }
    buf_deinit(&sink.bytes);
}

Test(restore_cat, what_comes_before_the_damage_is_written)
{
    AUTO(restore_rig) struct restore_rig *rig = large_rig();
    struct sink sink = {0};
    struct hash first = restore_rig_chunk_of(rig, "large");
    rig->faulty.spoilt = first;
    cr_assert_not(cat(rig, "large", &sink));
    cr_assert_eq(rig->err.code, ERR_DAMAGED, "%s", rig->err.text);
    cr_assert_eq(sink.bytes.len, 3 * MB, "the hole before it: %zu", sink.bytes.len);
    rig->faulty.spoilt = (struct hash){{0}};
    rig->faulty.missing = first;
    cr_assert_not(cat(rig, "large", &sink));
    cr_assert_eq(rig->err.code, ERR_DAMAGED, "%s", rig->err.text);
    cr_assert_eq(sink.bytes.len, 3 * MB);
    buf_deinit(&sink.bytes);
}

Test(restore_cat, takes_another_copy_for_one_that_was_planted)
{
    AUTO(restore_rig) struct restore_rig *rig = large_rig();
    struct sink sink = {0};
    (void)restore_rig_plant_before(rig, "large", 2);
    cr_assert(cat(rig, "large", &sink), "%s", rig->err.text);
    assert_same(rig, "large", &sink);
    buf_deinit(&sink.bytes);
}

Test(restore_cat, a_reader_that_is_gone_ends_what_is_fetched_ahead)
{
    AUTO(restore_rig) struct restore_rig *rig = large_rig();
    struct sink sink = {.fails_after = 1};
    cr_assert_not(cat(rig, "large", &sink));
    cr_assert_eq(rig->err.code, ERR_LIMIT, "%s", rig->err.text);
    cr_assert(rig->faulty.cancelled);
    rig->faulty.at_once = 2;
    sink.fails_after = 0;
    cr_assert(cat(rig, "small", &sink));
    rig->faulty.at_once = 1; /* of two at once the second window may be asked for first */
    rig->faulty.block_at = rig->faulty.fetches + 1; /* the second window */
    sink.fails_after = 4 * MB;                      /* data of the first one */
    sink.once_blocked = true;
    cr_assert_not(cat(rig, "large", &sink));
    cr_assert_eq(rig->err.code, ERR_LIMIT, "%s", rig->err.text);
    buf_deinit(&sink.bytes);
}
