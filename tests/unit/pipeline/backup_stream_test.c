#include "rig.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>

enum { SIZE = (9 << 20) + 12345 };

/* A content that looks random, given out in steps of at most `step` bytes. */
struct giver {
    size_t size, step, given;
    size_t fail_at;   /* reading fails there; 0: it does not */
    bool fails_after; /* all is read, then the command turns out to have failed */
    bool waits;       /* at the end until it is stopped */
    struct hasher hasher;
};

static bool give(void *arg, const _Atomic bool *stopped, uint8_t *out, size_t room, size_t *got,
                 struct err *err)
{
    struct giver *giver = arg;
    size_t left = giver->size - giver->given;
    size_t len = room < giver->step ? room : giver->step;
    while (giver->waits && left == 0 && !*stopped)
        sched_yield();
    if (*stopped) return err_set(err, ERR_CANCELLED, "stopped");
    if (giver->fail_at > 0 && giver->given >= giver->fail_at)
        return err_set(err, ERR_FAILED, "the command failed");
    if (len > left) len = left;
    for (size_t i = 0; i < len; i++) {
        uint64_t at = (giver->given + i) / 8 * UINT64_C(0x9e3779b97f4a7c15);
        at ^= at >> 29;
        at *= UINT64_C(0xbf58476d1ce4e5b9);
        out[i] = (uint8_t)(at >> (8 * ((giver->given + i) % 8)));
    }
    hasher_add(&giver->hasher, out, len);
    giver->given += len;
    *got = len;
    return true;
}

static bool end(void *arg, const _Atomic bool *stopped, struct err *err)
{
    const struct giver *giver = arg;
    return !giver->fails_after || err_set(err, ERR_FAILED, "the command failed");
}

static bool back_up(struct rig *rig, struct giver *giver)
{
    giver->given = 0;
    hasher_init(&giver->hasher);
    rig->stream = (struct stream_source){.name = "db", .read = give, .finish = end, .arg = giver};
    return rig_try(rig);
}

static void assert_backed_up(struct rig *rig, struct giver *giver)
{
    cr_assert(back_up(rig, giver), "%s", rig->err.text);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    struct hash wanted = hasher_result(&giver->hasher);
    cr_assert_eq(view->count, 1);
    cr_assert_eq(view->root.kind, OBJECT_STREAM);
    const struct view_entry *entry = view_find(view, "db");
    cr_assert_not_null(entry);
    cr_assert_eq(entry->type, ENTRY_FILE);
    cr_assert_eq(entry->size, giver->size);
    cr_assert(hash_eq(&entry->file_hash, &wanted) && hash_eq(&entry->content, &wanted));
    cr_assert_eq(rig->result.counts.content_bytes, giver->size);
    cr_assert_eq(rig->result.counts.entries, 1);
    cr_assert_eq(rig->result.read_bytes, giver->size);
}

Test(backup_stream, a_content_of_unknown_length_comes_back)
{
    static const size_t sizes[] = {0, 1, 255 * 1024, 4 << 20, SIZE};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        AUTO(rig) struct rig *rig = rig_make();
        struct giver giver = {.size = sizes[i], .step = SIZE};
        assert_backed_up(rig, &giver);
        AUTO(point) struct point *point = NULL;
        cr_assert(point_decode(buf_span(&rig->fake.point_file), &point, &rig->err), "%s", rig->err.text);
        cr_assert_eq(point->object, OBJECT_STREAM);
    }
}

Test(backup_stream, the_second_run_sends_no_data_however_the_bytes_arrive)
{
    AUTO(rig) struct rig *rig = rig_make();
    struct giver giver = {.size = SIZE, .step = SIZE};
    assert_backed_up(rig, &giver);
    cr_assert_gt(fake_outlet_count(&rig->fake, FRAME_DATA), 2);
    fake_outlet_next_run(&rig->fake);
    giver.step = 4093;
    assert_backed_up(rig, &giver);
    cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 0);
    cr_assert_eq(rig->result.deduplicated_bytes, SIZE);
}

Test(backup_stream, that_the_target_seals_says_what_it_is)
{
    AUTO(rig) struct rig *rig = rig_make();
    fake_outlet_deinit(&rig->fake);
    fake_outlet_init(&rig->fake, SEAL_THERE);
    rig->sealing = keys_raw(fake_outlet_outlet(&rig->fake));
    struct giver giver = {.size = SIZE, .step = SIZE};
    cr_assert(back_up(rig, &giver), "%s", rig->err.text);
    cr_assert_eq(rig->fake.committed.object, OBJECT_STREAM);
}

Test(backup_stream, whose_source_fails_is_not_committed)
{
    const struct giver givers[] = {
        {.size = SIZE, .step = 65536, .fail_at = 1},
        {.size = SIZE, .step = 65536, .fail_at = 5 << 20},
        {.size = SIZE, .step = 65536, .fails_after = true},
        {.size = 0, .step = 1, .fails_after = true},
    };
    for (size_t i = 0; i < sizeof(givers) / sizeof(givers[0]); i++) {
        AUTO(rig) struct rig *rig = rig_make();
        struct giver giver = givers[i];
        cr_assert_not(back_up(rig, &giver));
        cr_assert_eq(rig->err.code, ERR_FAILED);
        cr_assert_str_eq(rig->err.text, "the command failed");
        cr_assert_eq(rig->fake.calls[FAKE_COMMIT], 0);
    }
}

Test(backup_stream, a_target_that_fails_stops_the_reading)
{
    AUTO(rig) struct rig *rig = rig_make();
    struct giver giver = {.size = SIZE, .step = SIZE, .waits = true};
    rig->fake.fail_at[FAKE_SEND] = 1;
    cr_assert_not(back_up(rig, &giver));
    cr_assert_neq(rig->err.code, ERR_CANCELLED, "%s", rig->err.text);
    cr_assert_eq(rig->fake.calls[FAKE_COMMIT], 0);
}

Test(backup_stream, a_cancel_stops_the_reading)
{
    AUTO(rig) struct rig *rig = rig_make();
    struct giver giver = {.size = SIZE, .step = SIZE, .waits = true};
    rig->cancelled = true;
    cr_assert_not(back_up(rig, &giver));
    cr_assert_eq(rig->err.code, ERR_CANCELLED);
    cr_assert_eq(rig->fake.calls[FAKE_COMMIT], 0);
}
