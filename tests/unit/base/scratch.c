#include "scratch.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>

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

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    return remove(path);
}

void scratch_remove(struct scratch *scratch)
{
    (void)close(scratch->fd);
    (void)nftw(scratch->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
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
