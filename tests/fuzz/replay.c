/* Feeds files to a fuzz target without libFuzzer: the seeds as a test in every build, and a file
 * that a fuzzer found under a debugger. The operands are files, or folders that are walked. */
#include "common/base/file.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST_INPUT = 64 << 20 };

static size_t fed;

static int feed(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    if (kind == FTW_D) return 0;
    AUTO(buf) struct buf input = {0};
    struct err err;
    if (kind != FTW_F) {
        (void)fprintf(stderr, "cannot read '%s'\n", path);
        return 1;
    }
    if (!file_read(AT_FDCWD, path, LARGEST_INPUT, &input, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    /* a copy of the exact size, so that the sanitizer sees a read past its end */
    AUTO(free) uint8_t *exact = malloc(input.len ? input.len : 1);
    if (!exact) return 1;
    if (input.len) memcpy(exact, input.data, input.len);
    (void)LLVMFuzzerTestOneInput(exact, input.len);
    fed++;
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (nftw(argv[i], feed, 16, FTW_PHYS) != 0) {
            (void)fprintf(stderr, "stopped at '%s'\n", argv[i]);
            return 1;
        }
    }
    (void)printf("%zu files\n", fed);
    return fed ? 0 : 1;
}
