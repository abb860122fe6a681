#include "transporter/pipeline/reencrypt.h"

#include "restore_rig.h"
#include "transporter/pipeline/check_decrypt.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

/* A tree that was backed up, and a repository under another key that it is copied into. */
struct anew {
    struct restore_rig *rig;
    struct local_site *to;
    struct reencrypt *reencrypt;
    struct hash content; /* of the root */
    _Atomic uint64_t opened_bytes;
    _Atomic bool cancelled;
    struct err err;
    /* the outlet in between */
    struct outlet behind;
    size_t sends, fail_at;
    struct hash hidden; /* the other side claims to have it; zeros: nothing */
};

static bool pass_ask(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                     uint8_t *have, struct err *err)
{
    const struct anew *anew = self;
    if (!anew->behind.ops->ask(anew->behind.self, types, ids, count, have, err)) return false;
    for (size_t i = 0; i < count; i++)
        if (hash_eq(&ids[i], &anew->hidden)) have[i] = 1;
    return true;
}

static bool pass_envelope(void *self, struct span envelope, struct err *err)
{
    const struct anew *anew = self;
    return anew->behind.ops->envelope(anew->behind.self, envelope, err);
}

static bool pass_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    struct anew *anew = self;
    if (++anew->sends == anew->fail_at) return err_set(err, ERR_UNREACHABLE, "the other side is gone");
    return anew->behind.ops->send(anew->behind.self, number, batch, err);
}

static bool pass_commit(void *self, const struct commit_request *request, struct commit_receipt *receipt,
                        struct buf *missing, struct err *err)
{
    const struct anew *anew = self;
    return anew->behind.ops->commit(anew->behind.self, request, receipt, missing, err);
}

static void pass_cancel(void *self)
{
}

/* The next run, under a seal of its own. */
static void begin(struct anew *anew, uint8_t run)
{
    static const struct outlet_ops ops = {.ask = pass_ask,
                                          .envelope = pass_envelope,
                                          .send = pass_send,
                                          .commit = pass_commit,
                                          .cancel = pass_cancel};
    reencrypt_free(anew->reencrypt);
    anew->reencrypt = NULL;
    anew->behind = local_site_begin(anew->to, run);
    anew->sends = 0;
    anew->rig->faulty.fetches = 0;
    atomic_store(&anew->opened_bytes, 0);
    struct reencrypt_options options = {
        .sealing = keys_sealing(&anew->to->keys, (struct outlet){.ops = &ops, .self = anew}),
        .threads = 2,
        .opened_bytes = &anew->opened_bytes,
        .cancelled = &anew->cancelled,
    };
    cr_assert(reencrypt_new(&options, &anew->reencrypt, &anew->err), "%s", anew->err.text);
}

static bool seal(struct anew *anew, const struct buf *missing)
{
    struct reencrypt_from from = {
        .opener = anew->rig->opener, .inlet = restore_rig_inlet(anew->rig), .root = anew->rig->root};
    return reencrypt_point(anew->reencrypt, &from, missing, &anew->content, &anew->err);
}

static bool commit(struct anew *anew, struct buf *missing)
{
    const struct sealing *sealing = reencrypt_sealing(anew->reencrypt);
    struct backup_identity identity = keys_identity(&anew->to->keys);
    identity.point = id_random();
    struct point_draft draft = {.root = sealing_id(sealing, FRAME_NODE, &anew->content),
                                .object = anew->rig->image ? OBJECT_IMAGE : OBJECT_TREE};
    struct commit_receipt receipt;
    AUTO(buf) struct buf file = {0};
    cr_assert(point_encode(&identity, sealing, &draft, &file, &anew->err), "%s", anew->err.text);
    struct commit_request request = {
        .point = identity.point, .root = draft.root, .point_file = buf_span(&file)};
    return anew->behind.ops->commit(anew->behind.self, &request, &receipt, missing, &anew->err);
}

static void copy(struct anew *anew)
{
    AUTO(buf) struct buf missing = {0};
    cr_assert(seal(anew, NULL), "%s", anew->err.text);
    cr_assert(commit(anew, &missing), "%s", anew->err.text);
}

static void anew_end(struct anew *anew)
{
    reencrypt_free(anew->reencrypt);
    local_site_free(anew->to);
    restore_rig_free(anew->rig);
}
DEFINE_AUTO_IN_PLACE(anew, struct anew, anew_end)

static struct anew anew_of(struct restore_rig *rig)
{
    return (struct anew){.rig = rig, .to = local_site_make(REPOSITORY_ENCRYPTED)};
}

/* Holes, links, files that share chunks, and more directories and files than fit into one leaf. */
static struct restore_rig *all_sorts(enum repository_kind kind)
{
    struct restore_rig *rig = restore_rig_make(kind);
    char there[256], link_path[256];
    tree_many(&rig->tree, 40, 60, 3000);
    tree_file(&rig->tree, "large", 7, 9 << 20);
    tree_write(&rig->tree, "holes", 5 << 20, 3, 100000);
    tree_truncate(&rig->tree, "holes", 8 << 20);
    (void)snprintf(there, sizeof(there), "%s/large", rig->tree.path);
    (void)snprintf(link_path, sizeof(link_path), "%s/other-name", rig->tree.path);
    cr_assert_eq(link(there, link_path), 0);
    cr_assert_eq(symlinkat("large", rig->tree.fd, "symlink"), 0);
    tree_dir(&rig->tree, "empty");
    restore_rig_back_up(rig);
    return rig;
}

static void note(void *arg, const struct err *what)
{
    *(struct err *)arg = *what;
}

/* Every node and chunk opens with this key, to what its id and its node say, and every clear list is right.
 */
static void assert_whole(struct opener *opener, const struct inlet *inlet, const struct hash *root,
                         struct check_decrypt_result *out)
{
    struct err found = {0}, err = {0};
    struct check_decrypt_sink sink = {.finding = note, .arg = &found};
    AUTO(checked_set) struct checked_set *set = checked_set_new();
    cr_assert(check_decrypt_point(opener, inlet, root, CHECK_DECRYPT_ALL, 2, set, &sink, out, &err), "%s",
              err.text);
    cr_assert_eq(out->findings, 0, "%s", found.text);
}

/* What was copied is the same, node for node, under the new key and in its own domain. */
static void assert_copied(struct anew *anew)
{
    struct check_decrypt_result there = {0}, here = {0};
    struct hash domain = domain_id(anew->to->keys.write->dedup_key->data);
    struct hash root = sealing_id(reencrypt_sealing(anew->reencrypt), FRAME_NODE, &anew->content);
    AUTO(inlet_repository) struct inlet_repository *local = inlet_repository_new(anew->to->repository);
    inlet_repository_restrict(local, &domain);
    struct inlet inlet = inlet_repository_inlet(local), from = restore_rig_inlet(anew->rig);
    AUTO(opener) struct opener *opener = opener_new(anew->to->keys.read, KEYS_DOMAIN);
    assert_whole(anew->rig->opener, &from, &anew->rig->root, &there);
    assert_whole(opener, &inlet, &root, &here);
    cr_assert_eq(here.nodes, there.nodes);
    cr_assert_eq(here.chunks, there.chunks);
    cr_assert_eq(here.bytes, there.bytes);
    cr_assert_neq(memcmp(root.bytes, anew->rig->root.bytes, HASH_LEN), 0, "the id is of the new domain");
    cr_assert_not(local_site_holds(anew->to, &anew->rig->root), "nothing is under an old id");
}

Test(reencrypt, copies_a_tree_node_for_node_under_the_new_key)
{
    AUTO(anew) struct anew anew = anew_of(all_sorts(REPOSITORY_ENCRYPTED));
    begin(&anew, 1);
    copy(&anew);
    assert_copied(&anew);
}

Test(reencrypt, seals_what_lies_in_a_plaintext_repository)
{
    AUTO(anew) struct anew anew = anew_of(all_sorts(REPOSITORY_PLAINTEXT));
    begin(&anew, 1);
    copy(&anew);
    assert_copied(&anew);
}

Test(reencrypt, copies_an_image)
{
    AUTO(anew) struct anew anew = anew_of(restore_rig_make(REPOSITORY_ENCRYPTED));
    char path[256];
    tree_file(&anew.rig->tree, "disk", 5, 3 << 20);
    tree_write(&anew.rig->tree, "disk", 70 << 20, 6, 1 << 20);
    (void)snprintf(path, sizeof(path), "%s/disk", anew.rig->tree.path);
    anew.rig->image = path;
    restore_rig_back_up(anew.rig);
    begin(&anew, 1);
    copy(&anew);
    assert_copied(&anew);
}

Test(reencrypt, reads_and_sends_nothing_of_what_is_there)
{
    AUTO(anew) struct anew anew = anew_of(all_sorts(REPOSITORY_ENCRYPTED));
    begin(&anew, 1);
    copy(&anew);
    begin(&anew, 2);
    cr_assert(seal(&anew, NULL), "%s", anew.err.text);
    cr_assert_eq(anew.sends, 0);
    cr_assert_eq(anew.rig->faulty.fetches, 1, "of the root alone");
}

Test(reencrypt, reads_only_what_is_new_of_the_next_point)
{
    AUTO(anew) struct anew anew = anew_of(all_sorts(REPOSITORY_ENCRYPTED));
    begin(&anew, 1);
    copy(&anew);
    uint64_t first = anew.opened_bytes;
    tree_file(&anew.rig->tree, "one-more", 99, 1000);
    restore_rig_back_up(anew.rig);
    begin(&anew, 2);
    copy(&anew);
    cr_assert_lt(anew.opened_bytes, first / 10);
    assert_copied(&anew);
}

Test(reencrypt, goes_on_where_it_was_interrupted)
{
    AUTO(anew) struct anew anew = anew_of(all_sorts(REPOSITORY_ENCRYPTED));
    begin(&anew, 1);
    copy(&anew);
    size_t whole = anew.sends;
    cr_assert_gt(whole, 10);
    for (size_t at = 1; at + 5 < whole; at += 5) {
        local_site_free(anew.to);
        anew.to = local_site_make(REPOSITORY_ENCRYPTED);
        begin(&anew, 1);
        anew.fail_at = at;
        cr_assert_not(seal(&anew, NULL));
        cr_assert_eq(anew.err.code, ERR_UNREACHABLE, "%s", anew.err.text);
        cr_assert_not(reencrypt_lost(anew.reencrypt), "it was not the point's fault");
        anew.fail_at = 0;
        begin(&anew, 1);
        copy(&anew);
        cr_assert_leq(anew.sends, whole + 4, "what was sent before was sent again");
        assert_copied(&anew);
    }
}

/* As after an interruption in which a node came before what it names, or where something was lost since. */
Test(reencrypt, sends_what_a_commit_misses_below_nodes_that_are_there)
{
    AUTO(anew) struct anew anew = anew_of(all_sorts(REPOSITORY_ENCRYPTED));
    begin(&anew, 1);
    anew.hidden = restore_rig_chunk_of(anew.rig, "large");
    /* the id that it will have: of the same content, which its plaintext tells */
    AUTO(opener_thread) struct opener_thread *thread = NULL;
    AUTO(buf) struct buf plain = {0};
    struct inlet inlet = restore_rig_inlet(anew.rig);
    cr_assert(opener_thread_new(anew.rig->opener, &thread, &anew.err));
    cr_assert(opener_root(thread, &inlet, &anew.hidden, &plain, &anew.err), "%s", anew.err.text);
    struct hash content = hash_of(buf_span(&plain));
    anew.hidden = sealing_id(reencrypt_sealing(anew.reencrypt), FRAME_DATA, &content);
    cr_assert(seal(&anew, NULL), "%s", anew.err.text);
    AUTO(buf) struct buf missing = {0};
    cr_assert_not(commit(&anew, &missing));
    cr_assert_eq(anew.err.code, ERR_NOT_FOUND, "%s", anew.err.text);
    cr_assert(missing.len == HASH_LEN && memcmp(missing.data, anew.hidden.bytes, HASH_LEN) == 0);
    cr_assert(seal(&anew, &missing), "%s", anew.err.text);
    AUTO(buf) struct buf none = {0};
    cr_assert(commit(&anew, &none), "%s", anew.err.text);
    assert_copied(&anew);
}

Test(reencrypt, fails_on_what_does_not_open_and_goes_on_with_the_next_point)
{
    static const bool absent[] = {false, true};
    for (size_t i = 0; i < 2; i++) {
        AUTO(anew) struct anew anew = anew_of(all_sorts(REPOSITORY_ENCRYPTED));
        struct hash chunk = restore_rig_chunk_of(anew.rig, "large");
        struct hash *fault = absent[i] ? &anew.rig->faulty.missing : &anew.rig->faulty.spoilt;
        begin(&anew, 1);
        *fault = chunk;
        cr_assert_not(seal(&anew, NULL));
        cr_assert_eq(anew.err.code, ERR_DAMAGED, "%s", anew.err.text);
        cr_assert(reencrypt_lost(anew.reencrypt));
        *fault = anew.rig->root;
        cr_assert_not(seal(&anew, NULL));
        cr_assert(reencrypt_lost(anew.reencrypt), "%s", anew.err.text);
        *fault = (struct hash){{0}};
        copy(&anew);
        assert_copied(&anew);
    }
}

Test(reencrypt, takes_another_copy_where_somebody_planted_one)
{
    AUTO(anew) struct anew anew = anew_of(restore_rig_make(REPOSITORY_ENCRYPTED));
    tree_file(&anew.rig->tree, "large", 7, 9 << 20);
    restore_rig_back_up(anew.rig);
    (void)restore_rig_plant_before(anew.rig, "large", 2);
    anew.rig->faulty.planted = anew.rig->root;
    begin(&anew, 1);
    copy(&anew);
    cr_assert_gt(anew.rig->faulty.fetches, 3);
}

Test(reencrypt, ends_when_it_is_cancelled)
{
    AUTO(anew) struct anew anew = anew_of(all_sorts(REPOSITORY_ENCRYPTED));
    begin(&anew, 1);
    atomic_store(&anew.cancelled, true);
    cr_assert_not(seal(&anew, NULL));
    cr_assert_eq(anew.err.code, ERR_CANCELLED, "%s", anew.err.text);
    cr_assert_not(reencrypt_lost(anew.reencrypt));
}

Test(reencrypt, does_not_begin_without_a_key)
{
    AUTO(keys) struct keys keys = keys_make();
    struct reencrypt_options options = {.sealing = keys_plain(&keys, (struct outlet){0})};
    struct reencrypt *reencrypt = NULL;
    struct err err = {0};
    cr_assert_not(reencrypt_new(&options, &reencrypt, &err));
    cr_assert_eq(err.code, ERR_POLICY);
}
