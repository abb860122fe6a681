#include "transporter/source/file_reader.h"

#include "tree.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void open_kept(const struct kept *kept, struct file_reader *reader)
{
    struct err err;
    cr_assert(file_reader_open(kept->entry, READER_ASKS, reader, &err), "%s", err.text);
}

static enum file_state state_of(const struct file_reader *reader)
{
    enum file_state state = FILE_SAME;
    struct err err;
    cr_assert(file_reader_state(reader, &state, &err), "%s", err.text);
    return state;
}

/* "data 0+5, hole 5+10, " */
static void extent_text(const struct file_reader *reader, struct buf *out)
{
    uint64_t at = 0;
    struct extent extent;
    struct err err;
    for (bool found = true;;) {
        cr_assert(file_reader_extent(reader, at, &extent, &found, &err), "%s", err.text);
        if (!found) break;
        cr_assert_eq(extent.offset, at);
        cr_assert_gt(extent.length, 0);
        buf_printf(out, "%s %llu+%llu, ", extent.kind == EXTENT_HOLE ? "hole" : "data",
                   (unsigned long long)extent.offset, (unsigned long long)extent.length);
        at += extent.length;
    }
    cr_assert_eq(at, reader->entry.key.size);
}

Test(file_reader, reads_what_is_there)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "dir");
    put_file(&tree, "dir/file", "0123456789");
    AUTO(kept) struct kept kept = keep_entry(&tree, "dir/file");
    AUTO(file_reader) struct file_reader reader = {.fd = -1};
    AUTO(buf) struct buf text = {0};
    char bytes[16];
    size_t got;
    struct err err;
    open_kept(&kept, &reader);
    cr_assert(reader.entry.cacheable);
    cr_assert(file_reader_read(&reader, 2, bytes, 5, &got, &err), "%s", err.text);
    cr_assert_eq(got, 5);
    cr_assert_arr_eq(bytes, "23456", 5);
    cr_assert(file_reader_read(&reader, 8, bytes, 16, &got, &err), "%s", err.text);
    cr_assert_eq(got, 2, "to the end");
    cr_assert(file_reader_read(&reader, 10, bytes, 16, &got, &err), "%s", err.text);
    cr_assert_eq(got, 0);
    extent_text(&reader, &text);
    expect_text(&text, "data 0+10, ");
    cr_assert_eq(state_of(&reader), FILE_SAME);
}

Test(file_reader, an_empty_file_has_no_extents)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "file", "");
    AUTO(kept) struct kept kept = keep_entry(&tree, "file");
    AUTO(file_reader) struct file_reader reader = {.fd = -1};
    AUTO(buf) struct buf text = {0};
    open_kept(&kept, &reader);
    extent_text(&reader, &text);
    cr_assert_eq(text.len, 0);
}

Test(file_reader, holes_are_told_from_data)
{
    AUTO(tree) struct tree tree = tree_make();
    static const struct {
        off_t data[2]; /* offsets of 4,096 bytes each; -1: none */
        off_t size;
        const char *extents;
    } cases[] = {
        {{-1, -1}, 1 << 20, "hole 0+1048576, "},
        {{0, -1}, 1 << 20, "data 0+4096, hole 4096+1044480, "},
        {{1044480, -1}, 1 << 20, "hole 0+1044480, data 1044480+4096, "},
        {{65536, 524288},
         1 << 20,
         "hole 0+65536, data 65536+4096, hole 69632+454656, data 524288+4096, hole 528384+520192, "},
        {{-1, -1}, 1000001, "hole 0+1000001, "},
        {{-1, -1}, (off_t)1 << 40, "hole 0+1099511627776, "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char block[4096];
        put_file(&tree, "sparse", "");
        AUTO(fd) int fd = openat(tree.fd, "sparse", O_WRONLY | O_CLOEXEC);
        memset(block, 'x', sizeof(block));
        cr_assert_eq(ftruncate(fd, cases[i].size), 0);
        for (unsigned j = 0; j < 2; j++)
            if (cases[i].data[j] >= 0)
                cr_assert_eq(pwrite(fd, block, sizeof(block), cases[i].data[j]), (ssize_t)sizeof(block));
        if (lseek(fd, 0, SEEK_HOLE) == cases[i].size && cases[i].data[0] != 0) cr_skip_test("no holes here");
        AUTO(kept) struct kept kept = keep_entry(&tree, "sparse");
        AUTO(file_reader) struct file_reader reader = {.fd = -1};
        AUTO(buf) struct buf text = {0};
        open_kept(&kept, &reader);
        extent_text(&reader, &text);
        expect_text(&text, cases[i].extents);
    }
}

Test(file_reader, a_change_after_opening_is_told)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "size", "12345");
    put_file(&tree, "mtime", "12345");
    put_file(&tree, "ctime", "12345");
    static const char *const names[] = {"size", "mtime", "ctime"};
    for (size_t i = 0; i < 3; i++) {
        AUTO(kept) struct kept kept = keep_entry(&tree, names[i]);
        AUTO(file_reader) struct file_reader reader = {.fd = -1};
        open_kept(&kept, &reader);
        cr_assert_eq(state_of(&reader), FILE_SAME);
        if (i == 0) put_file(&tree, "size", "1234");
        if (i == 1) set_mtime(&tree, "mtime", 1);
        if (i == 2) cr_assert_eq(fchmodat(tree.fd, "ctime", 0611, 0), 0);
        cr_assert_eq(state_of(&reader), FILE_CHANGED, "%s", names[i]);
    }
}

Test(file_reader, a_file_that_shrinks_reads_short_and_is_told)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "file", "0123456789");
    AUTO(kept) struct kept kept = keep_entry(&tree, "file");
    AUTO(file_reader) struct file_reader reader = {.fd = -1};
    char bytes[10];
    size_t got;
    struct err err;
    open_kept(&kept, &reader);
    put_file(&tree, "file", "0123");
    cr_assert(file_reader_read(&reader, 0, bytes, 10, &got, &err), "%s", err.text);
    cr_assert_eq(got, 4);
    cr_assert_eq(state_of(&reader), FILE_CHANGED);
}

Test(file_reader, a_file_changed_before_opening_is_read_as_it_is_and_not_cached)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "file", "old");
    AUTO(kept) struct kept kept = keep_entry(&tree, "file");
    AUTO(file_reader) struct file_reader reader = {.fd = -1};
    put_file(&tree, "file", "newer");
    cr_assert_eq(fchmodat(tree.fd, "file", 0600, 0), 0);
    open_kept(&kept, &reader);
    cr_assert_eq(reader.entry.key.size, 5);
    cr_assert_eq(reader.entry.mode, 0600);
    cr_assert(!reader.entry.cacheable);
}

/* As editors save: a new file under the old name. */
Test(file_reader, a_file_replaced_by_another_is_read_as_it_is)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "file", "old");
    AUTO(kept) struct kept kept = keep_entry(&tree, "file");
    AUTO(file_reader) struct file_reader reader = {.fd = -1};
    put_file(&tree, "new", "another");
    cr_assert_eq(renameat(tree.fd, "new", tree.fd, "file"), 0);
    open_kept(&kept, &reader);
    cr_assert_eq(reader.entry.key.size, 7);
    cr_assert(!reader.entry.cacheable);
    struct stat st;
    cr_assert_eq(fstatat(tree.fd, "file", &st, 0), 0);
    cr_assert_eq(reader.entry.key.inode, st.st_ino);
}

static void replace_by_link(const struct tree *tree)
{
    put_symlink(tree, "file", "secret");
}

static void replace_by_fifo(const struct tree *tree)
{
    cr_assert_eq(mkfifoat(tree->fd, "file", 0600), 0);
}

static void replace_by_directory(const struct tree *tree)
{
    put_dir(tree, "file");
}

static void replace_by_nothing(const struct tree *tree)
{
}

static void replace_by_forbidden(const struct tree *tree)
{
    put_file(tree, "file", "");
    cr_assert_eq(fchmodat(tree->fd, "file", 0, 0), 0);
    cr_assert(geteuid() != 0 || seteuid(65534) == 0);
}

Test(file_reader, whatever_else_took_the_place_is_not_read, .timeout = 60)
{
    static const struct {
        void (*replace)(const struct tree *tree);
        enum err_code code;
        const char *text;
    } cases[] = {
        {replace_by_link, ERR_FAILED, "it was replaced by something else while it was backed up"},
        {replace_by_fifo, ERR_FAILED, "it was replaced by something else while it was backed up"},
        {replace_by_directory, ERR_FAILED, "it was replaced by something else while it was backed up"},
        {replace_by_nothing, ERR_NOT_FOUND, "it vanished while it was backed up"},
        {replace_by_forbidden, ERR_SYSTEM, "cannot open it: Permission denied"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(tree) struct tree tree = tree_make();
        put_file(&tree, "file", "");
        put_file(&tree, "secret", "");
        AUTO(kept) struct kept kept = keep_entry(&tree, "file");
        AUTO(file_reader) struct file_reader reader = {.fd = -1};
        struct err err;
        cr_assert_eq(unlinkat(tree.fd, "file", 0), 0);
        cases[i].replace(&tree);
        bool ok = file_reader_open(kept.entry, READER_ASKS, &reader, &err);
        if (geteuid() != 0) cr_assert_eq(seteuid(0), 0);
        cr_assert(!ok, "case %zu", i);
        cr_assert_eq(err.code, cases[i].code, "case %zu: %s", i, err.text);
        cr_assert_str_eq(err.text, cases[i].text);
        cr_assert_eq(reader.fd, -1);
    }
}

static void rewrite(const struct tree *tree)
{
    put_file(tree, "file", "new");
}

static void replace_by_twin(const struct tree *tree)
{
    put_file(tree, "file", "new");
    set_mtime(tree, "file", 1);
    put_file(tree, "twin", "twi");
    set_mtime(tree, "twin", 1);
    cr_assert_eq(renameat(tree->fd, "twin", tree->fd, "file"), 0);
}

/* Whoever trusts reads first, so that it is told in the end has to be certain. */
Test(file_reader, what_was_trusted_and_is_another_is_told, .timeout = 60)
{
    static void (*const changes[])(const struct tree *tree) = {rewrite, replace_by_twin, replace_by_fifo,
                                                               replace_by_directory};
    for (size_t i = 0; i <= sizeof(changes) / sizeof(changes[0]); i++) {
        AUTO(tree) struct tree tree = tree_make();
        put_file(&tree, "file", "old");
        set_mtime(&tree, "file", 1);
        AUTO(kept) struct kept kept = keep_entry(&tree, "file");
        AUTO(file_reader) struct file_reader reader = {.fd = -1};
        char bytes[3];
        size_t got = 0;
        struct err err;
        if (i >= 2 && i < 4) cr_assert_eq(unlinkat(tree.fd, "file", 0), 0);
        if (i < 4) changes[i](&tree);
        cr_assert(file_reader_open(kept.entry, READER_TRUSTS, &reader, &err), "%s", err.text);
        cr_assert_eq(file_reader_read(&reader, 0, bytes, 3, &got, &err), i < 2 || i == 4, "case %zu", i);
        cr_assert_eq(reader.entry.key.size, 3, "as the walk saw it");
        cr_assert_eq(state_of(&reader), i == 4 ? FILE_SAME : FILE_CHANGED, "case %zu", i);
    }
}

Test(file_reader, a_replaced_file_with_other_names_is_refused)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "a", "");
    put_hard_link(&tree, "b", "a");
    AUTO(kept) struct kept kept = keep_entry(&tree, "a");
    AUTO(file_reader) struct file_reader reader = {.fd = -1};
    struct err err;
    put_file(&tree, "new", "");
    cr_assert_eq(renameat(tree.fd, "new", tree.fd, "a"), 0);
    cr_assert(!file_reader_open(kept.entry, READER_ASKS, &reader, &err));
    cr_assert_eq(err.code, ERR_FAILED);
}

Test(file_reader, a_link_in_the_place_of_its_directory_leads_nowhere)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "dir");
    put_file(&tree, "dir/file", "inside");
    put_dir(&tree, "outside");
    put_file(&tree, "outside/file", "outside");
    AUTO(kept) struct kept kept = keep_entry(&tree, "dir/file");
    AUTO(file_reader) struct file_reader reader = {.fd = -1};
    cr_assert_eq(renameat(tree.fd, "dir", tree.fd, "moved"), 0);
    put_symlink(&tree, "dir", "outside");
    struct err err;
    /* the directory is open or not, by chance: inside, or refused */
    if (file_reader_open(kept.entry, READER_ASKS, &reader, &err))
        cr_assert_eq(reader.entry.key.size, strlen("inside"));
}
