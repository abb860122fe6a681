#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/conf/conf_logins.h"
#include "tests/support/remove_tree.h"
#include "tests/unit/conf/texts.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

static char dir[] = "/tmp/sealift-logins-XXXXXX";

static void write_file(const char *name, const char *text, mode_t mode)
{
    struct err err = {0};
    AUTO(free) char *path = xasprintf("%s/%s", dir, name);
    cr_assert(file_replace(AT_FDCWD, path, span_str(text), mode, &err), "%s", err.text);
}

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(dir));
    write_file("good", "s3cret with blanks\n", 0600);
    write_file("open", "s3cret\n", 0644);
    write_file("empty", "", 0600);
    write_file("two", "a\nb\n", 0600);
    AUTO(free) char *longest = xcalloc(1, 258);
    memset(longest, 'x', 255);
    write_file("longest", longest, 0600);
    longest[255] = 'x';
    write_file("longer", longest, 0600);
}

static void tear_down(void)
{
    cr_assert(remove_tree(dir));
}

TestSuite(conf_logins, .init = set_up, .fini = tear_down);

static bool read_logins(const char *text, struct conf_logins *out, struct err *err)
{
    AUTO(buf) struct buf full = {0};
    for (const char *at = text; *at; at++) /* % is the directory */
        *at == '%' ? buf_put_str(&full, dir) : buf_put_u8(&full, (uint8_t)*at);
    AUTO(conf) struct conf *conf = text_conf(buf_cstr(&full));
    *err = (struct err){0};
    return conf_get_logins(conf_root(conf), "proxies", out, err) && conf_finish(conf, err);
}

Test(conf_logins, are_read_in_the_order_of_the_file)
{
    struct err err;
    AUTO(conf_logins) struct conf_logins logins = {0};
    expect_done(
        read_logins("proxies = ( { address = \"p:1080\"; user = \"web\"; password_file = \"%/good\"; },\n"
                    "  { address = \"[2001:db8::1]:1\"; user = \"x\"; password_file = \"%/longest\"; } );",
                    &logins, &err),
        &err);
    const struct login *login = &logins.items[0];
    cr_assert_eq(logins.count, 2);
    cr_assert_str_eq(login->address, "p:1080");
    cr_assert_str_eq(login->user, "web");
    cr_assert(span_eq(span_of(login->password->data, login->password->len), span_str("s3cret with blanks")));
    cr_assert_str_eq(logins.items[1].address, "[2001:db8::1]:1");
    cr_assert_eq(logins.items[1].password->len, 255);
}

Test(conf_logins, that_cannot_work_are_refused_with_the_line)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"proxies = ( { address = \"p\"; user = \"u\"; password_file = \"%/good\"; } );",
         "test.conf:1: proxies[0].address: must be HOST:PORT, with a port from 1 to 65535"},
        {"proxies = ( { user = \"u\"; password_file = \"%/good\"; } );", NULL},
        {"proxies = ( { address = \"p:1\"; password_file = \"%/good\"; } );", NULL},
        {"proxies = ( { address = \"p:1\"; user = \"u\"; } );", NULL},
        {"proxies = ( { address = \"p:1\"; user = \"u\"; password_file = \"%/open\"; } );", NULL},
        {"proxies = ( { address = \"p:1\"; user = \"u\"; password_file = \"%/empty\"; } );", NULL},
        {"proxies = ( { address = \"p:1\"; user = \"u\"; password_file = \"%/two\"; } );", NULL},
        {"proxies = ( { address = \"p:1\"; user = \"u\"; password_file = \"%/longer\"; } );", NULL},
        {"proxies = ( { address = \"p:1\"; user = \"u\"; password_file = \"%/nowhere\"; } );", NULL},
        {"proxies = ( { address = \"p:1\"; user = \"u\"; password_file = \"%\"; } );", NULL},
        {"proxies = ( { address = \"p:1\"; user = \"u\"; password = \"s3cret\"; password_file = \"%/good\"; "
         "} );",
         NULL},
        {"proxies = ( { address = \"p:1\"; user = \"u\"; password_file = \"%/good\"; },\n"
         "{ address = \"p:1\"; user = \"v\"; password_file = \"%/good\"; } );",
         "test.conf:2: proxies[1].address: 'p:1' is there twice"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err;
        AUTO(conf_logins) struct conf_logins logins = {0};
        cr_assert_not(read_logins(cases[i].text, &logins, &err), "%s", cases[i].text);
        cr_assert_eq(err.code, ERR_CONFIG, "%s: %s", cases[i].text, err.text);
        cr_assert_null(strstr(err.text, "s3cret"), "%s", err.text);
        if (cases[i].error) cr_assert_str_eq(err.text, cases[i].error);
    }
}
