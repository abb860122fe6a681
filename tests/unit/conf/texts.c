#include "tests/unit/conf/texts.h"

#include <criterion/criterion.h>

struct conf *text_conf(const char *text)
{
    struct conf *conf = NULL;
    struct err err = {0};

    cr_assert(conf_parse("test.conf", span_str(text), &conf, &err), "%s", err.text);
    return conf;
}

void expect_error(bool done, const struct err *err, const char *text)
{
    cr_assert_not(done, "done, not '%s'", text);
    cr_assert_eq(err->code, ERR_CONFIG);
    cr_assert_str_eq(err->text, text);
}

void expect_done(bool done, const struct err *err)
{
    cr_assert(done, "%s", err->text);
}
