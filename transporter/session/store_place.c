#include "transporter/session/store_place.h"

#include "common/base/alloc.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The real path of as much of it as is there. */
static char *real_path(const char *path, struct err *err)
{
    AUTO(free) char *there = xstrdup(path);
    char *real = realpath(there, NULL);
    struct stat st;
    while (!real && errno == ENOENT && lstat(there, &st) != 0 && there[1] != '\0') {
        char *slash = strrchr(there, '/');
        slash[slash == there] = '\0';
        real = realpath(there, NULL);
    }
    if (!real && errno == ENOENT)
        (void)err_set(err, ERR_NOT_FOUND, "'%s' is a link that leads nowhere: is its disk mounted?", path);
    else if (!real)
        (void)err_sys(err, errno, "cannot tell where '%s' leads", path);
    return real;
}

static bool resolve_roots(const struct policy *policy, struct policy *out, struct err *err)
{
    out->repository_roots = xcalloc(policy->repository_count, sizeof(char *));
    for (; out->repository_count < policy->repository_count; out->repository_count++) {
        char *real = real_path(policy->repository_roots[out->repository_count], err);
        if (!real) return false;
        out->repository_roots[out->repository_count] = real;
    }
    return true;
}

DEFINE_AUTO_IN_PLACE(policy, struct policy, policy_deinit)

bool store_place_check(const struct policy *policy, const char *path, struct err *err)
{
    AUTO(policy) struct policy resolved = {0};
    if (!policy_may_store(policy, span_str(path), err)) return false;
    AUTO(free) char *real = real_path(path, err);
    if (!real || !resolve_roots(policy, &resolved, err)) return false;
    return policy_may_store(&resolved, span_str(real), err) || err_wrap(err, "where '%s' leads", path);
}
