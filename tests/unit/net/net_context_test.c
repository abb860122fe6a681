#include "common/net/net_context.h"

#include <criterion/criterion.h>
#include <sys/resource.h>

Test(net_context, raises_the_limit_of_open_files)
{
    struct err err;
    struct rlimit limit;
    AUTO(net_context) struct net_context *context = NULL;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 256;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert(net_context_new(2, &context, &err), "%s", err.text);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(limit.rlim_cur, limit.rlim_max < 65536 ? limit.rlim_max : 65536);
}

Test(net_context, keeps_a_limit_that_is_higher)
{
    struct err err;
    struct rlimit limit;
    AUTO(net_context) struct net_context *context = NULL;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert(net_context_new(1, &context, &err), "%s", err.text);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(limit.rlim_cur, limit.rlim_max);
}

Test(net_context, has_one_to_sixteen_io_threads)
{
    struct err err;
    struct net_context *context = NULL;
    cr_assert(!net_context_new(0, &context, &err));
    cr_assert_eq(err.code, ERR_CONFIG);
    cr_assert(!net_context_new(17, &context, &err));
    cr_assert_str_eq(err.text, "17 i/o threads: from 1 to 16 are possible");
    cr_assert_null(context);
}
