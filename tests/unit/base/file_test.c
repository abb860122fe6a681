#include "common/base/file.h"

#include "scratch.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void expect_content(int dirfd, const char *path, const char *content)
{
    AUTO(buf) struct buf out = {0};
    struct err err;
    cr_assert(file_read(dirfd, path, 1 << 20, &out, &err), "%s", err.text);
    cr_assert_str_eq(buf_cstr(&out), content);
}

static void put(int dirfd, const char *path, const char *content)
{
    struct err err;
    cr_assert(file_create(dirfd, path, span_str(content), 0600, &err), "%s", err.text);
}

Test(file, read_takes_up_to_the_limit_and_not_a_byte_more)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    put(dir.fd, "f", "12345");
    AUTO(buf) struct buf out = {0};
    struct err err;
    cr_assert(file_read(dir.fd, "f", 5, &out, &err), "%s", err.text);
    cr_assert_str_eq(buf_cstr(&out), "12345");
    cr_assert(!file_read(dir.fd, "f", 4, &out, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_str_eq(err.text, "'f' is larger than 4 bytes");
    cr_assert_str_eq(buf_cstr(&out), "12345", "the output is untouched on failure");
    cr_assert(file_read(dir.fd, "f", SIZE_MAX, &out, &err), "%s", err.text);
    cr_assert_eq(out.len, 5, "what the buffer held before is replaced");
}

Test(file, read_takes_an_empty_file)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    put(dir.fd, "f", "");
    AUTO(buf) struct buf out = {0};
    struct err err;
    cr_assert(file_read(dir.fd, "f", 0, &out, &err), "%s", err.text);
    cr_assert_eq(out.len, 0);
}

Test(file, read_of_a_pipe_is_limited_as_well)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    char block[1000];
    memset(block, 'p', sizeof(block));
    for (int i = 0; i < 50; i++)
        cr_assert_eq(write(ends[1], block, sizeof(block)), (ssize_t)sizeof(block));
    (void)close(ends[1]);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    AUTO(buf) struct buf out = {0};
    struct err err;
    cr_assert(!file_read(AT_FDCWD, path, 10000, &out, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert(file_read(AT_FDCWD, path, 100000, &out, &err), "%s", err.text);
    cr_assert_eq(out.len, 50000 - 10001);
    (void)close(ends[0]);
}

/* Nobody writes into it, and nobody is waited for. */
Test(file, a_fifo_is_no_regular_file)
{
    struct err err;
    AUTO(buf) struct buf out = {0};
    AUTO(scratch) struct scratch dir = scratch_make();
    AUTO(free) char *path = xasprintf("%s/fifo", dir.path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_not(file_read_regular(path, 100, &out, &err));
    cr_assert_eq(err.code, ERR_CONFIG);
    cr_assert_not(file_read_regular(dir.path, 100, &out, &err));
    cr_assert_eq(unlink(path), 0);
    cr_assert_not(file_read_regular(path, 100, &out, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert(file_create(AT_FDCWD, path, span_str("text"), 0600, &err), "%s", err.text);
    cr_assert(file_read_regular(path, 100, &out, &err), "%s", err.text);
    cr_assert_eq(out.len, 4);
}

Test(file, read_names_what_is_missing_or_no_file)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    AUTO(buf) struct buf out = {0};
    struct err err;
    cr_assert(!file_read(dir.fd, "none", 10, &out, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "cannot open 'none': No such file or directory");
    cr_assert(!file_read(dir.fd, ".", 10, &out, &err));
    cr_assert_str_eq(err.text, "cannot read '.': Is a directory");
}

Test(file, replace_makes_and_replaces_with_the_mode_as_given)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    struct err err;
    struct stat st;
    (void)umask(077);
    cr_assert(file_replace(dir.fd, "f", span_str("one"), 0644, &err), "%s", err.text);
    expect_content(dir.fd, "f", "one");
    cr_assert_eq(fstatat(dir.fd, "f", &st, 0), 0);
    cr_assert_eq(st.st_mode & 07777, 0644);
    cr_assert(file_replace(dir.fd, "f", span_str("two"), 0600, &err), "%s", err.text);
    expect_content(dir.fd, "f", "two");
    cr_assert_eq(fstatat(dir.fd, "f", &st, 0), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
    cr_assert_eq(scratch_count(&dir), 1);
}

Test(file, replace_leaves_a_reader_its_old_file)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    put(dir.fd, "f", "old");
    AUTO(fd) int fd = openat(dir.fd, "f", O_RDONLY | O_CLOEXEC);
    struct err err;
    cr_assert(file_replace(dir.fd, "f", span_str("new"), 0600, &err), "%s", err.text);
    char bytes[3];
    cr_assert(fd_pread_all(fd, bytes, sizeof(bytes), 0, "f", &err), "%s", err.text);
    cr_assert_arr_eq(bytes, "old", 3);
}

Test(file, create_refuses_a_name_that_exists_and_leaves_it)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    struct err err;
    put(dir.fd, "f", "first");
    cr_assert(!file_create(dir.fd, "f", span_str("second"), 0600, &err));
    cr_assert_eq(err.code, ERR_EXISTS);
    cr_assert_str_eq(err.text, "cannot create 'f': File exists");
    expect_content(dir.fd, "f", "first");
    cr_assert_eq(symlinkat("nowhere", dir.fd, "link"), 0);
    cr_assert(!file_create(dir.fd, "link", span_str("x"), 0600, &err));
    cr_assert_eq(err.code, ERR_EXISTS, "a dangling link is a name too");
    cr_assert_eq(scratch_count(&dir), 2, "no temporary file stays");
}

Test(file, both_work_with_absolute_paths_subfolders_and_long_names)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    struct err err;
    AUTO(buf) struct buf path = {0};
    buf_printf(&path, "%s/f", dir.path);
    cr_assert(file_create(AT_FDCWD, buf_cstr(&path), span_str("a"), 0600, &err), "%s", err.text);
    expect_content(dir.fd, "f", "a");
    cr_assert_eq(mkdirat(dir.fd, "sub", 0700), 0);
    cr_assert(file_replace(dir.fd, "sub/g", span_str("b"), 0600, &err), "%s", err.text);
    expect_content(dir.fd, "sub/g", "b");
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    cr_assert(file_create(dir.fd, name, span_str("c"), 0600, &err), "%s", err.text);
    expect_content(dir.fd, name, "c");
}

Test(file, a_write_that_fails_leaves_the_old_file_and_no_other)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    put(dir.fd, "f", "old");
    AUTO(buf) struct buf large = {0};
    memset(buf_grow(&large, 8192), 'x', 8192);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, small = {4096, 4096};
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct err replaced, created;
    bool did_replace = file_replace(dir.fd, "f", buf_span(&large), 0600, &replaced);
    bool did_create = file_create(dir.fd, "g", buf_span(&large), 0600, &created);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    cr_assert(!did_replace && !did_create);
    cr_assert_str_eq(replaced.text, "cannot write 'f': File too large");
    cr_assert_str_eq(created.text, "cannot write 'g': File too large");
    expect_content(dir.fd, "f", "old");
    cr_assert_eq(scratch_count(&dir), 1);
}

Test(file, a_missing_folder_is_named_with_the_target)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    struct err err;
    cr_assert(!file_replace(dir.fd, "no/f", span_str("x"), 0600, &err));
    cr_assert_str_eq(err.text, "cannot create 'no/f': No such file or directory");
    cr_assert(!file_create(dir.fd, "no/f", span_str("x"), 0600, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
}

Test(file, a_file_does_not_replace_a_folder)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    struct err err;
    cr_assert_eq(mkdirat(dir.fd, "d", 0700), 0);
    cr_assert(!file_replace(dir.fd, "d", span_str("x"), 0600, &err));
    cr_assert_str_eq(err.text, "cannot replace 'd': Is a directory");
    cr_assert_eq(scratch_count(&dir), 1);
}

Test(file, folders_are_made_with_their_parents_and_may_exist)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    struct err err;
    struct stat st;
    static const char *const below[] = {"/a/b/c", "/a/b/c", "/a/b/c/", "/a//b/./d//", "", "/"};
    for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++) {
        AUTO(buf) struct buf path = {0};
        buf_printf(&path, "%s%s", dir.path, below[i]);
        cr_assert(dir_make(buf_cstr(&path), 0700, &err), "'%s': %s", below[i], err.text);
        cr_assert(stat(buf_cstr(&path), &st) == 0 && S_ISDIR(st.st_mode));
    }
    cr_assert(dir_make("/", 0700, &err), "%s", err.text);
    cr_assert(dir_make("//", 0700, &err), "%s", err.text);
    cr_assert_eq(fstatat(dir.fd, "a/b", &st, 0), 0);
    cr_assert_eq(st.st_mode & 07777, 0700);
    cr_assert_eq(fchdir(dir.fd), 0);
    cr_assert(dir_make("r/s", 0700, &err), "%s", err.text);
    cr_assert(stat("r/s", &st) == 0 && S_ISDIR(st.st_mode));
}

Test(file, folders_are_made_and_opened_beneath_another)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    static const char *const below[] = {"a/b/c", "/a/b/c/", "a//b/d", "", "/"};
    for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++) {
        struct err err;
        struct stat there, opened;
        AUTO(fd) int fd = -1;
        cr_assert(dir_open_beneath(dir.fd, span_str(below[i]), 0700, &fd, &err), "'%s': %s", below[i],
                  err.text);
        const char *path = below[i] + (*below[i] == '/');
        cr_assert(fstatat(dir.fd, *path ? path : ".", &there, 0) == 0 && fstat(fd, &opened) == 0);
        cr_assert_eq(there.st_ino, opened.st_ino);
    }
}

Test(file, a_folder_beneath_another_is_reached_through_no_symlink)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    AUTO(scratch) struct scratch elsewhere = scratch_make();
    static const char *const below[] = {"link", "link/new", "real/link/new", "../new", "file/new"};
    cr_assert_eq(mkdirat(dir.fd, "real", 0700), 0);
    cr_assert_eq(symlinkat(elsewhere.path, dir.fd, "link"), 0);
    cr_assert_eq(symlinkat("..", dir.fd, "real/link"), 0);
    put(dir.fd, "file", "");
    for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++) {
        struct err err;
        int fd = -1;
        cr_assert_not(dir_open_beneath(dir.fd, span_str(below[i]), 0700, &fd, &err), "%s", below[i]);
        cr_assert_eq(err.code, i < 4 ? ERR_POLICY : ERR_SYSTEM, "%s: %s", below[i], err.text);
        cr_assert_eq(fd, -1);
    }
    cr_assert_eq(scratch_count(&elsewhere), 0);
    cr_assert_eq(scratch_count(&dir), 3);
}

Test(file, a_folder_is_not_made_where_a_file_stands)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    struct err err;
    cr_assert_eq(fchdir(dir.fd), 0);
    put(dir.fd, "f", "");
    cr_assert(!dir_make("f", 0700, &err));
    cr_assert_str_eq(err.text, "cannot make the directory 'f': Not a directory");
    cr_assert(!dir_make("f/g", 0700, &err));
    cr_assert_str_eq(err.text, "cannot make the directory 'f': Not a directory");
    cr_assert(!dir_make("", 0700, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
}

Test(file, sync_takes_folders_only)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    struct err err;
    put(dir.fd, "f", "");
    cr_assert(dir_sync(dir.fd, ".", &err), "%s", err.text);
    cr_assert(!dir_sync(dir.fd, "f", &err));
    cr_assert_str_eq(err.text, "cannot open the directory 'f': Not a directory");
}

Test(file, positioned_writes_and_reads_meet)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    AUTO(fd) int fd = openat(dir.fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct err err;
    char bytes[4];
    cr_assert(fd_pwrite_all(fd, span_str("tail"), UINT64_C(5) << 30, "f", &err), "%s", err.text);
    cr_assert(fd_pwrite_all(fd, span_str("head"), 0, "f", &err), "%s", err.text);
    cr_assert(fd_pread_all(fd, bytes, 4, UINT64_C(5) << 30, "f", &err), "%s", err.text);
    cr_assert_arr_eq(bytes, "tail", 4);
    cr_assert(fd_pread_all(fd, bytes, 4, 0, "f", &err), "%s", err.text);
    cr_assert_arr_eq(bytes, "head", 4);
}

Test(file, a_read_past_the_end_is_truncated)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    put(dir.fd, "f", "12345");
    AUTO(fd) int fd = openat(dir.fd, "f", O_RDONLY | O_CLOEXEC);
    struct err err;
    char bytes[8];
    static const struct {
        uint64_t offset;
        size_t len;
    } rows[] = {{0, 6}, {5, 1}, {4, 2}, {UINT64_C(1) << 40, 1}, {UINT64_MAX, 8}, {INT64_MAX, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        cr_assert(!fd_pread_all(fd, bytes, rows[i].len, rows[i].offset, "f", &err), "row %zu", i);
        cr_assert_eq(err.code, ERR_TRUNCATED);
        cr_assert_str_eq(err.text, "'f' ends too early");
    }
    cr_assert(fd_pread_all(fd, bytes, 5, 0, "f", &err), "%s", err.text);
    cr_assert(fd_pread_all(fd, bytes, 0, 5, "f", &err), "%s", err.text);
}

Test(file, writes_report_what_the_system_says)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    put(dir.fd, "f", "");
    AUTO(fd) int fd = openat(dir.fd, "f", O_RDONLY | O_CLOEXEC);
    struct err err;
    cr_assert(!fd_write_all(fd, span_str("x"), "f", &err));
    cr_assert_str_eq(err.text, "cannot write 'f': Bad file descriptor");
    cr_assert(!fd_pwrite_all(fd, span_str("x"), 0, "f", &err));
    cr_assert_eq(err.sys, EBADF);
    cr_assert(!fd_pwrite_all(fd, span_str("x"), UINT64_MAX, "f", &err));
    cr_assert_str_eq(err.text, "cannot write 'f': File too large");
    AUTO(fd) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    cr_assert(!fd_write_all(full, span_str("x"), "full", &err));
    cr_assert_eq(err.code, ERR_NO_SPACE);
}

Test(file, write_all_goes_on_after_short_writes)
{
    /* a pipe takes 64 KiB at a time; the reader is another process */
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        AUTO(buf) struct buf bytes = {0};
        memset(buf_grow(&bytes, 1 << 20), 'w', 1 << 20);
        struct err err;
        bool done = fd_write_all(ends[1], buf_span(&bytes), "pipe", &err);
        buf_deinit(&bytes);
        _exit(done ? 0 : 1);
    }
    (void)close(ends[1]);
    size_t total = 0;
    char block[777];
    for (ssize_t got; (got = read(ends[0], block, sizeof(block))) > 0;)
        total += (size_t)got;
    cr_assert_eq(total, 1 << 20);
    (void)close(ends[0]);
}
