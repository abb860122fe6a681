/* What a restore makes of chunks that are gone, spoilt or planted. */
#include "restore_rig.h"
#include "zoo.h"

#include <criterion/criterion.h>
#include <string.h>

Test(restore_damage, of_a_chunk_loses_its_files_only_and_names_them)
{
    static const bool missing[] = {false, true};
    for (size_t i = 0; i < 2; i++) {
        AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
        make_zoo(&rig->tree);
        restore_rig_back_up(rig);
        struct hash id = restore_rig_chunk_of(rig, "full/large");
        *(missing[i] ? &rig->faulty.missing : &rig->faulty.spoilt) = id;
        cr_assert_not(restore_rig_try(rig, OVERWRITE_NEVER));
        cr_assert_eq(rig->err.code, ERR_DAMAGED, "%s", rig->err.text);
        cr_assert_not_null(strstr(rig->err.text, "full/large"), "%s", rig->err.text);
        cr_assert_eq(rig->result.failed, 1);
        cr_assert_str_eq(rig->warned_path, tree_name(&rig->tree, "full/large"));
        for (size_t k = 0; k < ZOO; k++) {
            if (strcmp(zoo[k], "full/large") == 0)
                cr_assert_not(restore_rig_exists(rig, zoo[k]), "no part of it is left");
            else
                restore_rig_assert_same(rig, zoo[k]);
        }
    }
}

static bool third_leaf(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    struct hash *list = arg;
    if (hash_is_zero(&list[0]) || hash_is_zero(&list[1]))
        list[hash_is_zero(&list[0]) ? 0 : 1] = *content;
    else if (hash_is_zero(&list[2]))
        list[2] = *content;
    return true;
}

/* The third leaf below the root's one tree node. */
static struct hash find_leaf(struct restore_rig *rig)
{
    AUTO(opener_thread) struct opener_thread *thread = NULL;
    AUTO(buf) struct buf node = {0};
    struct manifest_root root;
    struct hash leaves[3] = {{{0}}};
    enum node_kind kind;
    struct err *err = &rig->err;
    cr_assert(opener_thread_new(rig->opener, &thread, err));
    cr_assert(opener_root(thread, &rig->faulty.inner, &rig->root, &node, err), "%s", err->text);
    cr_assert(node_root_decode(buf_span(&node), &root, err), "%s", err->text);
    struct hash top = opener_chunk_id(rig->opener, FRAME_NODE, &root.top);
    cr_assert(opener_root(thread, &rig->faulty.inner, &top, &node, err), "%s", err->text);
    cr_assert(node_children(buf_span(&node), &kind, third_leaf, leaves, err), "%s", err->text);
    cr_assert(kind == NODE_TREE && !hash_is_zero(&leaves[2]));
    return opener_chunk_id(rig->opener, FRAME_NODE, &leaves[2]);
}

Test(restore_damage, of_the_list_of_files_keeps_what_came_before)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    tree_many(&rig->tree, 10, 300, 300);
    restore_rig_back_up(rig);
    rig->faulty.spoilt = find_leaf(rig);
    cr_assert_not(restore_rig_try(rig, OVERWRITE_NEVER));
    cr_assert_eq(rig->err.code, ERR_DAMAGED, "%s", rig->err.text);
    cr_assert_not_null(strstr(rig->err.text, "what follows there was not restored"), "%s", rig->err.text);
    restore_rig_assert_same(rig, "dir000/file0042");
    cr_assert_gt(rig->result.files, 100);
    restore_rig_choose(rig, "dir009");
    restore_rig_run(rig, OVERWRITE_CHANGED); /* behind the damage, by its name */
    restore_rig_assert_same(rig, "dir009/file0299");
}

static struct hash top_node(struct restore_rig *rig)
{
    AUTO(opener_thread) struct opener_thread *thread = NULL;
    AUTO(buf) struct buf node = {0};
    struct manifest_root root;
    cr_assert(opener_thread_new(rig->opener, &thread, &rig->err));
    cr_assert(opener_root(thread, &rig->faulty.inner, &rig->root, &node, &rig->err), "%s", rig->err.text);
    cr_assert(node_root_decode(buf_span(&node), &root, &rig->err), "%s", rig->err.text);
    return opener_chunk_id(rig->opener, FRAME_NODE, &root.top);
}

/* One large file, cut the same way each time, in a repository whose first packs hold `copies` frames under
 * the id of its first chunk. */
static void back_up_among_planted_copies(struct restore_rig *rig, const char *path, unsigned copies)
{
    tree_file(&rig->tree, path, 4, 9 << 20);
    restore_rig_back_up(rig);
    (void)restore_rig_plant_before(rig, path, copies);
}

Test(restore_damage, a_copy_that_somebody_planted_takes_no_file_away)
{
    static const unsigned copies[] = {1, 3, 15};
    for (size_t i = 0; i < 3; i++) {
        AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
        back_up_among_planted_copies(rig, "large", copies[i]);
        rig->options.threads = i == 0 ? 1 : 2;
        rig->faulty.at_once = (unsigned)i;
        restore_rig_run(rig, OVERWRITE_NEVER);
        restore_rig_assert_same(rig, "large");
        cr_assert_eq(rig->result.failed, 0);
        cr_assert_eq(rig->warning_count, 1);
        cr_assert_str_eq(rig->warned_path, tree_name(&rig->tree, "large"));
        cr_assert_not_null(strstr(rig->warned.text, "a bad copy of chunk"), "%s", rig->warned.text);
    }
}

Test(restore_damage, a_bad_copy_of_a_node_takes_no_file_away)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    tree_many(&rig->tree, 10, 300, 300);
    restore_rig_back_up(rig);
    const struct hash nodes[] = {rig->root, top_node(rig), find_leaf(rig)};
    for (size_t i = 0; i < 3; i++) {
        rig->faulty.planted = nodes[i];
        restore_rig_run(rig, OVERWRITE_ALWAYS);
        restore_rig_assert_same(rig, "dir009/file0299");
        cr_assert_eq(rig->result.failed, 0);
    }
}

Test(restore_damage, a_chunk_without_any_copy_that_opens_is_damage)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    struct hash id = restore_rig_chunk_of(rig, "full/large");
    for (unsigned i = 0; i < 20; i++)
        restore_rig_plant(rig, FRAME_DATA, &id);
    rig->faulty.spoilt = id;
    cr_assert_not(restore_rig_try(rig, OVERWRITE_NEVER));
    cr_assert_eq(rig->err.code, ERR_DAMAGED, "%s", rig->err.text);
    cr_assert_eq(rig->result.failed, 1);
    cr_assert_eq(rig->warning_count, 1);
    cr_assert_not(restore_rig_exists(rig, "full/large"));
    restore_rig_assert_same(rig, "full/middle");
}

/* What a repository side without a key could learn by it: see conversation/a_peer_is_told_no_names. */
Test(restore_damage, of_a_plain_frame_for_a_sealed_one_loses_the_file_by_an_error_of_its_own)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    AUTO(frame_sealer) struct frame_sealer *sealer = NULL;
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    struct frame_input input = {.type = FRAME_DATA,
                                .chunk = restore_rig_chunk_of(rig, "full/middle"),
                                .raw_len = 7,
                                .stored = span_str("planted")};
    cr_assert(frame_sealer_new(NULL, CIPHER_NONE, PADDING_NONE, &sealer, &rig->err), "%s", rig->err.text);
    rig->faulty.replaced = input.chunk;
    uint8_t *out = buf_grow(&rig->faulty.replacement, frame_sealed_len(sealer, &input));
    cr_assert(frame_seal(sealer, &input, out, &rig->err), "%s", rig->err.text);
    cr_assert_not(restore_rig_try(rig, OVERWRITE_NEVER));
    cr_assert_eq(rig->err.code, ERR_NOT_AUTHENTIC, "%s", rig->err.text);
    cr_assert_not_null(strstr(rig->err.text, "'/"), "%s", rig->err.text);
    cr_assert_not_null(strstr(rig->err.text, "/full/middle'"), "%s", rig->err.text);
    cr_assert_not(restore_rig_exists(rig, "full/middle"));
}

Test(restore_damage, ends_when_the_fetch_of_another_copy_fails)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    back_up_among_planted_copies(rig, "large", 3);
    restore_rig_run(rig, OVERWRITE_NEVER);
    size_t count = rig->faulty.fetches;
    for (size_t at = 1; at <= count; at++) {
        for (int silent = 0; silent < 2; silent++) {
            rig->faulty.fetches = 0;
            rig->faulty.cancelled = false;
            *(silent ? &rig->faulty.tell_nothing_at : &rig->faulty.fail_at) = at;
            cr_assert_not(restore_rig_try(rig, OVERWRITE_ALWAYS), "fetch %zu", at);
            cr_assert_eq(rig->err.code, silent ? ERR_DAMAGED : ERR_UNREACHABLE, "fetch %zu: %s", at,
                         rig->err.text);
            rig->faulty.tell_nothing_at = rig->faulty.fail_at = 0;
        }
    }
}
