#include "transporter/source/plan.h"

#include <criterion/criterion.h>
#include <string.h>

Test(plan, paths_become_a_tree_of_names)
{
    static const char *const paths[] = {"/srv/www", "/home//x/", "/srv", "/etc/passwd", "/home/x"};
    AUTO(plan) struct plan *plan = NULL;
    struct err err;
    cr_assert(plan_new(paths, 5, &plan, &err), "%s", err.text);
    cr_assert(!plan->chosen);
    cr_assert_eq(plan->count, 3);
    cr_assert(span_eq(plan->children[0].name, span_str("etc")));
    cr_assert(span_eq(plan->children[1].name, span_str("home")));
    const struct plan *srv = plan_find(plan, span_str("srv"));
    cr_assert(srv && srv->chosen && srv->count == 1);
    const struct plan *home = plan_find(plan, span_str("home"));
    cr_assert(home && !home->chosen && home->count == 1 && home->children[0].chosen);
    cr_assert_null(plan_find(plan, span_str("hom")));
    cr_assert_null(plan_find(plan, span_str("homes")));
    cr_assert_null(plan_find(NULL, span_str("home")));
}

Test(plan, the_root_may_be_chosen)
{
    static const char *const paths[] = {"/"};
    AUTO(plan) struct plan *plan = NULL;
    struct err err;
    cr_assert(plan_new(paths, 1, &plan, &err), "%s", err.text);
    cr_assert(plan->chosen);
    cr_assert_eq(plan->count, 0);
}

Test(plan, other_paths_are_refused)
{
    static const char *const bad[] = {"", "home", "./home", "/home/..", "/./home", "/home/."};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct plan *plan = NULL;
        struct err err;
        cr_assert(!plan_new(&bad[i], 1, &plan, &err), "'%s'", bad[i]);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert(strstr(err.text, bad[i]));
    }
    struct plan *plan = NULL;
    struct err err;
    cr_assert(!plan_new(NULL, 0, &plan, &err));
    cr_assert_str_eq(err.text, "no path to back up");
}
