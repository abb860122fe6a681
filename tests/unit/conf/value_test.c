#include "tests/unit/conf/texts.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>

static const struct conf_word zones[] = {{"trusted", 1}, {"untrusted", 2}, {NULL, 0}};

Test(conf_value, getters_return_what_is_written)
{
    AUTO(conf)
    struct conf *conf = text_conf("s = \"a \" \"b\\x21\"; p = \"/var\"; t = true; f = false; n = -5;\n"
                                  "z = \"64MiB\"; d = \"90s\"; w = \"untrusted\";");
    struct conf_group root = conf_root(conf);
    struct err err = {0};
    const char *text = NULL;
    bool flag = false;
    int number = 0;
    uint64_t quantity = 0;

    expect_done(conf_get_string(root, "s", &text, &err), &err);
    cr_assert_str_eq(text, "a b!");
    expect_done(conf_get_path(root, "p", &text, &err), &err);
    cr_assert_str_eq(text, "/var");
    expect_done(conf_get_bool(root, "t", &flag, &err), &err);
    cr_assert(flag);
    expect_done(conf_get_bool(root, "f", &flag, &err), &err);
    cr_assert_not(flag);
    expect_done(conf_get_integer(root, "n", -5, -5, &number, &err), &err);
    cr_assert_eq(number, -5);
    expect_done(conf_get_size(root, "z", 64 << 20, 64 << 20, &quantity, &err), &err);
    cr_assert_eq(quantity, 64 << 20);
    expect_done(conf_get_duration(root, "d", 90000, 90000, &quantity, &err), &err);
    cr_assert_eq(quantity, 90000);
    expect_done(conf_get_word(root, "w", zones, &number, &err), &err);
    cr_assert_eq(number, 2);
    expect_done(conf_finish(conf, &err), &err);
}

Test(conf_value, fallbacks_stand_in_only_for_what_is_not_there)
{
    AUTO(conf)
    struct conf *conf = text_conf("s = \"x\"; p = \"/x\"; b = false; n = 7; z = \"1kB\"; d = \"1m\";"
                                  "w = \"trusted\";");
    struct conf_group root = conf_root(conf), there = root, nowhere;
    struct err err = {0};

    expect_done(conf_get_group_or_empty(root, "nowhere", &nowhere, &err), &err);
    for (int absent = 0; absent < 2; absent++) {
        struct conf_group at = absent ? nowhere : there;
        const char *s, *p;
        bool b;
        int n, w;
        uint64_t z, d;
        expect_done(conf_get_string_or(at, "s", "fallback", &s, &err), &err);
        expect_done(conf_get_path_or(at, "p", NULL, &p, &err), &err);
        expect_done(conf_get_bool_or(at, "b", true, &b, &err), &err);
        expect_done(conf_get_integer_or(at, "n", 0, 10, 99, &n, &err), &err);
        expect_done(conf_get_size_or(at, "z", 0, 5000, 77, &z, &err), &err);
        expect_done(conf_get_duration_or(at, "d", 0, 60000, 88, &d, &err), &err);
        expect_done(conf_get_word_or(at, "w", zones, 55, &w, &err), &err);
        cr_assert_str_eq(s, absent ? "fallback" : "x");
        cr_assert(absent ? p == NULL : strcmp(p, "/x") == 0);
        cr_assert_eq(b, absent);
        cr_assert_eq(n, absent ? 99 : 7);
        cr_assert_eq(z, absent ? 77 : 1000);
        cr_assert_eq(d, absent ? 88 : 60000);
        cr_assert_eq(w, absent ? 55 : 1);
    }
    expect_done(conf_finish(conf, &err), &err);
}

Test(conf_value, a_missing_setting_is_named_with_its_group)
{
    AUTO(conf) struct conf *conf = text_conf("\nrepository = {\n};\nlist = (\n {}\n);");
    struct conf_group repository, nowhere, deeper;
    struct conf_list list;
    struct err err = {0};
    const char *text = NULL;

    expect_error(conf_get_string(conf_root(conf), "name", &text, &err), &err, "test.conf: name: missing");
    expect_done(conf_get_group(conf_root(conf), "repository", &repository, &err), &err);
    expect_error(conf_get_path(repository, "path", &text, &err), &err,
                 "test.conf:2: repository.path: missing");
    expect_done(conf_get_list(conf_root(conf), "list", &list, &err), &err);
    expect_error(conf_get_string(conf_list_at(&list, 0), "x", &text, &err), &err,
                 "test.conf:5: list[0].x: missing");
    expect_error(conf_get_group(conf_root(conf), "nowhere", &nowhere, &err), &err,
                 "test.conf: nowhere: missing");
    expect_done(conf_get_group_or_empty(conf_root(conf), "nowhere", &nowhere, &err), &err);
    expect_done(conf_get_group_or_empty(nowhere, "deeper", &deeper, &err), &err);
    expect_error(conf_get_string(deeper, "x", &text, &err), &err, "test.conf: nowhere.deeper.x: missing");
    cr_assert_null(text);
}

Test(conf_value, a_wrong_type_is_told_with_the_right_one)
{
    AUTO(conf) struct conf *conf = text_conf("s = \"x\";\nn = 1;\nb = true;\ng = {};\nl = ();\na = [];");
    struct conf_group root = conf_root(conf), group;
    struct conf_list list;
    struct conf_strings strings;
    struct err err = {0};
    const char *s;
    bool b;
    int n;
    uint64_t q;

    expect_error(conf_get_string(root, "n", &s, &err), &err,
                 "test.conf:2: n: must be a string, not a number");
    expect_error(conf_get_string_or(root, "b", "x", &s, &err), &err,
                 "test.conf:3: b: must be a string, not true or false");
    expect_error(conf_get_path(root, "g", &s, &err), &err, "test.conf:4: g: must be a string, not a group");
    expect_error(conf_get_bool(root, "n", &b, &err), &err,
                 "test.conf:2: n: must be true or false, not a number");
    expect_error(conf_get_bool(root, "s", &b, &err), &err,
                 "test.conf:1: s: must be true or false, not a string");
    expect_error(conf_get_integer(root, "s", 0, 1, &n, &err), &err,
                 "test.conf:1: s: must be a number, not a string");
    expect_error(conf_get_size(root, "n", 0, 1, &q, &err), &err,
                 "test.conf:2: n: must be a string with a unit, such as \"64MiB\", not a number");
    expect_error(conf_get_duration(root, "n", 0, 1, &q, &err), &err,
                 "test.conf:2: n: must be a string with a unit, such as \"30s\", not a number");
    expect_error(conf_get_word(root, "l", zones, &n, &err), &err,
                 "test.conf:5: l: must be a string, not a list");
    expect_error(conf_get_group(root, "s", &group, &err), &err,
                 "test.conf:1: s: must be a group, not a string");
    expect_error(conf_get_group_or_empty(root, "a", &group, &err), &err,
                 "test.conf:6: a: must be a group, not an array");
    expect_error(conf_get_list(root, "g", &list, &err), &err,
                 "test.conf:4: g: must be a list of groups, not a group");
    expect_error(conf_get_strings(root, "s", &strings, &err), &err,
                 "test.conf:1: s: must be a list of strings, not a string");
}

Test(conf_value, refuses_values_out_of_bounds)
{
    AUTO(conf)
    struct conf *conf = text_conf("port = 70000;\nslots = -1;\nsize = \"64KiB\";\nbig = \"3TB\";\n"
                                  "time = \"10ms\";\nlong = \"52w\";");
    struct conf_group root = conf_root(conf);
    struct err err = {0};
    int n = 42;
    uint64_t q = 43;

    expect_error(conf_get_integer(root, "port", 1, 65535, &n, &err), &err,
                 "test.conf:1: port: 70000 is more than 65535");
    expect_error(conf_get_integer_or(root, "slots", 0, INT_MAX, 1, &n, &err), &err,
                 "test.conf:2: slots: -1 is less than 0");
    expect_error(conf_get_size(root, "size", 1 << 20, UINT64_MAX, &q, &err), &err,
                 "test.conf:3: size: '64KiB' is less than 1MiB");
    expect_error(conf_get_size(root, "size", 65537, UINT64_MAX, &q, &err), &err,
                 "test.conf:3: size: '64KiB' is less than 65537");
    expect_error(conf_get_size(root, "size", 0, 0, &q, &err), &err,
                 "test.conf:3: size: '64KiB' is more than 0");
    expect_error(conf_get_size_or(root, "big", 0, UINT64_C(2) << 40, 0, &q, &err), &err,
                 "test.conf:4: big: '3TB' is more than 2TiB");
    expect_error(conf_get_duration(root, "time", 1000, 2000, &q, &err), &err,
                 "test.conf:5: time: '10ms' is less than 1s");
    expect_error(conf_get_duration_or(root, "long", 0, UINT64_C(36) * 3600000, 0, &q, &err), &err,
                 "test.conf:6: long: '52w' is more than 36h");
    cr_assert(n == 42 && q == 43);
}

Test(conf_value, refuses_texts_that_are_no_such_value)
{
    AUTO(conf)
    struct conf *conf = text_conf("empty = \"\";\nrelative = \"var/x\";\nsize = \"64 MiB\";\n"
                                  "time = \"30\";\nzone = \"trustd\";\nhuge = \"99999999TiB\";");
    struct conf_group root = conf_root(conf);
    struct err err = {0};
    const char *s = NULL;
    int n = 42;
    uint64_t q = 43;

    expect_error(conf_get_string(root, "empty", &s, &err), &err, "test.conf:1: empty: must not be empty");
    expect_error(conf_get_string_or(root, "empty", "x", &s, &err), &err,
                 "test.conf:1: empty: must not be empty");
    expect_error(conf_get_path(root, "relative", &s, &err), &err,
                 "test.conf:2: relative: must be an absolute path");
    expect_error(
        conf_get_size(root, "size", 0, UINT64_MAX, &q, &err), &err,
        "test.conf:3: size: '64 MiB' is no size: write 512, 64KiB, 16MiB, 1GiB, 2TiB, the same as 64K, 16M, "
        "1G, 2T, or kB, MB, GB, TB");
    expect_error(conf_get_duration(root, "time", 0, UINT64_MAX, &q, &err), &err,
                 "test.conf:4: time: '30' is no duration: write 250ms, 30s, 5m, 12h, 90d or 2w");
    expect_error(conf_get_size(root, "huge", 0, UINT64_MAX, &q, &err), &err,
                 "test.conf:6: huge: size '99999999TiB' is too large");
    expect_error(conf_get_word(root, "zone", zones, &n, &err), &err,
                 "test.conf:5: zone: 'trustd' is none of: trusted, untrusted");
    cr_assert(s == NULL && n == 42 && q == 43);
}

Test(conf_value, refuses_a_path_that_the_system_could_not_take)
{
    AUTO(buf) struct buf text = {0};
    struct err err = {0};
    const char *s = NULL;

    buf_put_str(&text, "p = \"/");
    memset(buf_grow(&text, PATH_MAX - 1), 'x', PATH_MAX - 1);
    buf_put_str(&text, "\"");
    AUTO(conf) struct conf *conf = text_conf(buf_cstr(&text));
    expect_error(conf_get_path(conf_root(conf), "p", &s, &err), &err,
                 "test.conf:1: p: must be shorter than 4096 bytes");
}

Test(conf_value, strings_come_as_list_or_array_or_not_at_all)
{
    AUTO(conf) struct conf *conf = text_conf("l = ( \"a\", \"b\" \"c\" ); a = [ \"d\" ]; e = [ ];");
    struct conf_strings strings = {0};
    struct err err = {0};

    expect_done(conf_get_strings(conf_root(conf), "l", &strings, &err), &err);
    cr_assert_eq(strings.count, 2);
    cr_assert_str_eq(strings.items[0], "a");
    cr_assert_str_eq(strings.items[1], "bc");
    expect_done(conf_get_strings(conf_root(conf), "a", &strings, &err), &err);
    cr_assert_eq(strings.count, 1);
    cr_assert_str_eq(strings.items[0], "d");
    expect_done(conf_get_strings(conf_root(conf), "e", &strings, &err), &err);
    cr_assert_eq(strings.count, 0);
    strings.count = 5;
    expect_done(conf_get_strings(conf_root(conf), "nowhere", &strings, &err), &err);
    cr_assert_eq(strings.count, 0);
    expect_done(conf_finish(conf, &err), &err);
}

Test(conf_value, refuses_lists_of_anything_but_strings)
{
    AUTO(conf)
    struct conf *conf = text_conf("n = [ 1 ];\nm = ( \"a\",\n 5 );\ng = ( { } );\ne = ( \"a\", \"\" );");
    struct conf_strings strings = {.count = 9};
    struct conf_group root = conf_root(conf);
    struct err err = {0};

    expect_error(conf_get_strings(root, "n", &strings, &err), &err,
                 "test.conf:1: n[0]: must be a string, not a number");
    expect_error(conf_get_strings(root, "m", &strings, &err), &err,
                 "test.conf:3: m[1]: must be a string, not a number");
    expect_error(conf_get_strings(root, "g", &strings, &err), &err,
                 "test.conf:4: g[0]: must be a string, not a group");
    expect_error(conf_get_strings(root, "e", &strings, &err), &err, "test.conf:5: e[1]: must not be empty");
    cr_assert_eq(strings.count, 9);
}
