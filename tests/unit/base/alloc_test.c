#include "common/base/alloc.h"

#include "capture.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>

/* sizes the compiler does not see through, and no sanitizer's allocator refuses before ours does */
static volatile size_t huge = SIZE_MAX / 2;

Test(alloc, zero_bytes_are_a_pointer)
{
    void *blocks[] = {xmalloc(0), xcalloc(0, 8), xcalloc(8, 0), xrealloc(NULL, 0), xreallocarray(NULL, 0, 8)};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
        cr_assert_not_null(blocks[i]);
        free(blocks[i]);
    }
}

Test(alloc, calloc_zeroes)
{
    uint8_t *bytes = xcalloc(16, 16);
    for (size_t i = 0; i < 256; i++)
        cr_assert_eq(bytes[i], 0);
    free(bytes);
}

Test(alloc, texts_are_copied_and_formatted)
{
    char *copy = xstrdup("pack");
    char *made = xasprintf("%s-%d", copy, 7);
    cr_assert_str_eq(copy, "pack");
    cr_assert_str_eq(made, "pack-7");
    free(copy);
    free(made);
}

Test(alloc, a_product_that_overflows_ends_the_process, .signal = SIGABRT)
{
    (void)capture_start();
    free(xreallocarray(NULL, huge, 4));
}

Test(alloc, no_memory_ends_the_process, .signal = SIGABRT)
{
    (void)capture_start();
    alloc_abort(huge);
}
