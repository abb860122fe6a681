/* Without libFuzzer: feeds the files of the given folders to the target, as a test. Fails when there
 * is no file, so that a wrong path does not pass. */
#include "common/base/bytes.h"
#include "common/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED_MOST = 16 << 20 };

static void auto_dir(DIR **dir)
{
    if (*dir) (void)closedir(*dir);
}

static bool replay_file(int dirfd, const char *name, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};

    if (!file_read(dirfd, name, SEED_MOST, &bytes, err)) return false;
    /* its own allocation of the exact size, so that the sanitizer sees a read past the end */
    AUTO(free) uint8_t *exact = malloc(bytes.len + !bytes.len);
    if (!exact) return err_set(err, ERR_FAILED, "no memory");
    if (bytes.len) memcpy(exact, bytes.data, bytes.len);
    (void)LLVMFuzzerTestOneInput(exact, bytes.len);
    return true;
}

static bool replay_dir(const char *path, size_t *count, struct err *err)
{
    AUTO(dir) DIR *dir = opendir(path);

    if (!dir) return err_set(err, ERR_FAILED, "cannot open '%s'", path);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] == '.') continue;
        if (!replay_file(dirfd(dir), entry->d_name, err)) return false;
        (*count)++;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    size_t count = 0;

    for (int i = 1; i < argc; i++) {
        if (replay_dir(argv[i], &count, &err)) continue;
        (void)fprintf(stderr, "%s: %s\n", argv[0], err.text);
        return 1;
    }
    (void)printf("%zu seeds\n", count);
    return count > 0 ? 0 : 1;
}
