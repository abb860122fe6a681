#include "common/base/alloc.h"
#include "common/base/file.h"
#include "tests/support/remove_tree.h"
#include "tests/unit/conf/texts.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char dir[] = "/tmp/sealift-conf-XXXXXX";

static void make_dir(void)
{
    cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void)
{
    cr_assert(remove_tree(dir));
}

static char *in_dir(const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

static void write_file(const char *path, struct span bytes, mode_t mode)
{
    struct err err = {0};

    cr_assert(file_replace(AT_FDCWD, path, bytes, mode, &err), "%s", err.text);
}

TestSuite(conf_load, .init = make_dir, .fini = remove_dir);

static void expect_load_error(const char *path, enum conf_readers readers, const char *fmt_error)
{
    struct conf *conf = NULL;
    struct err err = {0};
    AUTO(buf) struct buf error = {0};

    for (const char *at = fmt_error; *at; at++) /* % is the path */
        *at == '%' ? buf_put_str(&error, path) : buf_put_u8(&error, (uint8_t)*at);
    expect_error(conf_load(path, readers, &conf, &err), &err, buf_cstr(&error));
    cr_assert_null(conf);
}

Test(conf_load, reads_a_file_and_names_it_in_errors)
{
    AUTO(free) char *path = in_dir("a.conf");
    AUTO(conf) struct conf *conf = NULL;
    struct err err = {0};
    const char *name = NULL;

    write_file(path, span_str("name = \"web\"; # comment without a line end"), 0640);
    expect_done(conf_load(path, CONF_READ_BY_OWNER_AND_GROUP, &conf, &err), &err);
    expect_done(conf_get_string(conf_root(conf), "name", &name, &err), &err);
    cr_assert_str_eq(name, "web");
    expect_done(conf_finish(conf, &err), &err);

    write_file(path, span_str("\na = 1 b"), 0640);
    expect_load_error(path, CONF_READ_BY_ALL, "%:2: b: the file ends where '=' is due");
}

Test(conf_load, tells_why_a_file_cannot_be_opened)
{
    AUTO(free) char *path = in_dir("nowhere.conf");
    struct conf *conf = NULL;
    struct err err = {0};

    expect_load_error(path, CONF_READ_BY_ALL, "cannot open '%': No such file or directory");
    cr_assert_not(conf_load(path, CONF_READ_BY_ALL, &conf, &err));
    cr_assert_eq(err.sys, ENOENT);
}

Test(conf_load, refuses_what_is_no_regular_file_without_waiting, .timeout = 60)
{
    AUTO(free) char *fifo = in_dir("fifo");

    cr_assert_eq(mkfifo(fifo, 0600), 0);
    expect_load_error(fifo, CONF_READ_BY_ALL, "'%' is not a regular file");
    expect_load_error(dir, CONF_READ_BY_ALL, "'%' is not a regular file");
}

Test(conf_load, refuses_files_that_are_open_to_everybody)
{
    AUTO(free) char *path = in_dir("a.conf");
    AUTO(conf) struct conf *conf = NULL;
    struct err err = {0};

    write_file(path, span_str("a = 1;"), 0644);
    expect_done(conf_load(path, CONF_READ_BY_ALL, &conf, &err), &err);
    expect_load_error(path, CONF_READ_BY_OWNER_AND_GROUP,
                      "'%' holds secrets and can be read by everybody (chmod o-r)");
    write_file(path, span_str("a = 1;"), 0602);
    expect_load_error(path, CONF_READ_BY_ALL, "'%' can be written by everybody (chmod o-w)");
    expect_load_error(path, CONF_READ_BY_OWNER_AND_GROUP, "'%' can be written by everybody (chmod o-w)");
}

Test(conf_load, refuses_files_over_the_limit)
{
    AUTO(free) char *path = in_dir("a.conf");
    AUTO(buf) struct buf text = {0};
    AUTO(conf) struct conf *conf = NULL;
    struct err err = {0};

    memset(buf_grow(&text, CONF_FILE_MOST), ' ', CONF_FILE_MOST);
    write_file(path, buf_span(&text), 0600);
    expect_done(conf_load(path, CONF_READ_BY_ALL, &conf, &err), &err);
    buf_put_u8(&text, ' ');
    write_file(path, buf_span(&text), 0600);
    expect_load_error(path, CONF_READ_BY_ALL, "'%' is larger than 1048576 bytes");
    conf_free(conf);
    conf = NULL;
    expect_error(conf_parse("test.conf", buf_span(&text), &conf, &err), &err,
                 "'test.conf' is larger than 1048576 bytes");
}

Test(conf_finish, names_the_first_setting_that_nobody_asked_for)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"known = 1;\nknwon = 2;\nother = 3;", "test.conf:2: knwon: unknown setting"},
        {"group = {\n x = 1;\n y = 2;\n};", "test.conf:3: group.y: unknown setting"},
        {"other = {\n x = 1;\n};", "test.conf:1: other: unknown setting"},
        {"list = ( { x = 1; },\n { x = 1;\n z = 1; } );", "test.conf:3: list[1].z: unknown setting"},
        {"strings = [ \"a\" ]; list2 = ( \"a\",\n \"b\" );", "test.conf:1: list2: unknown setting"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO(conf) struct conf *conf = text_conf(rows[i].text);
        struct conf_group root = conf_root(conf), group;
        struct conf_list list;
        struct conf_strings strings;
        struct err err = {0};
        int n;
        expect_done(conf_get_integer_or(root, "known", 0, 9, 0, &n, &err), &err);
        expect_done(conf_get_group_or_empty(root, "group", &group, &err), &err);
        expect_done(conf_get_integer_or(group, "x", 0, 9, 0, &n, &err), &err);
        expect_done(conf_get_list(root, "list", &list, &err), &err);
        for (size_t k = 0; k < list.count; k++)
            expect_done(conf_get_integer(conf_list_at(&list, k), "x", 0, 9, &n, &err), &err);
        expect_done(conf_get_strings(root, "strings", &strings, &err), &err);
        expect_error(conf_finish(conf, &err), &err, rows[i].error);
    }
}

Test(conf_finish, has_is_not_asking)
{
    AUTO(conf) struct conf *conf = text_conf("a = 1;");
    struct err err = {0};

    cr_assert(conf_has(conf_root(conf), "a"));
    cr_assert_not(conf_has(conf_root(conf), "b"));
    expect_error(conf_finish(conf, &err), &err, "test.conf:1: a: unknown setting");
}

Test(conf_finish, an_empty_file_is_fine)
{
    AUTO(conf) struct conf *conf = text_conf("");
    struct err err = {0};

    expect_done(conf_finish(conf, &err), &err);
}

Test(conf_list, gives_groups_in_the_order_of_the_file)
{
    AUTO(conf) struct conf *conf = text_conf("l = ( { n = 1; }, { n = 2; } );");
    struct conf_list list, none;
    struct err err = {0};
    int n = 0;

    expect_done(conf_get_list(conf_root(conf), "l", &list, &err), &err);
    cr_assert_eq(list.count, 2);
    for (int i = 0; i < 2; i++) {
        expect_done(conf_get_integer(conf_list_at(&list, (size_t)i), "n", 0, 9, &n, &err), &err);
        cr_assert_eq(n, i + 1);
    }
    expect_done(conf_get_list(conf_root(conf), "nowhere", &none, &err), &err);
    cr_assert_eq(none.count, 0);
    expect_done(conf_finish(conf, &err), &err);
}

Test(conf_list, refuses_elements_that_are_no_groups)
{
    AUTO(conf) struct conf *conf = text_conf("l = ( { },\n 5 );");
    struct conf_list list;
    struct err err = {0};

    expect_error(conf_get_list(conf_root(conf), "l", &list, &err), &err,
                 "test.conf:2: l[1]: must be a group, not a number");
}

Test(conf_reject, has_the_form_of_the_other_errors)
{
    AUTO(conf) struct conf *conf = text_conf("\nr = { p = \"x\";\n l = ( \"a\",\n \"b\" ); };");
    struct conf_group group, nowhere;
    struct err err = {0};

    expect_done(conf_get_group(conf_root(conf), "r", &group, &err), &err);
    expect_done(conf_get_group_or_empty(group, "n", &nowhere, &err), &err);
    expect_error(conf_reject(group, "p", &err, "no such %s", "thing"), &err,
                 "test.conf:2: r.p: no such thing");
    expect_error(conf_reject(group, "q", &err, "needed with p"), &err, "test.conf:2: r.q: needed with p");
    expect_error(conf_reject(nowhere, "q", &err, "bad"), &err, "test.conf: r.n.q: bad");
    expect_error(conf_reject_item(group, "l", 1, &err, "is '%s'", "b"), &err, "test.conf:4: r.l[1]: is 'b'");
    expect_error(conf_reject_item(group, "l", 7, &err, "bad"), &err, "test.conf:3: r.l[7]: bad");
}

Test(conf_reject, keeps_the_cause_readable_behind_a_long_path)
{
    AUTO(buf) struct buf name = {0};
    struct conf *conf = NULL;
    struct err err = {0};

    memset(buf_grow(&name, 4000), 'x', 4000);
    cr_assert_not(conf_parse(buf_cstr(&name), span_str("a = ;"), &conf, &err));
    cr_assert_not_null(strstr(err.text, "...: a: ';' where a value is due"), "%s", err.text);
}
