#include "transporter/source/walk.h"

#include "tree.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static const char tag[] = "Signature: 8a477f597d28d172789f06886806bc55\n# a comment\n";

static void put_socket(const struct tree *tree, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_lt((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", tree->path, name),
                 sizeof(address.sun_path));
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
}

/* A device node, which only root may make. */
static void put_device(const struct tree *tree, const char *name, mode_t type, dev_t device)
{
    if (mknodat(tree->fd, name, type | 0600, device) != 0) cr_skip_test("cannot make device nodes here");
}

Test(walk, yields_every_type_in_path_order)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "dir");
    put_dir(&tree, "dir/empty");
    put_file(&tree, "dir/file", "content");
    put_file(&tree, "dir.file", "");
    put_symlink(&tree, "link", "dir");
    put_symlink(&tree, "dangling", "nowhere");
    cr_assert_eq(mkfifoat(tree.fd, "fifo", 0600), 0);
    put_socket(&tree, "socket");
    put_device(&tree, "char", S_IFCHR, makedev(1, 3));
    put_device(&tree, "block", S_IFBLK, makedev(7, 200));
    expect_whole(&tree,
                 "D .\nB block\nC char\nL dangling\nD dir\nD dir/empty\n- dir/empty\nF dir/file\n- dir\n"
                 "F dir.file\nP fifo\nL link\nS socket: is a socket\n- .\n");
}

Test(walk, tells_what_stat_says)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "file", "some content");
    cr_assert_eq(fchmodat(tree.fd, "file", 04751, 0), 0);
    set_mtime(&tree, "file", 1234567890123456789);
    put_device(&tree, "device", S_IFBLK, makedev(300, 70000));
    cr_assert_eq(fchownat(tree.fd, "device", 1234, 5678, 0), 0);

    AUTO(kept) struct kept file = keep_entry(&tree, "file");
    struct stat st;
    cr_assert_eq(fstatat(tree.fd, "file", &st, 0), 0);
    cr_assert_eq(file.entry->type, ENTRY_FILE);
    cr_assert_eq(file.entry->mode, 04751);
    cr_assert_eq(file.entry->key.inode, st.st_ino);
    cr_assert_eq(file.entry->key.size, 12);
    cr_assert_eq(file.entry->key.mtime_ns, 1234567890123456789);
    cr_assert_eq(file.entry->key.ctime_ns, st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec);
    cr_assert_eq(file.entry->mount, st.st_dev);
    cr_assert_eq(file.entry->blocks, (uint64_t)st.st_blocks);
    cr_assert_eq(file.entry->links, 1);
    AUTO(kept) struct kept device = keep_entry(&tree, "device");
    cr_assert_eq(device.entry->type, ENTRY_BLOCK_DEVICE);
    cr_assert_eq(device.entry->uid, 1234);
    cr_assert_eq(device.entry->gid, 5678);
    cr_assert_eq(device.entry->device_major, 300);
    cr_assert_eq(device.entry->device_minor, 70000);
}

Test(walk, times_before_1970_are_negative)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "old", "");
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = -1, .tv_nsec = 999999999}};
    cr_assert_eq(utimensat(tree.fd, "old", times, 0), 0);
    AUTO(kept) struct kept kept = keep_entry(&tree, "old");
    cr_assert_eq(kept.entry->key.mtime_ns, -1);
}

Test(walk, names_may_have_any_bytes)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "\xff\xfe");
    put_file(&tree, "\xff\xfe/\x80", "");
    put_file(&tree, "new\nline", "");
    put_file(&tree, " ", "");
    put_file(&tree, "\x01", "");
    put_file(&tree, "-rf", "");
    put_file(&tree, "...", "");
    expect_whole(
        &tree, "D .\nF \x01\nF  \nF -rf\nF ...\nF new\nline\nD \xff\xfe\nF \xff\xfe/\x80\n- \xff\xfe\n- .\n");
}

static void put_many(const struct tree *tree, unsigned directories, unsigned files)
{
    char name[64];
    for (unsigned d = 0; d < directories; d++) {
        (void)snprintf(name, sizeof(name), d % 3 ? "%u/%u" : "%u", d - d % 3, d);
        put_dir(tree, name);
        size_t len = strlen(name);
        for (unsigned f = 0; f < files; f++) {
            (void)snprintf(name + len, sizeof(name) - len, "/f%u", f);
            put_file(tree, name, "");
        }
        name[len] = 0;
    }
}

Test(walk, is_the_same_whatever_the_threads_and_the_memory)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf first = {0}, again = {0};
    const char *paths[1];
    put_many(&tree, 300, 10);
    struct walk_options options = whole_tree(&tree, paths);
    walk_text(&tree, &options, &first);
    static const size_t ahead[] = {1, 10000, 0};
    for (unsigned threads = 1; threads <= 9; threads += 4)
        for (size_t i = 0; i < 3; i++) {
            options.threads = threads;
            options.ahead_bytes = ahead[i];
            walk_text(&tree, &options, &again);
            cr_assert(span_eq(buf_span(&first), buf_span(&again)), "%u threads, %zu bytes", threads,
                      ahead[i]);
        }
}

Test(walk, can_be_dropped_at_any_moment)
{
    AUTO(tree) struct tree tree = tree_make();
    const char *paths[1];
    put_many(&tree, 30, 3);
    put_file(&tree, "x", "");
    put_hard_link(&tree, "y", "x");
    struct walk_options options = whole_tree(&tree, paths);
    for (unsigned stop = 0;; stop++) {
        AUTO(walk) struct walk *walk = NULL;
        struct walk_entry entry;
        enum walk_event event = WALK_ENTRY;
        struct err note, err;
        options.ahead_bytes = stop % 2;
        cr_assert(walk_new(&options, &walk, &err), "%s", err.text);
        for (unsigned i = 0; i < stop && event != WALK_END; i++)
            cr_assert(walk_next(walk, &event, &entry, &note, &err), "%s", err.text);
        if (event == WALK_END) break;
    }
}

Test(walk, a_kept_entry_outlives_the_next)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "dir");
    put_file(&tree, "dir/a", "");
    put_hard_link(&tree, "dir/b", "dir/a");
    AUTO(kept) struct kept kept = keep_entry(&tree, "dir/b");
    struct walk_entry entry;
    enum walk_event event;
    struct err note, err;
    do {
        cr_assert(walk_next(kept.walk, &event, &entry, &note, &err), "%s", err.text);
    } while (event != WALK_END);
    AUTO(buf) struct buf text = {0};
    append_event(&tree, WALK_ENTRY, kept.entry, &note, &text);
    expect_text(&text, "H dir/b -> dir/a\n");
    cr_assert(span_eq(kept.entry->name, span_str("b")));
    AUTO(free) char *dir = tree_path(&tree, "dir");
    cr_assert(span_eq(kept.entry->parent, span_str(dir + 1)));
}

/* --- chosen paths --- */

Test(walk, parents_are_there_with_the_chosen_children_alone)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "a");
    put_dir(&tree, "a/b");
    put_file(&tree, "a/b/x", "");
    put_file(&tree, "a/b/y", "");
    put_file(&tree, "a/other", "");
    put_dir(&tree, "c");
    put_dir(&tree, "c/d");
    put_file(&tree, "c/d/z", "");
    put_file(&tree, "other", "");
    AUTO(free) char *file = tree_path(&tree, "a/b/x");
    AUTO(free) char *dir = tree_path(&tree, "c");
    AUTO(free) char *inside = tree_path(&tree, "c/d");
    const char *paths[] = {inside, file, dir};
    const struct walk_options options = {.paths = paths, .path_count = 3};
    expect_walk(&tree, &options,
                "D .\nD a\nD a/b\nF a/b/x\n- a/b\n- a\nD c\nD c/d\nF c/d/z\n- c/d\n- c\n- .\n");
    AUTO(kept) struct kept parent = keep_entry(&tree, "a");
    struct stat st;
    cr_assert_eq(fstatat(tree.fd, "a", &st, 0), 0);
    cr_assert_eq(parent.entry->key.inode, st.st_ino);
}

Test(walk, a_missing_path_is_a_warning_while_others_exist)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "there", "");
    AUTO(free) char *there = tree_path(&tree, "there");
    AUTO(free) char *missing = tree_path(&tree, "missing");
    AUTO(free) char *below_file = tree_path(&tree, "there/x");
    const char *paths[] = {missing, there, below_file};
    struct walk_options options = {.paths = paths, .path_count = 3};
    expect_walk(&tree, &options,
                "D .\nW missing: No such file or directory\nF there\nW there: Not a directory\n- .\n");
    struct walk *walk = NULL;
    struct err err;
    options.path_count = 1;
    cr_assert(!walk_new(&options, &walk, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert_null(walk);
}

Test(walk, bad_options_are_refused)
{
    static const char *const relative[] = {"relative"};
    static const char *const root[] = {"/"};
    static const char *const open_set[] = {"[a"};
    const struct walk_options bad[] = {
        {0},
        {.paths = relative, .path_count = 1},
        {.paths = root, .path_count = 1, .excludes = open_set, .exclude_count = 1},
        {.paths = root, .path_count = 1, .always_excluded = relative, .always_count = 1},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct walk *walk = NULL;
        struct err err;
        cr_assert(!walk_new(&bad[i], &walk, &err), "case %zu", i);
        cr_assert_eq(err.code, ERR_USAGE, "case %zu: %s", i, err.text);
    }
}

Test(walk, a_chosen_link_is_not_followed)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "real");
    put_file(&tree, "real/secret", "");
    put_symlink(&tree, "link", "real");
    put_file(&tree, "x", "");
    AUTO(free) char *link = tree_path(&tree, "link");
    AUTO(free) char *through = tree_path(&tree, "link/secret");
    AUTO(free) char *other = tree_path(&tree, "x");
    const char *chosen[] = {link, other};
    const struct walk_options options = {.paths = chosen, .path_count = 2};
    expect_walk(
        &tree, &options,
        "D .\nL link\nW link: is a symbolic link: the link is backed up, not what it leads to\nF x\n- .\n");
    const char *below[] = {through, other};
    const struct walk_options options_below = {.paths = below, .path_count = 2};
    expect_walk(&tree, &options_below,
                "D .\nW link: is a symbolic link: choose the path that it leads to\nF x\n- .\n");
}

/* --- what is left out --- */

Test(walk, patterns_leave_out_and_are_counted)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "cache");
    put_file(&tree, "cache/x", "");
    put_dir(&tree, "src");
    put_file(&tree, "src/a.c", "");
    put_file(&tree, "src/a.o", "");
    put_file(&tree, "src/cache", "");
    put_socket(&tree, "src/s.o");
    static const char *const excludes[] = {"*.o", "cache/"};
    const char *paths[1];
    struct walk_options options = whole_tree(&tree, paths);
    options.excludes = excludes;
    options.exclude_count = 2;
    expect_walk(&tree, &options, "D .\nD src\nF src/a.c\nF src/cache\n- src\n- .\n");
}

Test(walk, patterns_are_of_the_whole_path)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "a");
    put_file(&tree, "a/x", "");
    put_file(&tree, "x", "");
    AUTO(free) char *anchored = tree_path(&tree, "x");
    const char *excludes[] = {anchored};
    const char *paths[1];
    struct walk_options options = whole_tree(&tree, paths);
    options.excludes = excludes;
    options.exclude_count = 1;
    expect_walk(&tree, &options, "D .\nD a\nF a/x\n- a\n- .\n");
}

Test(walk, what_was_chosen_is_never_excluded)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "cache");
    put_dir(&tree, "cache/deep");
    put_dir(&tree, "cache/deep/keep");
    put_file(&tree, "cache/deep/keep/x", "");
    put_file(&tree, "cache/deep/keep/cache", "");
    put_file(&tree, "cache/y", "");
    AUTO(free) char *keep = tree_path(&tree, "cache/deep/keep");
    const char *paths[] = {tree.path, keep};
    static const char *const excludes[] = {"cache", "keep"};
    const struct walk_options options = {
        .paths = paths, .path_count = 2, .excludes = excludes, .exclude_count = 2};
    expect_walk(&tree, &options,
                "D .\nD cache\nD cache/deep\nD cache/deep/keep\nF cache/deep/keep/x\n- cache/deep/keep\n"
                "- cache/deep\n- cache\n- .\n");
}

Test(walk, our_own_files_are_left_out_under_any_name)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "state");
    put_file(&tree, "state/x", "");
    put_dir(&tree, "repository");
    put_file(&tree, "repository/x", "");
    put_file(&tree, "key", "");
    put_hard_link(&tree, "key2", "key");
    put_symlink(&tree, "way", "repository");
    AUTO(free) char *state = tree_path(&tree, "state/");
    AUTO(free) char *way = tree_path(&tree, "way");
    AUTO(free) char *key = tree_path(&tree, "key");
    AUTO(free) char *later = tree_path(&tree, "later");
    const char *always[] = {state, way, key, later};
    const char *paths[] = {tree.path, state};
    const struct walk_options options = {
        .paths = paths, .path_count = 2, .always_excluded = always, .always_count = 4};
    expect_walk(&tree, &options,
                "D .\nS key: belongs to sealift itself\nS key2: belongs to sealift itself\n"
                "S repository: belongs to sealift itself\nS state: belongs to sealift itself\n"
                "S way: belongs to sealift itself\n- .\n");
}

Test(walk, a_tagged_cache_is_kept_as_an_empty_directory)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "cache");
    put_dir(&tree, "cache/sub");
    put_file(&tree, "cache/CACHEDIR.TAG", tag);
    put_file(&tree, "cache/x", "");
    expect_whole(&tree, "D .\nD cache\nS cache: is marked as a cache by its CACHEDIR.TAG\n"
                        "F cache/CACHEDIR.TAG\n- cache\n- .\n");
}

Test(walk, a_tag_must_be_a_real_one)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "short");
    put_file(&tree, "short/CACHEDIR.TAG", "Signature: 8a477f");
    put_dir(&tree, "other");
    put_file(&tree, "other/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc56");
    put_dir(&tree, "link");
    put_symlink(&tree, "link/CACHEDIR.TAG", "../tag");
    put_file(&tree, "tag", tag);
    put_dir(&tree, "fifo");
    cr_assert_eq(mkfifoat(tree.fd, "fifo/CACHEDIR.TAG", 0600), 0);
    expect_whole(
        &tree,
        "D .\nD fifo\nP fifo/CACHEDIR.TAG\n- fifo\nD link\nL link/CACHEDIR.TAG\n- link\n"
        "D other\nF other/CACHEDIR.TAG\n- other\nD short\nF short/CACHEDIR.TAG\n- short\nF tag\n- .\n");
}

Test(walk, a_tagged_directory_that_was_chosen_is_read)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "CACHEDIR.TAG", tag);
    put_dir(&tree, "sub");
    put_file(&tree, "sub/CACHEDIR.TAG", tag);
    put_dir(&tree, "sub/zz");
    put_file(&tree, "sub/x", "");
    expect_whole(&tree, "D .\nF CACHEDIR.TAG\nD sub\nS sub: is marked as a cache by its CACHEDIR.TAG\n"
                        "F sub/CACHEDIR.TAG\n- sub\n- .\n");
    AUTO(free) char *chosen = tree_path(&tree, "sub/zz");
    const char *paths[] = {tree.path, chosen};
    const struct walk_options options = {.paths = paths, .path_count = 2};
    expect_walk(&tree, &options,
                "D .\nF CACHEDIR.TAG\nD sub\nS sub: is marked as a cache by its CACHEDIR.TAG\n"
                "F sub/CACHEDIR.TAG\nD sub/zz\n- sub/zz\n- sub\n- .\n");
}

/* --- file systems --- */

Test(walk, the_kernels_own_file_systems_are_not_walked)
{
    static const char *const paths[] = {"/proc"};
    const struct walk_options options = {.paths = paths, .path_count = 1};
    AUTO(walk) struct walk *walk = NULL;
    struct walk_entry entry;
    enum walk_event event;
    struct err note, err;
    if (access("/proc/self", F_OK) != 0) cr_skip_test("no /proc here");
    cr_assert(walk_new(&options, &walk, &err), "%s", err.text);
    cr_assert(walk_next(walk, &event, &entry, &note, &err), "%s", err.text);
    cr_assert_eq(event, WALK_ENTRY);
    cr_assert(span_eq(entry.path, span_str("proc")));
    cr_assert(walk_next(walk, &event, &entry, &note, &err), "%s", err.text);
    cr_assert_eq(event, WALK_SKIPPED);
    cr_assert_str_eq(note.text, "'/proc' is a file system of the kernel's own");
    cr_assert(walk_next(walk, &event, &entry, &note, &err) && event == WALK_LEAVE);
    cr_assert(walk_next(walk, &event, &entry, &note, &err) && event == WALK_LEAVE);
    cr_assert_eq(entry.path.len, 0);
    cr_assert(walk_next(walk, &event, &entry, &note, &err) && event == WALK_END);
}

/* A tmpfs in a mount namespace of the test's own, where the tree is opened again. */
static void mount_on(struct tree *tree, const char *name)
{
    AUTO(free) char *path = tree_path(tree, name);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", path, "tmpfs", 0, NULL) != 0)
        cr_skip_test("cannot mount here");
    (void)close(tree->fd);
    tree->fd = open(tree->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

Test(walk, stays_on_one_file_system_if_told_so)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "m");
    mount_on(&tree, "m");
    put_dir(&tree, "m/sub");
    put_file(&tree, "m/x", "");
    put_file(&tree, "z", "");
    const char *paths[2];
    struct walk_options options = whole_tree(&tree, paths);
    expect_walk(&tree, &options, "D .\nD m\nD m/sub\n- m/sub\nF m/x\n- m\nF z\n- .\n");
    options.mounts = MOUNT_STAY;
    expect_walk(&tree, &options, "D .\nD m\nS m: is another file system\n- m\nF z\n- .\n");
    AUTO(free) char *chosen = tree_path(&tree, "m/sub");
    paths[1] = chosen;
    options.path_count = 2;
    expect_walk(&tree, &options, "D .\nD m\nD m/sub\n- m/sub\nF m/x\n- m\nF z\n- .\n");
    AUTO(free) char *mounted = tree_path(&tree, "m");
    cr_assert_eq(umount(mounted), 0);
}

/* --- hard links --- */

Test(walk, the_first_name_is_the_file_and_the_others_are_links)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "b");
    put_file(&tree, "b/one", "");
    put_hard_link(&tree, "a", "b/one");
    put_hard_link(&tree, "b.", "b/one");
    put_file(&tree, "c", "");
    put_hard_link(&tree, "excluded", "c");
    put_symlink(&tree, "l", "x");
    put_hard_link(&tree, "m", "l");
    static const char *const excludes[] = {"excluded"};
    const char *paths[1];
    struct walk_options options = whole_tree(&tree, paths);
    options.excludes = excludes;
    options.exclude_count = 1;
    expect_walk(&tree, &options, "D .\nF a\nD b\nH b/one -> a\n- b\nH b. -> a\nF c\nL l\nH m -> l\n- .\n");
}

/* What policy allows by its name must not be read elsewhere. */
Test(walk, a_link_on_the_way_to_a_path_is_not_followed)
{
    AUTO(tree) struct tree tree = tree_make(), outside = tree_make();
    put_dir(&outside, "d");
    put_file(&outside, "d/secret", "s");
    put_dir(&tree, "a");
    put_file(&tree, "a/own", "o");
    put_symlink(&tree, "a/out", outside.path);
    AUTO(free) char *through = tree_path(&tree, "a/out/d");
    AUTO(free) char *own = tree_path(&tree, "a/own");
    const char *paths[] = {through, own};
    struct walk_options options = {.paths = paths, .path_count = 2};
    expect_walk(
        &tree, &options,
        "D .\nD a\nW a/out: is a symbolic link: choose the path that it leads to\nF a/own\n- a\n- .\n");
}
