#include "common/base/secret.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

Test(secret, a_new_secret_is_zeroed_aligned_and_writable)
{
    for (size_t len = 0; len < 100; len++) {
        AUTO(secret) struct secret *secret = secret_new(len);
        cr_assert_eq(secret->len, len);
        cr_assert_eq((uintptr_t)secret->data % 16, 0, "length %zu", len);
        for (size_t i = 0; i < len; i++)
            cr_assert_eq(secret->data[i], 0);
        if (len) memset(secret->data, 0xaa, len);
    }
}

Test(secret, a_copy_holds_the_bytes)
{
    AUTO(secret) struct secret *secret = secret_copy("key", 3);
    cr_assert_eq(secret->len, 3);
    cr_assert_arr_eq(secret->data, "key", 3);
    AUTO(secret) struct secret *empty = secret_copy(NULL, 0);
    cr_assert_eq(empty->len, 0);
}

Test(secret, freeing_nothing_is_allowed)
{
    secret_free(NULL);
}

/* A sanitizer's handler would turn the signal into a report of its own. */
static void die_by_signal(void)
{
    cr_assert_neq(signal(SIGSEGV, SIG_DFL), SIG_ERR);
}

Test(secret, a_write_past_the_end_meets_the_guard_page, .signal = SIGSEGV)
{
    die_by_signal();
    struct secret *secret = secret_new(32);
    ((volatile uint8_t *)secret->data)[32] = 1;
}

Test(secret, nothing_can_be_read_after_free, .signal = SIGSEGV)
{
    die_by_signal();
    struct secret *secret = secret_copy("key", 3);
    const volatile uint8_t *data = secret->data;
    secret_free(secret);
    cr_assert_eq(data[0], 0);
}

Test(secret, a_write_before_the_start_is_noticed_when_freed, .signal = SIGSEGV)
{
    die_by_signal();
    struct secret *secret = secret_new(32);
    ((volatile uint8_t *)secret->data)[-1] ^= 1;
    secret_free(secret);
}

Test(secret, wipe_zeroes)
{
    uint8_t bytes[5] = {1, 2, 3, 4, 5};
    wipe(bytes + 1, 3);
    cr_assert_arr_eq(bytes, "\x01\0\0\0\x05", 5);
    wipe(NULL, 0);
}

Test(secret, a_key_on_the_stack_is_wiped_by_its_cleanup)
{
    uint8_t key[32];
    memset(key, 0xa5, sizeof(key));
    auto_wipe32(&key);
    for (size_t i = 0; i < sizeof(key); i++)
        cr_assert_eq(key[i], 0);
}

Test(secret, random_bytes_fill_everything_and_differ)
{
    uint8_t seen[64] = {0}, first[64], again[64];
    random_bytes(first, sizeof(first));
    for (int round = 0; round < 16; round++) {
        random_bytes(again, sizeof(again));
        for (size_t i = 0; i < sizeof(seen); i++)
            seen[i] |= again[i];
    }
    cr_assert_arr_neq(first, again, sizeof(first));
    for (size_t i = 0; i < sizeof(seen); i++)
        cr_assert_neq(seen[i], 0, "byte %zu was never filled", i);
    random_bytes(NULL, 0);
}

Test(secret, process_init_turns_core_dumps_off)
{
    cr_assert_eq(unsetenv("SEALIFT_DUMPABLE"), 0);
    struct err err;
    cr_assert(secret_process_init(&err), "%s", err.text);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_CORE, &limit), 0);
    cr_assert_eq(limit.rlim_cur | limit.rlim_max, 0);
    cr_assert_eq(prctl(PR_GET_DUMPABLE), 0);
    /* LeakSanitizer traces this process when it ends */
    cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}

Test(secret, process_init_leaves_dumps_on_when_the_environment_says_so)
{
    cr_assert_eq(setenv("SEALIFT_DUMPABLE", "1", 1), 0);
    int before = prctl(PR_GET_DUMPABLE);
    struct err err;
    cr_assert(secret_process_init(&err), "%s", err.text);
    cr_assert_eq(prctl(PR_GET_DUMPABLE), before);
}
