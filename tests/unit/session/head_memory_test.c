#include "transporter/session/head_memory.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static const struct id repository = {{1, 2, 3}};

static void fresh_dir(char path[static 64])
{
    (void)snprintf(path, 64, "/tmp/sealift-heads-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
}

static struct head_memory head(uint64_t statement, uint64_t number, uint8_t hash)
{
    return (struct head_memory){.statement = statement, .number = number, .hash = {{hash}}};
}

static enum err_code checked(struct head_memory before, struct head_memory now)
{
    struct err err = {0};
    return head_memory_check(&before, &now, &err) ? ERR_NONE : err.code;
}

static void keep(const char *dir, struct head_memory now)
{
    struct err err = {0};
    cr_assert(head_memory_keep(dir, &repository, &now, &err), "%s", err.text);
}

Test(head_memory, a_log_that_goes_on_is_taken)
{
    cr_assert_eq(checked(head(1, 0, 0), head(1, 9, 1)), ERR_NONE, "nothing is remembered");
    cr_assert_eq(checked(head(1, 9, 1), head(1, 9, 1)), ERR_NONE);
    cr_assert_eq(checked(head(1, 9, 1), head(1, 10, 2)), ERR_NONE);
}

Test(head_memory, a_log_that_steps_back_or_is_another_is_refused)
{
    cr_assert_eq(checked(head(1, 9, 1), head(1, 8, 7)), ERR_NOT_AUTHENTIC);
    cr_assert_eq(checked(head(1, 9, 1), head(1, 9, 2)), ERR_NOT_AUTHENTIC);
}

Test(head_memory, a_repository_that_was_signed_anew_begins_anew)
{
    cr_assert_eq(checked(head(1, 9, 1), head(2, 3, 7)), ERR_NONE);
    cr_assert_eq(checked(head(2, 9, 1), head(1, 3, 7)), ERR_NOT_AUTHENTIC, "an older statement frees nobody");
}

Test(head_memory, keeps_the_newest)
{
    char dir[64];
    struct head_memory kept;
    fresh_dir(dir);
    keep(dir, head(1, 9, 1));
    keep(dir, head(1, 7, 2));
    head_memory_load(dir, &repository, &kept);
    cr_assert_eq(kept.number, 9);
    cr_assert_eq(kept.hash.bytes[0], 1);
    keep(dir, head(2, 4, 3));
    head_memory_load(dir, &repository, &kept);
    cr_assert_eq(kept.number, 4, "signed anew");
}

Test(head_memory, of_a_file_that_was_cut_or_changed_nothing_is_remembered)
{
    char dir[64];
    struct head_memory kept;
    struct err err = {0};
    AUTO(buf) struct buf bytes = {0};
    fresh_dir(dir);
    keep(dir, head(1, 9, 1));
    AUTO(free) char *path = xasprintf("%s/heads/01020300000000000000000000000000", dir);
    cr_assert(file_read(AT_FDCWD, path, 4096, &bytes, &err), "%s", err.text);
    for (size_t i = 0; i < bytes.len; i++) {
        cr_assert(file_replace(AT_FDCWD, path, span_of(bytes.data, i), 0600, &err));
        head_memory_load(dir, &repository, &kept);
        cr_assert_eq(kept.number, 0, "cut at %zu", i);
        bytes.data[i] ^= 1;
        cr_assert(file_replace(AT_FDCWD, path, buf_span(&bytes), 0600, &err));
        bytes.data[i] ^= 1;
        head_memory_load(dir, &repository, &kept);
        cr_assert_eq(kept.number, 0, "flipped at %zu", i);
    }
}
