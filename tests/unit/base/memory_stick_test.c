/* File systems that lack what others have: hard links and modes (vfat, exfat), also a rename that replaces
 * nothing (some of FUSE and of networks). The system calls fail as they do there. */
#include "common/base/file.h"

#include "scratch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* Each: what the call fails with; 0: it works. */
static int no_links, no_quiet_rename, no_rename, no_modes;

int __real_linkat(int from, const char *old, int to, const char *name, int flags);
int __wrap_linkat(int from, const char *old, int to, const char *name, int flags);
int __wrap_linkat(int from, const char *old, int to, const char *name, int flags)
{
    errno = no_links;
    return no_links ? -1 : __real_linkat(from, old, to, name, flags);
}

int __real_renameat2(int from, const char *old, int to, const char *name, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *name, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *name, unsigned flags)
{
    errno = no_quiet_rename;
    return no_quiet_rename ? -1 : __real_renameat2(from, old, to, name, flags);
}

int __real_renameat(int from, const char *old, int to, const char *name);
int __wrap_renameat(int from, const char *old, int to, const char *name);
int __wrap_renameat(int from, const char *old, int to, const char *name)
{
    errno = no_rename;
    return no_rename ? -1 : __real_renameat(from, old, to, name);
}

int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode)
{
    errno = no_modes;
    return no_modes ? -1 : __real_fchmod(fd, mode);
}

/* A kit or a bundle is written there, and never over another one; nothing else is left behind. */
static void holds_what_is_written(void)
{
    AUTO(scratch) struct scratch dir = scratch_make();
    AUTO(buf) struct buf out = {0};
    struct err err;
    cr_assert(file_create(dir.fd, "kit", span_str("a"), 0600, &err), "%s", err.text);
    cr_assert_not(file_create(dir.fd, "kit", span_str("b"), 0600, &err));
    cr_assert_eq(err.code, ERR_EXISTS, "%s", err.text);
    cr_assert(file_read(dir.fd, "kit", 100, &out, &err), "%s", err.text);
    cr_assert(span_eq(buf_span(&out), span_str("a")));
    cr_assert(file_replace(dir.fd, "kit", span_str("c"), 0600, &err), "%s", err.text);
    cr_assert_eq(scratch_count(&dir), 1);
}

Test(memory_stick, without_hard_links_and_modes_takes_files)
{
    no_modes = EPERM;
    no_links = EPERM;
    holds_what_is_written();
}

Test(memory_stick, without_a_rename_that_replaces_nothing_takes_files)
{
    static const int codes[] = {EOPNOTSUPP, ENOSYS, EINVAL};
    no_links = EOPNOTSUPP;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        no_quiet_rename = codes[i];
        holds_what_is_written();
    }
}

Test(memory_stick, that_fails_keeps_no_name_for_what_was_not_written)
{
    struct err err;
    AUTO(scratch) struct scratch dir = scratch_make();
    no_links = EPERM;
    no_quiet_rename = EIO;
    cr_assert_not(file_create(dir.fd, "kit", span_str("a"), 0600, &err));
    cr_assert_eq(scratch_count(&dir), 0);
    no_quiet_rename = EINVAL;
    no_rename = EIO;
    cr_assert_not(file_create(dir.fd, "kit", span_str("a"), 0600, &err));
    cr_assert_eq(err.code, ERR_SYSTEM, "%s", err.text);
    cr_assert_eq(scratch_count(&dir), 0, "neither the empty file nor the unfinished one");
}
