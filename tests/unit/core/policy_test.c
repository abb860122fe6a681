#include "transporter/core/policy.h"

#include <criterion/criterion.h>

static char srv[] = "/srv", nested[] = "/srv/data/restore", mnt[] = "/mnt";
static char *roots[] = {srv, nested, mnt};
static const struct policy policy = {.restore_roots = roots, .restore_count = 3};

Test(policy, a_restore_is_told_the_nearest_root_that_allows_it)
{
    static const struct {
        const char *path, *root;
    } rows[] = {
        {"/srv", "/srv"},
        {"/srv/data", "/srv"},
        {"/srv/data/restored", "/srv"},
        {"/srv/data/restore", "/srv/data/restore"},
        {"/srv/data/restore/a/b", "/srv/data/restore"},
        {"/mnt/x", "/mnt"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct err err;
        const char *root = NULL;
        cr_assert(policy_may_restore(&policy, span_str(rows[i].path), &root, &err), "%s", rows[i].path);
        cr_assert_str_eq(root, rows[i].root);
    }
}

Test(policy, a_restore_beside_the_roots_or_by_no_plain_path_is_refused)
{
    static const char *const paths[] = {"/",           "/etc",    "/srvx", "srv",
                                        "/srv/../etc", "/srv//x", "/srv/", "/mnt/."};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        struct err err;
        const char *root = NULL;
        cr_assert_not(policy_may_restore(&policy, span_str(paths[i]), &root, &err), "%s", paths[i]);
        cr_assert_eq(err.code, ERR_POLICY);
        cr_assert_null(root);
    }
}

Test(policy, a_read_path_is_listed_only_by_itself)
{
    static const struct policy reading = {.read_roots = roots, .read_count = 3};
    cr_assert(policy_lists_read(&reading, "/srv"));
    cr_assert(policy_lists_read(&reading, "/srv/data/restore"));
    static const char *const others[] = {"/srv/data", "/srv/", "/sr", "/", "", "srv", "/srv/data/restore/x"};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        cr_assert_not(policy_lists_read(&reading, others[i]), "'%s'", others[i]);
}
