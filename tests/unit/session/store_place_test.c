#include "transporter/session/store_place.h"

#include "common/base/alloc.h"
#include "tests/unit/base/scratch.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

/* allowed/ is a root, so is alias, a link to aliased/; outside/ is none. */
static struct scratch scratch;
static char *roots[2];
static struct policy policy;

static char *at(const char *name)
{
    return xasprintf("%s/%s", scratch.path, name);
}

static void link_to(const char *target, const char *name)
{
    AUTO(free) char *to = at(target), *from = at(name);
    cr_assert_eq(symlink(to, from), 0);
}

static void setup(void)
{
    scratch = scratch_make();
    static const char *const dirs[] = {"allowed", "allowed/below", "aliased", "outside", "outside/deep"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        AUTO(free) char *path = at(dirs[i]);
        cr_assert_eq(mkdir(path, 0700), 0);
    }
    link_to("aliased", "alias");
    link_to("outside", "allowed/out");
    link_to("outside/deep", "allowed/below/out");
    link_to("outside/not-yet", "allowed/nowhere");
    link_to("allowed/below", "allowed/in");
    link_to("allowed/loop", "allowed/loop");
    roots[0] = at("allowed");
    roots[1] = at("alias");
    policy = (struct policy){.repository_roots = roots, .repository_count = 2};
}

static void teardown(void)
{
    free(roots[0]);
    free(roots[1]);
    scratch_remove(&scratch);
}

TestSuite(store_place, .init = setup, .fini = teardown);

Test(store_place, below_a_root_is_allowed_whether_it_is_there_or_not)
{
    static const char *const good[] = {"allowed",        "allowed/below", "allowed/below/new/newer",
                                       "allowed/in/new", "alias/new",     "alias"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        AUTO(free) char *path = at(good[i]);
        struct err err = {0};
        cr_assert(store_place_check(&policy, path, &err), "%s: %s", good[i], err.text);
    }
}

Test(store_place, a_link_below_a_root_leads_nowhere_else)
{
    static const char *const bad[] = {"allowed/out", "allowed/out/new", "allowed/out/deep/new/newer",
                                      "allowed/below/out", "allowed/in/out/new"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        AUTO(free) char *path = at(bad[i]);
        struct err err = {0};
        cr_assert_not(store_place_check(&policy, path, &err), "%s", bad[i]);
        cr_assert_eq(err.code, ERR_POLICY);
        cr_assert(strstr(err.text, "/outside") && strstr(err.text, bad[i]), "%s", err.text);
    }
}

Test(store_place, a_link_to_what_is_not_there_or_to_itself_is_refused)
{
    static const char *const bad[] = {"allowed/nowhere", "allowed/nowhere/new", "allowed/loop/new"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        AUTO(free) char *path = at(bad[i]);
        struct err err = {0};
        cr_assert_not(store_place_check(&policy, path, &err), "%s", bad[i]);
        cr_assert(strstr(err.text, bad[i]), "%s", err.text);
    }
}

Test(store_place, what_is_no_root_is_refused_before_anything_is_looked_up)
{
    struct err err = {0};
    cr_assert_not(store_place_check(&policy, "/nowhere/at/all", &err));
    cr_assert_eq(err.code, ERR_POLICY);
}
