#include "common/base/err.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(err, set_names_code_and_text_and_returns_false)
{
    struct err err;
    cr_assert(!err_set(&err, ERR_LIMIT, "chunk of %d bytes", 9));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_eq(err.sys, 0);
    cr_assert_str_eq(err.text, "chunk of 9 bytes");
}

Test(err, sys_appends_the_cause_and_picks_the_code)
{
    static const struct {
        int sys;
        enum err_code code;
        const char *text;
    } rows[] = {
        {ENOENT, ERR_NOT_FOUND, "cannot open '/x': No such file or directory"},
        {EEXIST, ERR_EXISTS, "cannot open '/x': File exists"},
        {ENOSPC, ERR_NO_SPACE, "cannot open '/x': No space left on device"},
        {EDQUOT, ERR_NO_SPACE, "cannot open '/x': Disk quota exceeded"},
        {EACCES, ERR_SYSTEM, "cannot open '/x': Permission denied"},
        {99999, ERR_SYSTEM, "cannot open '/x': error 99999"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct err err;
        cr_assert(!err_sys(&err, rows[i].sys, "cannot open '%s'", "/x"));
        cr_assert_eq(err.code, rows[i].code);
        cr_assert_eq(err.sys, rows[i].sys);
        cr_assert_str_eq(err.text, rows[i].text);
    }
}

Test(err, wrap_puts_the_outer_context_first_and_keeps_the_code)
{
    struct err err;
    (void)err_sys(&err, ENOSPC, "cannot write 'p'");
    cr_assert(!err_wrap(&err, "run %d", 4));
    cr_assert_str_eq(err.text, "run 4: cannot write 'p': No space left on device");
    cr_assert_eq(err.code, ERR_NO_SPACE);
    cr_assert_eq(err.sys, ENOSPC);
}

Test(err, arguments_may_point_into_the_error_itself)
{
    struct err err;
    (void)err_set(&err, ERR_FAILED, "inner");
    (void)err_set(&err, ERR_DAMAGED, "outer (%s)", err.text);
    cr_assert_str_eq(err.text, "outer (inner)");
    (void)err_wrap(&err, "%s, again", err.text);
    cr_assert_str_eq(err.text, "outer (inner), again: outer (inner)");
}

static char *long_text(size_t len)
{
    char *text = malloc(len + 1);
    memset(text, 'x', len);
    text[len] = 0;
    return text;
}

Test(err, a_long_path_is_cut_and_the_cause_stays)
{
    for (size_t len = 440; len < 700; len++) {
        char *path = long_text(len);
        struct err err;
        (void)err_sys(&err, ENOENT, "cannot open '%s'", path);
        size_t used = strlen(err.text);
        static const char cause[] = ": No such file or directory";
        cr_assert_leq(used, sizeof(err.text) - 1);
        cr_assert_str_eq(err.text + used - strlen(cause), cause);
        if (len > 500) cr_assert_not_null(strstr(err.text, "...: No such"));
        free(path);
    }
}

Test(err, both_parts_too_long_leave_some_of_each)
{
    char *text = long_text(600);
    struct err err;
    (void)err_set(&err, ERR_FAILED, "inner %s", text);
    cr_assert_eq(strlen(err.text), sizeof(err.text) - 1);
    (void)err_wrap(&err, "outer %s", text);
    cr_assert_eq(strlen(err.text), sizeof(err.text) - 1);
    cr_assert_eq(strncmp(err.text, "outer ", 6), 0);
    cr_assert_not_null(strstr(err.text, "...: inner "));
    cr_assert_str_eq(err.text + sizeof(err.text) - 4, "...");
    free(text);
}

Test(err, a_cut_does_not_split_a_character)
{
    char text[1024] = "";
    for (size_t i = 0; i < 400; i++) {
        memcpy(text + 2 * i, "\xc3\xa4", 3);
        struct err err;
        (void)err_set(&err, ERR_FAILED, "%s%s", i % 2 ? "a" : "", text);
        const char *mark = strstr(err.text, "...");
        size_t len = mark ? (size_t)(mark - err.text) : strlen(err.text);
        cr_assert_eq((len - i % 2) % 2, 0, "cut inside a character at %zu", len);
    }
}

Test(err, clear_makes_no_error)
{
    struct err err;
    (void)err_sys(&err, EIO, "x");
    err_clear(&err);
    cr_assert_eq(err.code, ERR_NONE);
    cr_assert_eq(err.sys, 0);
    cr_assert_str_empty(err.text);
}

Test(err, exit_codes_are_the_documented_ones)
{
    static const struct {
        enum err_code code;
        int exit;
    } rows[] = {
        {ERR_NONE, 0},          {ERR_USAGE, 2},          {ERR_FAILED, 3},         {ERR_NOT_FOUND, 4},
        {ERR_POLICY, 5},        {ERR_BUSY, 6},           {ERR_UNREACHABLE, 7},    {ERR_CANCELLED, 8},
        {ERR_NO_KEY, 20},       {ERR_WRONG_KEY, 21},     {ERR_DAMAGED, 22},       {ERR_TRUNCATED, 23},
        {ERR_SALT_MISSING, 25}, {ERR_NOT_ENCRYPTED, 24}, {ERR_NOT_AUTHENTIC, 26}, {ERR_SYSTEM, 3},
        {ERR_NO_SPACE, 3},      {ERR_EXISTS, 3},         {ERR_VERSION, 3},        {ERR_PROTOCOL, 3},
        {ERR_LIMIT, 3},         {ERR_CONFIG, 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_assert_eq(err_exit_code(rows[i].code), rows[i].exit, "code %d", rows[i].code);
}
