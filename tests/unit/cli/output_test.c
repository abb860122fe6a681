#include "director/cli/output.h"

#include "tests/unit/base/capture.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

static const struct column columns[] = {
    {"name", "NAME", COLUMN_TEXT}, {"size", "SIZE", COLUMN_SIZE}, {"id", "ID", COLUMN_ID},
    {"good", "GOOD", COLUMN_YES},  {"hidden", NULL, COLUMN_TEXT}, {0},
};

static json_t *rows(void)
{
    json_t *list = json_array();
    (void)json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:b, s:s}", "name", "web", "size", 1536,
                                                "id", "0123456789abcdef0123", "good", 1, "hidden", "x"));
    (void)json_array_append_new(
        list, json_pack("{s:s, s:n, s:s, s:b}", "name", "a longer one", "size", "id", "ff", "good", 0));
    return list;
}

Test(output, a_table_is_aligned, .init = cr_redirect_stdout)
{
    const struct output output = {0};
    output_table(&output, "things", columns, rows());
    (void)fflush(stdout);
    cr_assert_stdout_eq_str("NAME             SIZE  ID            GOOD\n"
                            "web           1.5 KiB  0123456789ab  yes\n"
                            "a longer one        -  ff            -\n");
}

Test(output, with_json_it_is_one_document_with_all_members, .init = cr_redirect_stdout)
{
    const struct output output = {.form = OUTPUT_JSON};
    output_table(&output, "things", columns, rows());
    (void)fflush(stdout);
    FILE *answer = cr_get_redirected_stdout();
    json_t *document = json_loadf(answer, 0, NULL);
    cr_assert_not_null(document);
    const json_t *first = json_array_get(json_object_get(document, "things"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(first, "hidden")), "x");
    cr_assert_str_eq(json_string_value(json_object_get(first, "id")), "0123456789abcdef0123");
    json_decref(document);
}

Test(output, a_list_row_by_row_is_the_same_document, .init = cr_redirect_stdout)
{
    struct output_list list = {.name = "files"};
    struct output_list empty = {.name = "none"};
    output_list_row(&list, json_pack("{s:s}", "path", "/a"));
    output_list_row(&list, json_pack("{s:s}", "path", "/b"));
    output_list_end(&list);
    output_list_end(&empty);
    (void)fflush(stdout);
    cr_assert_stdout_eq_str("{\"files\":[{\"path\":\"/a\"},{\"path\":\"/b\"}]}\n"
                            "{\"none\":[]}\n");
}

Test(output, a_record_is_titles_and_values_with_lists_below_each_other, .init = cr_redirect_stdout)
{
    static const struct column fields[] = {
        {"name", "name", COLUMN_TEXT}, {"paths", "paths", COLUMN_TEXT}, {"gone", "gone", COLUMN_TEXT}, {0}};
    const struct output output = {0};
    output_record(&output, fields, json_pack("{s:s, s:[s,s]}", "name", "web", "paths", "/a", "/b"));
    (void)fflush(stdout);
    cr_assert_stdout_eq_str("name:  web\npaths: /a\n       /b\n");
}

/* A line with nothing but a dash says nothing. */
Test(output, a_record_leaves_out_what_is_not_there_or_has_a_word_for_it, .init = cr_redirect_stdout)
{
    static const struct column fields[] = {
        {"name", "name", COLUMN_TEXT},   {"text", "a long title", COLUMN_TEXT},
        {"hosts", "hosts", COLUMN_TEXT}, {"checked", "checked", COLUMN_WHEN},
        {"keys", "keys", COLUMN_SOME},   {"mine", "mine", COLUMN_YES},
        {"gone", "gone", COLUMN_WHEN},   {0}};
    const struct output output = {0};
    output_record(&output, fields,
                  json_pack("{s:s, s:n, s:{}, s:n, s:[], s:b}", "name", "web", "text", "hosts", "checked",
                            "keys", "mine", 0));
    (void)fflush(stdout);
    cr_assert_stdout_eq_str("name:    web\nchecked: never\nkeys:    none\nmine:    no\n");
}

Test(output, a_text_of_any_length_comes_out_whole, .init = cr_redirect_stdout)
{
    static char text[10001], wanted[10002];
    struct output output = {.form = OUTPUT_TEXT};
    memset(text, 'x', sizeof(text) - 1);
    (void)snprintf(wanted, sizeof(wanted), "%s\n", text);
    output_line(&output, NULL, "%s", text);
    (void)fflush(stdout);
    cr_assert_stdout_eq_str(wanted);
}

Test(output, errors_are_json_when_that_was_asked_for)
{
    AUTO(buf) struct buf text = {0};
    struct err err = {.code = ERR_UNREACHABLE, .text = "cannot reach \"it\""};
    const struct output output = {.form = OUTPUT_JSON};
    struct capture capture = capture_start();
    output_error(&output, &err);
    json_t *document = json_loads(capture_stop(&capture, &text), 0, NULL);
    const json_t *inner = json_object_get(document, "error");
    cr_assert_eq(json_integer_value(json_object_get(inner, "code")), 7);
    cr_assert_str_eq(json_string_value(json_object_get(inner, "name")), "unreachable");
    cr_assert_str_eq(json_string_value(json_object_get(inner, "text")), "cannot reach \"it\"");
    json_decref(document);
}

Test(output, a_name_cannot_command_the_terminal)
{
    AUTO(buf) struct buf out = {0};
    static const char evil[] = "a\x1b[2Jb\xff\xc2\x9b"
                               "c\xc3\xa4\xf4\x90\x80\x80";
    output_escape(span_of(evil, sizeof(evil) - 1), &out);
    cr_assert_str_eq(buf_cstr(&out), "a\\x1b[2Jb\\xff\\xc2\\x9bc\xc3\xa4\\xf4\\x90\\x80\\x80");
}

/* What a host says of itself, or why it fails: a row or a line more would pass for ours. */
Test(output, a_text_of_a_host_adds_no_row_and_no_line, .init = cr_redirect_stdout)
{
    static const struct column ways[] = {{"mode", "MODE", COLUMN_TEXT}, {"why", "WHY", COLUMN_TEXT}, {0}};
    static const char evil[] = "no\nreverse  yes\t\x1b[2J";
    struct output output = {.form = OUTPUT_TEXT};
    json_t *rows = json_array();
    (void)json_array_append_new(rows, json_pack("{s:s, s:s}", "mode", "direct", "why", evil));
    output_table(&output, "ways", ways, rows);
    output_record(&output, ways, json_pack("{s:s, s:[s]}", "mode", evil, "why", evil));
    output_line(&output, NULL, "%s: %s", "offsite", evil);
    (void)fflush(stdout);
    cr_assert_stdout_eq_str("MODE    WHY\n"
                            "direct  no\\x0areverse  yes\\x09\\x1b[2J\n"
                            "MODE: no\\x0areverse  yes\\x09\\x1b[2J\n"
                            "WHY:  no\\x0areverse  yes\\x09\\x1b[2J\n"
                            "offsite: no\\x0areverse  yes\\x09\\x1b[2J\n");
}

Test(output, a_path_that_is_not_utf8_keeps_its_bytes)
{
    json_t *object = json_object();
    json_set_path(object, "path", span_of("/a\xff", 3));
    cr_assert_str_eq(json_string_value(json_object_get(object, "path")), "/a\xef\xbf\xbd");
    cr_assert_str_eq(json_string_value(json_object_get(object, "path_hex")), "2f61ff");
    json_set_path(object, "plain", span_str("/b"));
    cr_assert_str_eq(json_string_value(json_object_get(object, "plain")), "/b");
    cr_assert_null(json_object_get(object, "plain_hex"));
    json_decref(object);
}

Test(output, every_code_has_a_name_and_an_exit_code)
{
    static const enum err_code codes[] = {
        ERR_USAGE,        ERR_FAILED,        ERR_NOT_FOUND, ERR_POLICY,   ERR_BUSY,      ERR_UNREACHABLE,
        ERR_CANCELLED,    ERR_NO_KEY,        ERR_WRONG_KEY, ERR_DAMAGED,  ERR_TRUNCATED, ERR_NOT_ENCRYPTED,
        ERR_SALT_MISSING, ERR_NOT_AUTHENTIC, ERR_SYSTEM,    ERR_NO_SPACE, ERR_EXISTS,    ERR_VERSION,
        ERR_PROTOCOL,     ERR_LIMIT,         ERR_CONFIG};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        cr_assert(codes[i] == ERR_FAILED || strcmp(output_error_name(codes[i]), "failed") != 0, "%d",
                  (int)codes[i]);
        int exit_code = err_exit_code(codes[i]);
        cr_assert((exit_code >= 2 && exit_code <= 8) || (exit_code >= 20 && exit_code <= 26));
    }
}

/* "gpj.exe" must not be shown as "exe.jpg". */
Test(output, a_name_cannot_turn_the_direction_of_writing)
{
    static const char evil[] = "\xe2\x80\xae"
                               "gpj.exe \xe2\x81\xa6 \xe2\x80\x93";
    AUTO(buf) struct buf out = {0};
    output_escape(span_of(evil, sizeof(evil) - 1), &out);
    cr_assert_str_eq(buf_cstr(&out), "\\xe2\\x80\\xaegpj.exe \\xe2\\x81\\xa6 \xe2\x80\x93");
}

/* Marks of direction and characters without width, and their neighbours that are letters, signs and spaces.
 */
Test(output, what_has_no_shape_is_shown_by_its_bytes)
{
    static const char *const hidden[] = {"\u200b", "\u200d",     "\u200e",     "\u200f",    "\u061c",
                                         "\u2028", "\u2029",     "\u202a",     "\u2060",    "\u2066",
                                         "\u2069", "\u206f",     "\u00ad",     "\ufeff",    "\ufff9",
                                         "\u180e", "\U0001d173", "\U000e0001", "\U000e007f"};
    static const char *const shown[] = {"\u00ac", "\u00ae", "\u061b", "\u061d", "\u200a", "\u2010",
                                        "\u2027", "\u202f", "\u205f", "\u2070", "\ufffd", "\U0001f600"};
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        AUTO(buf) struct buf out = {0}, wanted = {0};
        output_escape(span_str(hidden[i]), &out);
        for (const char *at = hidden[i]; *at; at++)
            buf_printf(&wanted, "\\x%02x", (uint8_t)*at);
        cr_assert_str_eq(buf_cstr(&out), buf_cstr(&wanted), "%zu", i);
    }
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        AUTO(buf) struct buf out = {0};
        output_escape(span_str(shown[i]), &out);
        cr_assert_str_eq(buf_cstr(&out), shown[i], "%zu", i);
    }
}

Test(output, a_note_or_warning_is_whole_however_long_it_is)
{
    const struct output output = {0};
    char words[5000];
    memset(words, 'w', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    AUTO(buf) struct buf text = {0};
    struct capture capture = capture_start();
    output_note(&output, "%s.", words);
    output_warning(&output, "%s!", words);
    const char *said = capture_stop(&capture, &text);
    cr_assert_eq(strlen(said), 2 * (sizeof(words) - 1) + strlen(".\nwarning: !\n"));
    cr_assert(strstr(said, "w.\nwarning: w") && strstr(said, "w!\n"));
}

Test(output, numbers_are_as_people_write_them_and_an_empty_text_is_one, .init = cr_redirect_stdout)
{
    const struct output output = {.form = OUTPUT_JSON};
    output_line(&output, json_pack("{s:f, s:o}", "took_s", 0.356, "text", json_lossy(span_of(NULL, 0))), "%s",
                "");
    (void)fflush(stdout);
    cr_assert_stdout_eq_str("{\"took_s\":0.356,\"text\":\"\"}\n");
}
