#include "scratch.h"
#include "tests/support/remove_tree.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>

struct scratch scratch_make(void)
{
    struct scratch scratch;
    const char *base = getenv("TMPDIR");
    int len = snprintf(scratch.path, sizeof(scratch.path), "%s/sealift-XXXXXX", base ? base : "/tmp");
    cr_assert(len > 0 && (size_t)len < sizeof(scratch.path));
    cr_assert_not_null(mkdtemp(scratch.path));
    scratch.fd = open(scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(scratch.fd >= 0);
    return scratch;
}

void scratch_remove(struct scratch *scratch)
{
    (void)close(scratch->fd);
    (void)remove_tree(scratch->path);
}

int scratch_count(const struct scratch *scratch)
{
    DIR *dir = opendir(scratch->path);
    cr_assert_not_null(dir);
    int count = 0;
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count - 2; /* "." and ".." */
}
