#include "common/base/alloc.h"
#include "common/conf/conf_gate.h"
#include "common/conf/conf_lex.h"
#include "tests/unit/conf/texts.h"

#include <criterion/criterion.h>
#include <string.h>

struct row {
    const char *text, *error;
};

static void expect_refused(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct conf *conf = NULL;
        struct err err = {0};
        bool done = conf_parse("test.conf", span_str(rows[i].text), &conf, &err);
        expect_error(done, &err, rows[i].error);
        cr_assert_null(conf);
    }
}
#define EXPECT_REFUSED(rows) expect_refused(rows, sizeof(rows) / sizeof((rows)[0]))

static void expect_fine(const char *text)
{
    struct conf *conf = NULL;
    struct err err = {0};

    cr_assert(conf_parse("test.conf", span_str(text), &conf, &err), "%s: %s", text, err.text);
    conf_free(conf);
}

Test(conf_gate, lets_pass_what_libconfig_reads_as_it_is_written)
{
    static const char *const texts[] = {
        "",
        "\n\n",
        "# nothing but a comment",
        "a = 1",
        "a = 1;",
        "a : 1",
        "a = 1, b = 2; c = 3 d = 4",
        "a=-2147483648;b=2147483647;c=0;d=-0;e=-7;",
        "a = true; b = FALSE; c = True;",
        "a = \"\"; b = \"x\"; c = \"two \" \"parts\"\n \"and three\";",
        "a = \"\\\\ \\\" \\n \\r \\t \\f \\x41 \\Xe4\";",
        "a = \"tab\there, # no comment, /* nor here */ // nor @include\";",
        "a = { }; b = ( ); c = [ ];",
        "a = { b = { c = 1; }; };",
        "a : { b = 1 } c = 2",
        "a = ( 1, \"x\", true, { b = 1; }, ( 2 ), [ 3, 4 ], [ ] );",
        "a = [ 1, 2, 3 ]; b = [ \"x\", \"y\" \"z\" ]; c = [ true, false ];",
        "/* a = 1; */ b = 2; // c = 3;\n# d = 4;\n/* e\n = 5;\n*/ f = 6;",
        "a = 1;\r\nb = 2;\r\n",
        "a_b-c9 = 1; Z = 2; trueish = 3;",
        "a = \"\xc3\xa4\"; # \xc3\xa4",
        "a = { a = 1; }; b = { a = 1; };",
        "/***/ a = 1; /**/",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect_fine(texts[i]);
}

/* libconfig 1.5 reads each of these, as another number. */
Test(conf_gate, refuses_numbers_that_libconfig_would_change)
{
    static const struct row rows[] = {
        {"a = 5000000000;",
         "test.conf:1: a: 5000000000 is out of range (sizes and times are strings: \"64MiB\", \"30s\")"},
        {"a = 2147483648;",
         "test.conf:1: a: 2147483648 is out of range (sizes and times are strings: \"64MiB\", \"30s\")"},
        {"a = -2147483649;",
         "test.conf:1: a: -2147483649 is out of range (sizes and times are strings: \"64MiB\", \"30s\")"},
        {"a = 18446744073709551617;", "test.conf:1: a: 18446744073709551617 is out of range (sizes and times "
                                      "are strings: \"64MiB\", \"30s\")"},
        {"a = 99999999999999999999999999999999999999999999;",
         "test.conf:1: a: 9999999999999999999999999999999999999999 is out of range (sizes and times are "
         "strings: \"64MiB\", \"30s\")"},
        {"a = 5000000000L;", "test.conf:1: a: '5000000000L' is not a plain decimal number"},
        {"a = 7L;", "test.conf:1: a: '7L' is not a plain decimal number"},
        {"a = 0x1FFFFFFFF;", "test.conf:1: a: '0x1FFFFFFFF' is not a plain decimal number"},
        {"a = 0600;", "test.conf:1: a: '0600' is not a plain decimal number"},
        {"a = -01;", "test.conf:1: a: '-01' is not a plain decimal number"},
        {"a = +1;", "test.conf:1: a: '+1' is not a plain decimal number"},
        {"a = 1.5;", "test.conf:1: a: '1.5' is not a plain decimal number"},
        {"a = 1e3;", "test.conf:1: a: '1e3' is not a plain decimal number"},
        {"a = .;", "test.conf:1: a: '.' is not a plain decimal number"},
        {"a = -;", "test.conf:1: a: '-' is not a plain decimal number"},
        {"a = 64MiB;", "test.conf:1: a: '64MiB' is not a plain decimal number"},
        {"a = 1-2;", "test.conf:1: a: '1-2' is not a plain decimal number"},
        {"a = [ 1, 5000000000 ];",
         "test.conf:1: a[1]: 5000000000 is out of range (sizes and times are strings: \"64MiB\", \"30s\")"},
    };

    EXPECT_REFUSED(rows);
}

Test(conf_gate, refuses_a_setting_that_is_set_twice_and_names_both_lines)
{
    static const struct row rows[] = {
        {"a = 1;\na = 1;", "test.conf:2: a: is set twice (first on line 1)"},
        {"r = {\n path = 1;\n b = 2;\n path = 3; };", "test.conf:4: r.path: is set twice (first on line 2)"},
        {"r = (\n{ x = 1; },\n{ x = 1;\n x = 2; });", "test.conf:4: r[1].x: is set twice (first on line 3)"},
        {"a = { };\n\na = { };", "test.conf:3: a: is set twice (first on line 1)"},
    };

    EXPECT_REFUSED(rows);
}

Test(conf_gate, refuses_includes)
{
    static const struct row rows[] = {
        {"@include \"/etc/passwd\"\n", "test.conf:1: unexpected '@' (files cannot be included)"},
        {"a = 1;\n\t@include \"/etc/passwd\"\n", "test.conf:2: unexpected '@' (files cannot be included)"},
        {"a = {\n @include \"x\"\n};", "test.conf:2: a: unexpected '@' (files cannot be included)"},
    };

    EXPECT_REFUSED(rows);
}

Test(conf_gate, names_place_and_cause_of_each_mistake)
{
    static const struct row rows[] = {
        {"a", "test.conf:1: a: the file ends where '=' is due"},
        {"a 1", "test.conf:1: a: '1' where '=' is due"},
        {"a \"x\"", "test.conf:1: a: a string where '=' is due"},
        {"a = ", "test.conf:1: a: the file ends where a value is due"},
        {"a = ;", "test.conf:1: a: ';' where a value is due"},
        {"a = trusted;", "test.conf:1: a: 'trusted' where a value (strings stand in quotes) is due"},
        {"a == 1", "test.conf:1: a: '=' where a value is due"},
        {"a = 1;;", "test.conf:1: ';' where a setting is due"},
        {"a = 1 \"x\"", "test.conf:1: a string where a setting is due"},
        {"1 = 2", "test.conf:1: '1' where a setting is due"},
        {"true = 2", "test.conf:1: 'true' where a setting is due"},
        {"}", "test.conf:1: '}' where a setting is due"},
        {"a = {\n b = 1;\n", "test.conf:3: a: the file ends where a setting or '}' is due"},
        {"a = { b = 1; )", "test.conf:1: a: ')' where a setting or '}' is due"},
        {"a = { b = { c = 1 d }; };", "test.conf:1: a.b.d: '}' where '=' is due"},
        {"a = ( 1, );", "test.conf:1: a[1]: ')' where a value is due"},
        {"a = ( 1 2 );", "test.conf:1: a: '2' where ',' or ')' is due"},
        {"a = ( , 1 );", "test.conf:1: a[0]: ',' where a value is due"},
        {"a = [ 1, ];", "test.conf:1: a[1]: ']' where another element of the same type is due"},
        {"a = [ 1, \"x\" ];", "test.conf:1: a[1]: a string where another element of the same type is due"},
        {"a = [ { } ];", "test.conf:1: a[0]: '{' where a value is due"},
        {"a = [ [ 1 ] ];", "test.conf:1: a[0]: '[' where a value is due"},
        {"a = [ 1 ;", "test.conf:1: a: ';' where ',' or ']' is due"},
        {"s = ( { p = 1; },\n { p = 5x; } );", "test.conf:2: s[1].p: '5x' is not a plain decimal number"},
        {"a = \"x", "test.conf:1: a: string is not closed"},
        {"a = \"x\n\";", "test.conf:1: a: string is not closed"},
        {"a = \"x\\", "test.conf:1: a: no such escape in a string (\\\\ is a backslash)"},
        {"a = \"C:\\dir\";", "test.conf:1: a: no such escape in a string (\\\\ is a backslash)"},
        {"a = \"\\x4\";", "test.conf:1: a: no such escape in a string (\\\\ is a backslash)"},
        {"a = \"\\x00\";", "test.conf:1: a: no such escape in a string (\\\\ is a backslash)"},
        {"a = \"\x01\";", "test.conf:1: a: control byte 0x01 in a string"},
        {"a = \"\r\";", "test.conf:1: a: control byte 0x0d in a string"},
        {"a = \"\x7f\";", "test.conf:1: a: control byte 0x7f in a string"},
        {"a = 1;\n\n/* b = 2;\n\n c = 3;", "test.conf:3: comment is not closed"},
        {"/*/ a = 1;", "test.conf:1: comment is not closed"},
        {"a = 1 / 2", "test.conf:1: unexpected '/'"},
        {"a = $x", "test.conf:1: a: unexpected '$'"},
        {"_a = 1", "test.conf:1: unexpected '_'"},
        {"a = 1\f", "test.conf:1: unexpected byte 0x0c"},
        {"\xef\xbb\xbf", "test.conf:1: unexpected byte 0xef"},
    };

    EXPECT_REFUSED(rows);
}

Test(conf_gate, refuses_a_nul_anywhere)
{
    static const struct {
        const char *text;
        size_t len;
        const char *error;
    } rows[] = {
        {"\0", 1, "test.conf:1: unexpected byte 0x00"},
        {"a = 1;\n\0b = 2;", 14, "test.conf:2: unexpected byte 0x00"},
        {"a = \"x\0y\";", 10, "test.conf:1: a: control byte 0x00 in a string"},
        {"a = 1\0", 6, "test.conf:1: unexpected byte 0x00"},
        {"# x\0\na = 1;", 11, "test.conf:1: NUL in a comment"},
        {"/*\n\0*/", 6, "test.conf:2: NUL in a comment"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err = {0};
        bool done = conf_gate_check("test.conf", span_of(rows[i].text, rows[i].len), &err);
        expect_error(done, &err, rows[i].error);
    }
}

static void put_repeated(struct buf *text, const char *part, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_put_str(text, part);
}

static bool check(const struct buf *text, struct err *err)
{
    return conf_gate_check("test.conf", buf_span(text), err);
}

Test(conf_gate, limits_depth)
{
    AUTO(buf) struct buf text = {0};
    struct err err = {0};

    put_repeated(&text, "a={", CONF_GATE_DEPTH);
    put_repeated(&text, "}", CONF_GATE_DEPTH);
    expect_done(check(&text, &err), &err);

    buf_clear(&text);
    put_repeated(&text, "a=(", 1);
    put_repeated(&text, "(", CONF_GATE_DEPTH);
    expect_error(check(&text, &err), &err,
                 "test.conf:1: a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: more than 16 levels");

    /* as deep as a file can be: no recursion */
    buf_clear(&text);
    put_repeated(&text, "a={", 300000);
    cr_assert_not(check(&text, &err));
}

Test(conf_gate, limits_the_numbers_of_settings_and_elements)
{
    AUTO(buf) struct buf text = {0};
    struct err err = {0};

    for (int i = 0; i < CONF_GATE_SETTINGS; i++)
        buf_printf(&text, "a%d=1;", i);
    expect_done(check(&text, &err), &err);
    buf_put_str(&text, "b=1;");
    expect_error(check(&text, &err), &err, "test.conf:1: b: more than 8192 settings");

    buf_clear(&text);
    put_repeated(&text, "a=[1", 1);
    put_repeated(&text, ",1", CONF_GATE_ELEMENTS - 1);
    put_repeated(&text, "];", 1);
    expect_done(check(&text, &err), &err);
    buf_put_str(&text, "b=(1);");
    expect_error(check(&text, &err), &err, "test.conf:1: b[0]: more than 65536 elements");
}

Test(conf_gate, limits_the_length_of_a_name)
{
    AUTO(buf) struct buf text = {0};
    struct err err = {0};

    put_repeated(&text, "x", CONF_NAME_LEN_MOST);
    buf_put_str(&text, "=1");
    expect_done(check(&text, &err), &err);
    buf_clear(&text);
    put_repeated(&text, "x", CONF_NAME_LEN_MOST + 1);
    buf_put_str(&text, "=1");
    expect_error(check(&text, &err), &err, "test.conf:1: name of more than 64 characters");
}

static const char sample[] = "name = \"x\\n\"; # c\nr = { path = \"/a\" \"b\"; n = -12; f = true; };\n"
                             "l = ( { p = 1; }, [ 1, 2 ], \"s\" ); /* c */ e = ( );\n";

/* Whatever is cut off or flipped, the gate and libconfig agree, or the gate refuses. */
static void expect_no_surprise(const char *text, size_t len)
{
    AUTO(conf) struct conf *conf = NULL;
    AUTO(free) char *exact = xmalloc(len + !len);
    struct err err = {0};

    memcpy(exact, text, len);
    if (conf_parse("test.conf", span_of(exact, len), &conf, &err)) return;
    cr_assert_eq(err.code, ERR_CONFIG);
    cr_assert(strncmp(err.text, "test.conf:", 10) == 0, "%s", err.text);
    cr_assert_null(strstr(err.text, "libconfig"), "%s", err.text);
}

Test(conf_gate, agrees_with_libconfig_on_every_truncation)
{
    for (size_t len = 0; len < sizeof(sample); len++)
        expect_no_surprise(sample, len);
}

Test(conf_gate, agrees_with_libconfig_on_every_flipped_bit)
{
    char text[sizeof(sample) - 1];

    for (size_t bit = 0; bit < 8 * sizeof(text); bit++) {
        memcpy(text, sample, sizeof(text));
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        expect_no_surprise(text, sizeof(text));
    }
}
