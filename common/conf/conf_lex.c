#include "common/conf/conf_lex.h"

#include "common/base/err.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_char(char c)
{
    return is_letter(c) || is_digit(c) || c == '-' || c == '_';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_one_of(char c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static PRINTF_LIKE(2, 3) bool fail(struct conf_lexer *lexer, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(lexer->problem, sizeof(lexer->problem), fmt, args);
    va_end(args);
    return false;
}

static bool starts(const struct conf_lexer *lexer, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(lexer->end - lexer->at) >= len && memcmp(lexer->at, text, len) == 0;
}

static bool skip_line_comment(struct conf_lexer *lexer)
{
    for (; lexer->at < lexer->end && *lexer->at != '\n'; lexer->at++)
        if (*lexer->at == 0) return fail(lexer, "NUL in a comment");
    return true;
}

static bool skip_block_comment(struct conf_lexer *lexer)
{
    unsigned start = lexer->line;

    for (lexer->at += 2; lexer->at < lexer->end; lexer->at++) {
        if (starts(lexer, "*/")) {
            lexer->at += 2;
            return true;
        }
        if (*lexer->at == 0) return fail(lexer, "NUL in a comment");
        if (*lexer->at == '\n') lexer->line++;
    }
    lexer->line = start;
    return fail(lexer, "comment is not closed");
}

static bool skip_blanks(struct conf_lexer *lexer)
{
    while (lexer->at < lexer->end) {
        if (starts(lexer, "/*")) {
            if (!skip_block_comment(lexer)) return false;
        } else if (*lexer->at == '#' || starts(lexer, "//")) {
            if (!skip_line_comment(lexer)) return false;
        } else if (is_one_of(*lexer->at, " \t\r\n")) {
            if (*lexer->at++ == '\n') lexer->line++;
        } else {
            break;
        }
    }
    return true;
}

/* The length of the escape that begins here, or 0 if there is no such escape. */
static size_t escape_len(const struct conf_lexer *lexer)
{
    const char *at = lexer->at;
    size_t left = (size_t)(lexer->end - at);

    if (left >= 2 && is_one_of(at[1], "\\\"nrtf")) return 2;
    if (left < 4 || !is_one_of(at[1], "xX") || !is_hex(at[2]) || !is_hex(at[3])) return 0;
    return memcmp(at + 2, "00", 2) != 0 ? 4 : 0;
}

static bool take_string(struct conf_lexer *lexer)
{
    for (lexer->at++; lexer->at < lexer->end && *lexer->at != '\n';) {
        char c = *lexer->at;
        size_t len = c == '\\' ? escape_len(lexer) : 1;
        if (len == 0) return fail(lexer, "no such escape in a string (\\\\ is a backslash)");
        if ((c > 0 && c < ' ' && c != '\t') || c == 0 || c == 0x7f)
            return fail(lexer, "control byte 0x%02x in a string", (unsigned)c);
        lexer->at += len;
        if (c == '"') return true;
    }
    return fail(lexer, "string is not closed");
}

/* [-] and digits without a leading zero */
static bool is_plain_number(const char *text, size_t len)
{
    size_t first = text[0] == '-';

    for (size_t i = first; i < len; i++)
        if (!is_digit(text[i])) return false;
    return len > first && (text[first] != '0' || len == first + 1);
}

static bool fits_int(const char *text, size_t len)
{
    int64_t most = text[0] == '-' ? -(int64_t)INT32_MIN : INT32_MAX;
    int64_t value = 0;

    for (size_t i = text[0] == '-'; i < len && value <= most; i++)
        value = 10 * value + (text[i] - '0');
    return value <= most;
}

static bool take_number(struct conf_lexer *lexer)
{
    const char *text = lexer->at;

    while (lexer->at < lexer->end && (is_name_char(*lexer->at) || is_one_of(*lexer->at, "+.")))
        lexer->at++;
    size_t len = (size_t)(lexer->at - text);
    int shown = len < 40 ? (int)len : 40;
    if (!is_plain_number(text, len)) return fail(lexer, "'%.*s' is not a plain decimal number", shown, text);
    if (!fits_int(text, len))
        return fail(lexer, "%.*s is out of range (sizes and times are strings: \"64MiB\", \"30s\")", shown,
                    text);
    return true;
}

static bool take_name(struct conf_lexer *lexer, enum conf_token_kind *kind)
{
    const char *text = lexer->at;

    while (lexer->at < lexer->end && is_name_char(*lexer->at))
        lexer->at++;
    size_t len = (size_t)(lexer->at - text);
    if (len > CONF_NAME_LEN_MOST) return fail(lexer, "name of more than %d characters", CONF_NAME_LEN_MOST);
    if ((len == 4 && strncasecmp(text, "true", 4) == 0) || (len == 5 && strncasecmp(text, "false", 5) == 0))
        *kind = CONF_TOKEN_BOOL;
    return true;
}

static bool take_mark(struct conf_lexer *lexer)
{
    char c = *lexer->at;

    if (c == '@') return fail(lexer, "unexpected '@' (files cannot be included)");
    if (c <= ' ' || c > '~') return fail(lexer, "unexpected byte 0x%02x", (uint8_t)c);
    if (!is_one_of(c, "=:,;{}()[]")) return fail(lexer, "unexpected '%c'", c);
    lexer->at++;
    return true;
}

static bool take(struct conf_lexer *lexer, enum conf_token_kind *kind)
{
    char c = *lexer->at;

    if (c == '"') {
        *kind = CONF_TOKEN_STRING;
        return take_string(lexer);
    }
    if (is_digit(c) || is_one_of(c, "+-.")) {
        *kind = CONF_TOKEN_NUMBER;
        return take_number(lexer);
    }
    if (is_letter(c)) {
        *kind = CONF_TOKEN_NAME;
        return take_name(lexer, kind);
    }
    *kind = CONF_TOKEN_MARK;
    return take_mark(lexer);
}

struct conf_lexer conf_lexer_of(struct span text)
{
    const char *start = (const char *)text.data;

    return (struct conf_lexer){.at = start, .end = start + text.len, .line = 1};
}

struct conf_token conf_lexer_next(struct conf_lexer *lexer)
{
    bool good = skip_blanks(lexer);
    struct conf_token token = {.kind = CONF_TOKEN_END, .text = lexer->at, .line = lexer->line};

    if (!good || (lexer->at < lexer->end && !take(lexer, &token.kind))) token.kind = CONF_TOKEN_BAD;
    token.len = (size_t)(lexer->at - token.text);
    return token;
}
