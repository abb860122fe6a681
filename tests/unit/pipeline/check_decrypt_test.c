#include "transporter/pipeline/check_decrypt.h"

#include "common/base/clock.h"
#include "restore_rig.h"
#include "spoiling_inlet.h"

#include <criterion/criterion.h>
#include <string.h>

struct checking {
    struct checked_set *set;
    struct check_decrypt_result result;
    size_t count;
    struct err last;
};

static void note(void *arg, const struct err *what)
{
    struct checking *checking = arg;
    checking->count++;
    checking->last = *what;
}

static void check_point(struct restore_rig *rig, struct checking *checking)
{
    struct inlet inlet = restore_rig_inlet(rig);
    struct check_decrypt_sink sink = {.finding = note, .arg = checking};
    cr_assert(check_decrypt_point(rig->opener, &inlet, &rig->root, CHECK_DECRYPT_ALL, 2, checking->set, &sink,
                                  &checking->result, &rig->err),
              "%s", rig->err.text);
}

static struct restore_rig *make(void)
{
    struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    tree_many(&rig->tree, 6, 200, 3000);
    tree_file(&rig->tree, "large", 7, 9 << 20);
    restore_rig_back_up(rig);
    return rig;
}

Test(check_decrypt, of_a_sound_point_opens_everything_once)
{
    AUTO(restore_rig) struct restore_rig *rig = make();
    AUTO(checked_set) struct checked_set *set = checked_set_new();
    struct checking checking = {.set = set};
    struct repository_info info;
    repository_info(rig->site->repository, &info);
    check_point(rig, &checking);
    cr_assert_eq(checking.count, 0, "%s", checking.last.text);
    cr_assert_eq(checking.result.nodes + checking.result.chunks, info.chunks);
    uint64_t bytes = checking.result.bytes;
    check_point(rig, &checking);
    cr_assert_eq(checking.result.bytes, bytes, "a second point that shares all costs nothing");
}

Test(check_decrypt, finds_a_chunk_that_does_not_open_for_each_point)
{
    static const bool missing[] = {false, true};
    for (size_t i = 0; i < 2; i++) {
        AUTO(restore_rig) struct restore_rig *rig = make();
        AUTO(checked_set) struct checked_set *set = checked_set_new();
        struct checking checking = {.set = set};
        *(missing[i] ? &rig->faulty.missing : &rig->faulty.spoilt) = restore_rig_chunk_of(rig, "large");
        check_point(rig, &checking);
        cr_assert_eq(checking.count, 1);
        cr_assert_eq(checking.last.code, ERR_DAMAGED, "%s", checking.last.text);
        cr_assert_eq(checking.result.findings, 1);
        check_point(rig, &checking);
        cr_assert_eq(checking.count, 2, "it is told for a second point that shares it");
    }
}

Test(check_decrypt, names_each_planted_copy_and_goes_on_with_the_true_one)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    tree_file(&rig->tree, "large", 7, 9 << 20);
    restore_rig_back_up(rig);
    struct repository_info info;
    repository_info(rig->site->repository, &info);
    (void)restore_rig_plant_before(rig, "large", 2);
    AUTO(checked_set) struct checked_set *set = checked_set_new();
    struct checking checking = {.set = set};
    check_point(rig, &checking);
    cr_assert_eq(checking.count, 2, "%zu", checking.count);
    cr_assert_eq(checking.result.findings, 2);
    cr_assert_eq(checking.result.nodes + checking.result.chunks, info.chunks,
                 "the chunk is opened all the same");
}

/* The root node again, sealed by the same run, with a clear list of its own. */
static void seal_root(struct restore_rig *rig, const struct hash *nodes, size_t node_count)
{
    AUTO(opener_thread) struct opener_thread *thread = NULL;
    AUTO(frame_sealer) struct frame_sealer *sealer = NULL;
    AUTO(buf) struct buf plain = {0};
    struct err *err = &rig->err;
    cr_assert(opener_thread_new(rig->opener, &thread, err));
    cr_assert(opener_root(thread, &rig->faulty.inner, &rig->root, &plain, err), "%s", err->text);
    cr_assert(frame_sealer_new(rig->site->keys.run, cipher_default(), PADDING_NONE, &sealer, err), "%s",
              err->text);
    struct frame_input input = {.type = FRAME_NODE,
                                .chunk = rig->root,
                                .raw_len = (uint32_t)plain.len,
                                .stored = buf_span(&plain),
                                .nodes = nodes,
                                .node_count = node_count};
    rig->faulty.replaced = rig->root;
    buf_clear(&rig->faulty.replacement);
    uint8_t *out = buf_grow(&rig->faulty.replacement, frame_sealed_len(sealer, &input));
    cr_assert(frame_seal(sealer, &input, out, err), "%s", err->text);
}

Test(check_decrypt, finds_a_clear_list_that_lies)
{
    AUTO(restore_rig) struct restore_rig *rig = make();
    AUTO(checked_set) struct checked_set *set = checked_set_new();
    AUTO(buf) struct buf frame = {0};
    struct frame_view view;
    restore_rig_frame(rig, &rig->root, &frame);
    cr_assert(frame_parse(buf_span(&frame), &view, &rig->err));
    cr_assert_eq(view.node_ids, 1);
    struct hash truth, lie = {{9}};
    memcpy(truth.bytes, view.clear_nodes, HASH_LEN);
    seal_root(rig, &truth, 1);
    struct checking sound = {.set = set};
    check_point(rig, &sound);
    cr_assert_eq(sound.count, 0, "%s", sound.last.text);

    AUTO(checked_set) struct checked_set *fresh = checked_set_new();
    struct checking lying = {.set = fresh}, empty = {.set = fresh};
    seal_root(rig, &lie, 1);
    check_point(rig, &lying);
    cr_assert_eq(lying.count, 1);
    cr_assert_not_null(strstr(lying.last.text, "clear list"), "%s", lying.last.text);
    seal_root(rig, NULL, 0);
    check_point(rig, &empty);
    cr_assert_eq(empty.count, 1);
}

Test(check_decrypt, ends_when_a_fetch_fails_or_tells_nothing)
{
    for (size_t i = 0; i < 8; i++) {
        AUTO(restore_rig) struct restore_rig *rig = make();
        AUTO(checked_set) struct checked_set *set = checked_set_new();
        struct checking checking = {.set = set};
        struct inlet inlet = restore_rig_inlet(rig);
        struct check_decrypt_sink sink = {.finding = note, .arg = &checking};
        *(i % 2 ? &rig->faulty.fail_at : &rig->faulty.tell_nothing_at) = i / 2 + 1;
        cr_assert_not(check_decrypt_point(rig->opener, &inlet, &rig->root, CHECK_DECRYPT_ALL, 2, set, &sink,
                                          &checking.result, &rig->err));
        cr_assert_eq(rig->err.code, i % 2 ? ERR_UNREACHABLE : ERR_PROTOCOL, "%s", rig->err.text);
    }
}

static void note_text(void *arg, const struct err *what)
{
    buf_printf(arg, "%s\n", what->text);
}

Test(check_decrypt, tells_the_same_in_the_same_order_whatever_opens_first, .timeout = 120)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    tree_file(&rig->tree, "large", 7, 300 << 20); /* several batches */
    restore_rig_back_up(rig);
    AUTO(buf) struct buf first = {0};
    for (unsigned i = 1; i <= 3; i++) {
        AUTO(checked_set) struct checked_set *set = checked_set_new();
        AUTO(buf) struct buf text = {0};
        struct spoiling_inlet spoiling = {.inner = rig->faulty.inner, .fetches = i};
        struct inlet inlet = spoiling_inlet_inlet(&spoiling);
        struct check_decrypt_sink sink = {.finding = note_text, .arg = &text};
        struct check_decrypt_result result = {0};
        cr_assert(check_decrypt_point(rig->opener, &inlet, &rig->root, CHECK_DECRYPT_ALL, i, set, &sink,
                                      &result, &rig->err),
                  "%s", rig->err.text);
        cr_assert_gt(result.findings, 10);
        if (i == 1) buf_put_span(&first, buf_span(&text));
        cr_assert(span_eq(buf_span(&first), buf_span(&text)), "%u threads", i);
    }
}

Test(check_decrypt, takes_frames_no_faster_than_it_may)
{
    AUTO(restore_rig) struct restore_rig *rig = make();
    AUTO(checked_set) struct checked_set *set = checked_set_new();
    struct repository_info info;
    repository_info(rig->site->repository, &info);
    struct inlet inlet = restore_rig_inlet(rig);
    struct checking checking = {.set = set};
    struct pace pace;
    uint64_t before_ms = clock_steady_ms(); /* the pace counts from when it is made */
    pace_init(&pace, info.pack_bytes * 5, NULL);
    struct check_decrypt_sink sink = {.finding = note, .arg = &checking, .pace = &pace};
    cr_assert(check_decrypt_point(rig->opener, &inlet, &rig->root, CHECK_DECRYPT_ALL, 2, set, &sink,
                                  &checking.result, &rig->err),
              "%s", rig->err.text);
    cr_assert_geq(clock_steady_ms() - before_ms, 150, "a fifth of a second for all");
}
