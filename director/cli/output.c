#include "director/cli/output.h"

#include "common/base/alloc.h"
#include "common/base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- values --- */

/* The length of the UTF-8 sequence that the bytes begin with (RFC 3629), or 0. */
static size_t sequence(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t first, last, low, high; /* first byte; limits of the second */
        size_t len;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (at[0] < forms[i].first || at[0] > forms[i].last) continue;
        if (forms[i].len > left) return 0;
        for (size_t k = 1; k < forms[i].len; k++) {
            uint8_t low = k == 1 ? forms[i].low : 0x80, high = k == 1 ? forms[i].high : 0xbf;
            if (at[k] < low || at[k] > high) return 0;
        }
        return forms[i].len;
    }
    return 0;
}

/* The code point of a sequence that sequence() measured. */
static uint32_t code_point(const uint8_t *at, size_t len)
{
    static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = at[0] & first_bits[len];
    for (size_t i = 1; i < len; i++)
        point = point << 6 | (at[i] & 0x3f);
    return point;
}

/* What steers a terminal, or has no shape of its own and makes a name pass for another one: control
 * characters (C1, too, which some terminals obey), marks that turn the direction of writing, and characters
 * of no width (the format characters of Unicode 15, and its two line ends). */
static bool is_control(uint32_t point)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x00, 0x1f},       {0x7f, 0x9f},       {0xad, 0xad},       {0x061c, 0x061c}, {0x180e, 0x180e},
        {0x200b, 0x200f},   {0x2028, 0x202e},   {0x2060, 0x206f},   {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
        {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe007f},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (point >= ranges[i].first && point <= ranges[i].last) return true;
    return false;
}

void output_escape(struct span bytes, struct buf *out)
{
    for (size_t i = 0; i < bytes.len;) {
        size_t len = sequence(bytes.data + i, bytes.len - i);
        size_t step = len ? len : 1;
        if (len && !is_control(code_point(bytes.data + i, len)))
            buf_put(out, bytes.data + i, len);
        else
            for (size_t k = 0; k < step; k++)
                buf_printf(out, "\\x%02x", bytes.data[i + k]);
        i += step;
    }
}

json_t *json_hex(const void *bytes, size_t len)
{
    AUTO(buf) struct buf text = {0};
    hex_encode(bytes, len, (char *)buf_grow(&text, 2 * len + 1));
    return json_string((const char *)text.data);
}

json_t *json_time(uint64_t time_ns)
{
    char text[21];
    if (time_ns == 0) return json_null();
    time_format(time_ns, text);
    return json_string(text);
}

json_t *json_count(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

json_t *json_lossy(struct span bytes)
{
    AUTO(buf) struct buf text = {0};
    for (size_t i = 0; i < bytes.len;) {
        size_t len = sequence(bytes.data + i, bytes.len - i);
        if (len && bytes.data[i])
            buf_put(&text, bytes.data + i, len);
        else
            buf_put_str(&text, "\xef\xbf\xbd");
        i += len ? len : 1;
    }
    return json_stringn(text.len ? (const char *)text.data : "", text.len);
}

void json_set_path(json_t *object, const char *key, struct span path)
{
    json_t *exact = json_stringn((const char *)path.data, path.len);
    if (exact && !memchr(path.data, 0, path.len)) {
        (void)json_object_set_new(object, key, exact);
        return;
    }
    json_decref(exact);
    AUTO(buf) struct buf name = {0};
    buf_printf(&name, "%s_hex", key);
    (void)json_object_set_new(object, key, json_lossy(path));
    (void)json_object_set_new(object, buf_cstr(&name), json_hex(path.data, path.len));
}

/* --- stderr --- */

const char *output_error_name(enum err_code code)
{
    static const struct {
        enum err_code code;
        const char *name;
    } names[] = {
        {ERR_NONE, "none"},
        {ERR_USAGE, "usage"},
        {ERR_FAILED, "failed"},
        {ERR_NOT_FOUND, "not_found"},
        {ERR_POLICY, "policy"},
        {ERR_BUSY, "busy"},
        {ERR_UNREACHABLE, "unreachable"},
        {ERR_CANCELLED, "cancelled"},
        {ERR_NO_KEY, "no_key"},
        {ERR_WRONG_KEY, "wrong_key"},
        {ERR_DAMAGED, "damaged"},
        {ERR_TRUNCATED, "truncated"},
        {ERR_NOT_ENCRYPTED, "not_encrypted"},
        {ERR_SALT_MISSING, "salt_missing"},
        {ERR_NOT_AUTHENTIC, "not_authentic"},
        {ERR_SYSTEM, "system"},
        {ERR_NO_SPACE, "no_space"},
        {ERR_EXISTS, "exists"},
        {ERR_VERSION, "version"},
        {ERR_PROTOCOL, "protocol"},
        {ERR_LIMIT, "limit"},
        {ERR_CONFIG, "config"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].code == code) return names[i].name;
    return "failed";
}

static void put_json_line(FILE *to, json_t *value)
{
    AUTO(free) char *text = json_dumps(value, JSON_COMPACT | OUTPUT_JSON_REALS);
    json_decref(value);
    if (text) (void)fprintf(to, "%s\n", text);
}

static void say(const struct output *output, const char *kind, const char *text)
{
    (void)fflush(stdout); /* what was said before stays before it, also where both go to one file */
    if (output->form == OUTPUT_JSON) {
        json_t *inner = json_pack("{s:o}", "text", json_lossy(span_str(text)));
        put_json_line(stderr, json_pack("{s:o}", kind, inner));
        return;
    }
    AUTO(buf) struct buf shown = {0};
    output_escape(span_str(text), &shown);
    if (strcmp(kind, "note") == 0)
        (void)fprintf(stderr, "%s\n", buf_cstr(&shown));
    else
        (void)fprintf(stderr, "%s: %s\n", kind, buf_cstr(&shown));
}

/* Whole, however long it is. */
PRINTF_LIKE(1, 0) static char *formatted(const char *fmt, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0) alloc_abort(strlen(fmt));
    return text;
}

void output_note(const struct output *output, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    AUTO(free) char *text = formatted(fmt, args);
    va_end(args);
    if (!output->quiet) say(output, "note", text);
}

void output_warning(const struct output *output, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    AUTO(free) char *text = formatted(fmt, args);
    va_end(args);
    say(output, "warning", text);
}

void output_error(const struct output *output, const struct err *err)
{
    (void)fflush(stdout);
    if (output->form == OUTPUT_TEXT) {
        AUTO(buf) struct buf shown = {0};
        output_escape(span_str(err->text), &shown);
        (void)fprintf(stderr, "sealift: %s\n", buf_cstr(&shown));
        return;
    }
    json_t *inner = json_pack("{s:i, s:s, s:o}", "code", err_exit_code(err->code), "name",
                              output_error_name(err->code), "text", json_lossy(span_str(err->text)));
    put_json_line(stderr, json_pack("{s:o}", "error", inner));
}

/* --- stdout --- */

void output_line(const struct output *output, json_t *object, const char *fmt, ...)
{
    va_list args;
    if (output->form == OUTPUT_JSON) {
        put_json_line(stdout, object);
        return;
    }
    va_start(args, fmt);
    AUTO(free) char *text = formatted(fmt, args);
    va_end(args);
    AUTO(buf) struct buf shown = {0};
    output_escape(span_str(text), &shown);
    (void)puts(buf_cstr(&shown));
    json_decref(object); /* what is printed may be in it */
}

void output_lines(const struct output *output, json_t *object, const char *fmt, ...)
{
    va_list args;
    if (output->form == OUTPUT_JSON) {
        put_json_line(stdout, object);
        return;
    }
    va_start(args, fmt);
    (void)vprintf(fmt, args);
    va_end(args);
    (void)putchar('\n');
    json_decref(object);
}

/* What comes before a row, or before the end. */
static void list_go_on(struct output_list *list, const char *between)
{
    if (list->begun)
        (void)fputs(between, stdout);
    else
        (void)printf("{\"%s\":[", list->name);
    list->begun = true;
}

void output_list_row(struct output_list *list, json_t *row)
{
    list_go_on(list, ",");
    (void)json_dumpf(row, stdout, JSON_COMPACT);
    json_decref(row);
}

void output_list_end(struct output_list *list)
{
    list_go_on(list, "");
    (void)puts("]}");
}

bool output_finish(struct err *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return true;
    return err_sys(err, errno, "cannot write the answer");
}
