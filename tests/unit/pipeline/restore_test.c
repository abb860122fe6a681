#include "restore_rig.h"
#include "transporter/pipeline/destination.h"
#include "zoo.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void assert_zoo(const struct restore_rig *rig)
{
    for (size_t i = 0; i < ZOO; i++)
        restore_rig_assert_same(rig, zoo[i]);
}

Test(restore, every_type_of_entry_comes_back)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    bool device = mknodat(rig->tree.fd, "device", S_IFCHR | 0640, makedev(300, 70000)) == 0;
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    assert_zoo(rig);
    if (device) restore_rig_assert_same(rig, "device");
    struct stat sparse;
    cr_assert_eq(stat(restore_rig_out(rig, "full/sparse"), &sparse), 0);
    cr_assert_lt(sparse.st_blocks * 512, 1 << 20, "holes are holes again");
    cr_assert_eq(rig->warning_count, 0, "%s: %s", rig->warned_path, rig->warned.text);
    cr_assert_geq(rig->result.entries, ZOO + 2 + device); /* the tree and what is above it too */
    cr_assert_eq(rig->result.entries, rig->progress.total_entries);
    cr_assert_eq(rig->result.content_bytes, rig->progress.total_bytes);
}

Test(restore, of_a_plaintext_repository_needs_no_key)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_PLAINTEXT);
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    assert_zoo(rig);
}

Test(restore, the_number_of_threads_changes_nothing)
{
    static const unsigned threads[] = {1, 3, 16}, fetches[] = {0, 2, 9};
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    tree_many(&rig->tree, 6, 100, 9000);
    restore_rig_back_up(rig);
    for (size_t i = 0; i < 3; i++) {
        rig->options.threads = threads[i];
        rig->faulty.at_once = fetches[i];
        restore_rig_run(rig, OVERWRITE_ALWAYS);
        assert_zoo(rig);
        restore_rig_assert_same(rig, "dir003/file0042");
        cr_assert_eq(rig->result.files, 608, "%llu", (unsigned long long)rig->result.files);
    }
}

/* --- what is there already --- */

static void spoil_some(const struct restore_rig *rig)
{
    struct tree whole = {.fd = AT_FDCWD};
    cr_assert_eq(unlink(restore_rig_out(rig, "full/one")), 0);
    tree_file(&whole, restore_rig_out(rig, "full/middle"), 99, 10);
    tree_truncate(&whole, restore_rig_out(rig, "full/middle"), 10);
}

Test(restore, never_leaves_what_is_there_alone_and_counts_it)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    spoil_some(rig);
    cr_assert_eq(chmod(restore_rig_out(rig, "empty"), 0711), 0);
    restore_rig_run(rig, OVERWRITE_NEVER);
    struct stat kept;
    cr_assert_eq(stat(restore_rig_out(rig, "full/middle"), &kept), 0);
    cr_assert_eq(kept.st_size, 10);
    cr_assert_eq(stat(restore_rig_out(rig, "empty"), &kept), 0);
    cr_assert_eq(kept.st_mode & 0777, 0711, "a directory that was there keeps its mode");
    restore_rig_assert_same(rig, "full/one");
    cr_assert_eq(rig->result.skipped, ZOO - 3); /* two directories, and the one that was gone */
    cr_assert_eq(rig->result.files, 1);
}

Test(restore, changed_brings_back_what_differs_only)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    spoil_some(rig);
    restore_rig_run(rig, OVERWRITE_CHANGED);
    assert_zoo(rig);
    cr_assert_eq(rig->result.files, 2);
}

Test(restore, always_writes_everything_again)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    spoil_some(rig);
    restore_rig_run(rig, OVERWRITE_ALWAYS);
    assert_zoo(rig);
    cr_assert_eq(rig->result.files, 8);
    cr_assert_eq(rig->result.skipped, 0);
}

Test(restore, never_links_to_a_file_that_was_left_alone)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    struct tree whole = {.fd = AT_FDCWD};
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    cr_assert_eq(unlink(restore_rig_out(rig, "full/small")), 0);
    cr_assert_eq(unlink(restore_rig_out(rig, "full/zmall")), 0);
    tree_file(&whole, restore_rig_out(rig, "full/small"), 1, 3);
    cr_assert_not(restore_rig_try(rig, OVERWRITE_NEVER));
    cr_assert_eq(rig->err.code, ERR_EXISTS, "%s", rig->err.text);
    cr_assert_not(restore_rig_exists(rig, "full/zmall"));
    cr_assert_str_eq(rig->warned_path, tree_name(&rig->tree, "full/zmall"));
}

static void put_symlink(const struct restore_rig *rig, const char *path, const char *target)
{
    char moved[8192];
    (void)snprintf(moved, sizeof(moved), "%s", restore_rig_out(rig, path));
    cr_assert_eq(symlink(target, moved), 0, "%s", moved);
}

Test(restore, follows_no_symlink_out_of_its_destination)
{
    static const enum overwrite ways[] = {OVERWRITE_NEVER, OVERWRITE_CHANGED, OVERWRITE_ALWAYS};
    for (size_t i = 0; i < 3; i++) {
        AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
        AUTO(tree) struct tree elsewhere = tree_make();
        tree_file(&elsewhere, "victim", 1, 10);
        struct hash before = tree_hash(&elsewhere, "victim");
        make_zoo(&rig->tree);
        restore_rig_back_up(rig);
        restore_rig_choose(rig, "empty");
        restore_rig_run(rig, OVERWRITE_NEVER); /* makes the directories above */
        rig->options.path_count = 0;
        char victim[128];
        (void)snprintf(victim, sizeof(victim), "%s/victim", elsewhere.path);
        put_symlink(rig, "full", elsewhere.path);
        put_symlink(rig, "zz\xff\n name", victim);
        bool done = restore_rig_try(rig, ways[i]);
        cr_assert_eq(done, ways[i] == OVERWRITE_ALWAYS, "%s", rig->err.text);
        struct hash after = tree_hash(&elsewhere, "victim");
        cr_assert(hash_eq(&before, &after));
        cr_assert_neq(faccessat(elsewhere.fd, "small", F_OK, 0), 0,
                      "nothing was written through the symlink");
        if (ways[i] == OVERWRITE_ALWAYS) assert_zoo(rig);
    }
}

/* Who owns a directory below an allowed root may put a link where the destination is to be. */
Test(restore, follows_no_symlink_between_the_allowed_root_and_its_destination)
{
    static const char *const below[] = {"user", "user/new", "user/there"};
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    AUTO(tree) struct tree elsewhere = tree_make();
    tree_dir(&elsewhere, "there");
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    cr_assert_eq(symlinkat(elsewhere.path, rig->out.fd, "user"), 0);
    rig->options.destination_root = rig->out.path;
    for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++) {
        char destination[256];
        (void)snprintf(destination, sizeof(destination), "%s/%s", rig->out.path, below[i]);
        rig->options.destination = destination;
        cr_assert_not(restore_rig_try(rig, OVERWRITE_ALWAYS));
        cr_assert_eq(rig->err.code, ERR_POLICY, "%s", rig->err.text);
    }
    cr_assert_neq(faccessat(elsewhere.fd, "new", F_OK, 0), 0);
    cr_assert_eq(unlinkat(elsewhere.fd, "there", AT_REMOVEDIR), 0, "it is empty");
}

/* Puts a directory of root's, which he must not read, in the place of his own, once that was planned: the
 * fifo comes after it. */
static void exchange(void *arg)
{
    const struct restore_rig *rig = arg;
    char place[1024], own[1024 + 8], roots[1024 + 8];
    if (!restore_rig_exists(rig, "fifo")) return;
    (void)snprintf(place, sizeof(place), "%s", restore_rig_out(rig, "empty"));
    (void)snprintf(own, sizeof(own), "%s.own", place);
    (void)snprintf(roots, sizeof(roots), "%s.roots", place);
    if (access(place, F_OK) == 0 && access(roots, F_OK) == 0 && rename(place, own) == 0)
        (void)rename(roots, place);
}

/* Owner and mode of directories come last, long after they were made. */
Test(restore, gives_no_directory_away_that_was_put_in_the_place_of_another)
{
    static const enum overwrite ways[] = {OVERWRITE_CHANGED, OVERWRITE_ALWAYS};
    for (size_t i = 0; i < 2; i++) {
        AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
        struct stat there;
        char roots[1024];
        make_zoo(&rig->tree);
        cr_assert_eq(fchmodat(rig->tree.fd, "empty", 0777, 0), 0);
        restore_rig_back_up(rig);
        restore_rig_choose(rig, "empty");
        restore_rig_run(rig, OVERWRITE_NEVER); /* makes the directories above */
        rig->options.path_count = 0;
        (void)snprintf(roots, sizeof(roots), "%s.roots", restore_rig_out(rig, "empty"));
        cr_assert_eq(mkdir(roots, 0700), 0);
        rig->faulty.meanwhile = exchange;
        rig->faulty.meanwhile_arg = rig;
        (void)!restore_rig_try(rig, ways[i]);
        cr_assert_neq(access(roots, F_OK), 0, "it was exchanged");
        cr_assert_eq(stat(restore_rig_out(rig, "empty"), &there), 0);
        cr_assert_eq(there.st_mode & 0777, 0700, "%o", there.st_mode & 0777);
        cr_assert_not_null(strstr(rig->warned.text, "replaced"), "%s", rig->warned.text);
    }
}

/* What somebody else does right after a directory was made. */
static void (*after_mkdirat)(int dir, const char *name);

int mkdirat(int dir, const char *name, mode_t mode)
{
    int failed = (int)syscall(SYS_mkdirat, dir, name, mode);
    if (!failed && after_mkdirat) after_mkdirat(dir, name);
    return failed;
}

/* A directory of root's, with something in it. */
static void put_roots(int dir, const char *name)
{
    if (strcmp(name, "empty") != 0) return;
    (void)renameat(dir, "empty", dir, "own");
    (void)renameat(dir, "roots", dir, "empty");
}

static void put_link(int dir, const char *name)
{
    if (strcmp(name, "empty") != 0) return;
    (void)renameat(dir, "empty", dir, "own");
    (void)!symlinkat("roots", dir, "empty");
}

/* Nor at once. */
Test(restore, gives_no_directory_away_that_was_put_in_the_place_of_one_just_made)
{
    static void (*const tricks[])(int, const char *) = {put_roots, put_link};
    for (size_t i = 0; i < 2; i++) {
        AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
        struct stat there;
        char secret[1024];
        make_zoo(&rig->tree);
        cr_assert_eq(fchmodat(rig->tree.fd, "empty", 0777, 0), 0);
        restore_rig_back_up(rig);
        restore_rig_choose(rig, "fifo");
        restore_rig_run(rig, OVERWRITE_NEVER); /* makes the directories above */
        rig->options.path_count = 0;
        cr_assert_eq(mkdir(restore_rig_out(rig, "roots"), 0700), 0);
        (void)snprintf(secret, sizeof(secret), "%s", restore_rig_out(rig, "roots/secret"));
        cr_assert_eq(mknod(secret, S_IFREG | 0644, 0), 0);
        after_mkdirat = tricks[i];
        (void)!restore_rig_try(rig, OVERWRITE_NEVER);
        after_mkdirat = NULL;
        cr_assert_eq(access(restore_rig_out(rig, "own"), F_OK), 0, "it was exchanged");
        cr_assert_eq(stat(restore_rig_out(rig, "empty"), &there), 0);
        cr_assert_eq(there.st_mode & 0777, 0700, "%o", there.st_mode & 0777);
        cr_assert_eq(rig->warning_count, 1, "%s", rig->warned.text);
    }
}

Test(restore, gives_nothing_away_that_was_put_in_the_place_of_what_cannot_be_opened)
{
    AUTO(tree) struct tree tree = tree_make();
    static const struct inode_metadata fifo = {.type = ENTRY_FIFO, .mode = 0777};
    unsigned losses = 0;
    struct stat there;
    struct err err = {0};
    cr_assert_eq(mkfifoat(tree.fd, "fifo", 0600), 0);
    cr_assert(inode_metadata_apply_at(&fifo, tree.fd, "fifo", &losses, &err), "%s", err.text);
    cr_assert_eq(linkat(tree.fd, "fifo", tree.fd, "two", 0), 0);
    tree_file(&tree, "file", 1, 10);
    cr_assert_eq(fchmodat(tree.fd, "file", 0600, 0), 0);
    cr_assert_eq(symlinkat("file", tree.fd, "link"), 0);
    static const char *const others[] = {"file", "link", "two"};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_not(inode_metadata_apply_at(&fifo, tree.fd, others[i], &losses, &err), "%s", others[i]);
        cr_assert_eq(err.code, ERR_POLICY, "%s", err.text);
    }
    cr_assert_eq(fstatat(tree.fd, "file", &there, 0), 0);
    cr_assert_eq(there.st_mode & 0777, 0600);
}

Test(restore, makes_what_is_missing_below_the_allowed_root)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    char destination[256];
    (void)snprintf(destination, sizeof(destination), "%s/new/er", rig->out.path);
    rig->options.destination_root = rig->out.path;
    rig->options.destination = destination;
    restore_rig_run(rig, OVERWRITE_NEVER);
    char made[4096];
    (void)snprintf(made, sizeof(made), "%s/%s", destination, tree_name(&rig->tree, "full/one"));
    cr_assert_eq(access(made, F_OK), 0, "%s", made);
}

/* --- chosen paths --- */

Test(restore, chosen_paths_fetch_only_what_they_need)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    tree_many(&rig->tree, 10, 300, 3000);
    tree_file(&rig->tree, "large", 7, 9 << 20);
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    size_t all = rig->faulty.ids;
    rig->faulty.ids = 0;
    restore_rig_choose(rig, "dir004/file0123");
    restore_rig_run(rig, OVERWRITE_ALWAYS);
    restore_rig_assert_same(rig, "dir004/file0123");
    cr_assert_eq(rig->result.files, 1);
    cr_assert(rig->faulty.ids <= 20 && rig->faulty.ids * 2 < all, "%zu of %zu ids", rig->faulty.ids, all);
}

Test(restore, of_one_file_reads_each_node_of_its_path_and_each_of_its_chunks_once)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    tree_many(&rig->tree, 20, 400, 3000);
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    uint64_t all = rig->faulty.bytes;
    rig->faulty.ids = 0;
    rig->faulty.bytes = 0;
    restore_rig_choose(rig, "dir014/file0123");
    restore_rig_run(rig, OVERWRITE_ALWAYS);
    restore_rig_assert_same(rig, "dir014/file0123");
    /* root, top, two or three leaves, and a chunk, which it may share with the next file */
    cr_assert_leq(rig->faulty.ids, 7, "%zu ids", rig->faulty.ids);
    cr_assert_lt(rig->faulty.bytes * 20, all, "%llu of %llu bytes", (unsigned long long)rig->faulty.bytes,
                 (unsigned long long)all);
}

Test(restore, of_a_directory_brings_what_is_below_and_the_directories_above)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    restore_rig_choose(rig, "full");
    restore_rig_choose(rig, "full/one"); /* is with the other */
    restore_rig_run(rig, OVERWRITE_NEVER);
    for (size_t i = 0; i < ZOO; i++) {
        bool below = strncmp(zoo[i], "full", 4) == 0;
        cr_assert_eq(restore_rig_exists(rig, zoo[i]), below, "%s", zoo[i]);
        if (below) restore_rig_assert_same(rig, zoo[i]);
    }
}

Test(restore, a_link_to_a_name_that_is_not_chosen_becomes_the_file)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    restore_rig_choose(rig, "full/zmall");
    restore_rig_run(rig, OVERWRITE_NEVER);
    struct tree whole = {.fd = AT_FDCWD};
    struct hash one = tree_hash(&rig->tree, "full/zmall");
    struct hash other = tree_hash(&whole, restore_rig_out(rig, "full/zmall"));
    cr_assert(hash_eq(&one, &other));
    cr_assert_not(restore_rig_exists(rig, "full/small"));
}

Test(restore, a_path_that_is_not_there_restores_nothing)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    restore_rig_choose(rig, "full/one");
    restore_rig_choose(rig, "full/on");
    cr_assert_not(restore_rig_try(rig, OVERWRITE_NEVER));
    cr_assert_eq(rig->err.code, ERR_NOT_FOUND, "%s", rig->err.text);
    cr_assert_not(restore_rig_exists(rig, "full"));
}

/* --- ends --- */

Test(restore, ends_when_any_fetch_fails)
{
    for (size_t at = 1; at <= 6; at++) {
        AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
        tree_many(&rig->tree, 4, 60, 3000);
        restore_rig_back_up(rig);
        rig->faulty.fail_at = at;
        bool done = restore_rig_try(rig, OVERWRITE_NEVER);
        if (rig->faulty.fetches < at) break;
        cr_assert_not(done, "fetch %zu", at);
        cr_assert_eq(rig->err.code, ERR_UNREACHABLE, "fetch %zu: %s", at, rig->err.text);
    }
}

Test(restore, ends_when_the_other_side_tells_nothing)
{
    for (size_t at = 1; at <= 6; at++) {
        AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
        tree_many(&rig->tree, 4, 60, 3000);
        restore_rig_back_up(rig);
        rig->faulty.tell_nothing_at = at;
        bool done = restore_rig_try(rig, OVERWRITE_NEVER);
        if (rig->faulty.fetches < at) break;
        cr_assert_not(done, "fetch %zu", at);
        cr_assert_eq(rig->err.code, ERR_DAMAGED, "fetch %zu: %s", at, rig->err.text);
    }
}

Test(restore, is_cancelled_whatever_it_waits_for)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    tree_many(&rig->tree, 4, 60, 3000);
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_ALWAYS);
    size_t fetches = rig->faulty.fetches;
    cr_assert_geq(fetches, 3);
    for (size_t at = 1; at <= fetches; at++) {
        rig->faulty.fetches = 0;
        rig->faulty.cancelled = rig->faulty.blocked = false;
        rig->faulty.block_at = at;
        atomic_store(&rig->cancelled, false);
        restore_rig_start(rig);
        restore_rig_await_blocked(rig);
        atomic_store(&rig->cancelled, true);
        cr_assert_not(restore_rig_join(rig));
        cr_assert_eq(rig->err.code, ERR_CANCELLED, "%s", rig->err.text);
    }
}

/* --- cat --- */

static bool collect(void *arg, struct span bytes, struct err *err)
{
    buf_put_span(arg, bytes);
    return true;
}

Test(restore, cat_gives_every_kind_of_file)
{
    static const char *const files[] = {"full/nothing", "full/one",    "full/small",   "full/zmall",
                                        "full/large",   "full/sparse", "zz\xff\n name"};
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    make_zoo(&rig->tree);
    restore_rig_back_up(rig);
    struct inlet inlet = restore_rig_inlet(rig);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        AUTO(buf) struct buf bytes = {0};
        struct span path = span_str(tree_name(&rig->tree, files[i]));
        cr_assert(restore_cat(rig->opener, &inlet, &rig->root, path, collect, &bytes, &rig->err), "%s: %s",
                  files[i], rig->err.text);
        struct hash one = hash_of(buf_span(&bytes)), other = tree_hash(&rig->tree, files[i]);
        cr_assert(hash_eq(&one, &other), "%s", files[i]);
    }
    AUTO(buf) struct buf bytes = {0};
    struct span path = span_str(tree_name(&rig->tree, "full"));
    cr_assert_not(restore_cat(rig->opener, &inlet, &rig->root, path, collect, &bytes, &rig->err));
    cr_assert_eq(rig->err.code, ERR_USAGE);
    path = span_str("nothing/here");
    cr_assert_not(restore_cat(rig->opener, &inlet, &rig->root, path, collect, &bytes, &rig->err));
    cr_assert_eq(rig->err.code, ERR_NOT_FOUND);
}
