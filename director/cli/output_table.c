/* Answers as people read them: tables and records of a JSON document's fields. */
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "director/cli/output.h"

#include <stdio.h>
#include <string.h>

enum { ID_SHOWN = 12 };

static void put_text(const char *text, enum column_form form, struct buf *out)
{
    size_t len = strlen(text);
    output_escape(span_of(text, form == COLUMN_ID && len > ID_SHOWN ? ID_SHOWN : len), out);
}

/* Names with a word on each. */
static void show_names(json_t *names, struct buf *out)
{
    const char *between = "", *name;
    json_t *word;
    json_object_foreach(names, name, word)
    {
        buf_put_str(out, between);
        put_text(name, COLUMN_TEXT, out);
        buf_put_str(out, " (");
        put_text(json_string_value(word), COLUMN_TEXT, out);
        buf_put_str(out, ")");
        between = ", ";
    }
    if (!*between) buf_put_str(out, "-");
}

/* One value as people see it. */
static void show(json_t *value, enum column_form form, struct buf *out)
{
    if (json_is_string(value)) {
        put_text(json_string_value(value), form, out);
    } else if (json_is_integer(value) && form == COLUMN_SIZE) {
        char text[16];
        size_format((uint64_t)json_integer_value(value), text);
        buf_put_str(out, text);
    } else if (json_is_integer(value)) {
        buf_printf(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        buf_put_str(out, json_is_true(value) ? "yes" : form == COLUMN_YES ? "-" : "no");
    } else if (json_is_object(value)) {
        show_names(value, out);
    } else if (json_is_array(value)) {
        size_t count = json_array_size(value);
        for (size_t i = 0; i < count; i++) {
            if (i) buf_put_str(out, ", ");
            show(json_array_get(value, i), form, out);
        }
        if (!count) buf_put_str(out, "-");
    } else {
        buf_put_str(out, "-");
    }
}

/* Code points: what we print has no wide or combining characters to speak of. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((uint8_t)*text & 0xc0) != 0x80;
    return width;
}

static bool is_shown(const struct column *column)
{
    return column->title != NULL;
}

static bool from_the_right(const struct column *column)
{
    return column->form == COLUMN_NUMBER || column->form == COLUMN_SIZE;
}

struct grid {
    const struct column *columns;
    size_t column_count, row_count;
    char **cells; /* row by row, the titles first */
    size_t *widths;
};

static void grid_deinit(struct grid *grid)
{
    for (size_t i = 0; i < grid->column_count * grid->row_count; i++)
        free(grid->cells[i]);
    free(grid->cells);
    free(grid->widths);
}
DEFINE_AUTO_IN_PLACE(grid, struct grid, grid_deinit)

static void set_cell(struct grid *grid, size_t row, size_t column, char *text)
{
    size_t width = width_of(text);
    grid->cells[row * grid->column_count + column] = text;
    if (width > grid->widths[column]) grid->widths[column] = width;
}

static void fill(struct grid *grid, json_t *rows)
{
    for (size_t c = 0; c < grid->column_count; c++) {
        const struct column *column = &grid->columns[c];
        set_cell(grid, 0, c, xstrdup(column->title ? column->title : ""));
        for (size_t r = 1; r < grid->row_count; r++) {
            AUTO(buf) struct buf text = {0};
            show(json_object_get(json_array_get(rows, r - 1), column->key), column->form, &text);
            set_cell(grid, r, c, xstrdup(buf_cstr(&text)));
        }
    }
}

static void put_spaces(struct buf *line, size_t count)
{
    while (count-- > 0)
        buf_put_u8(line, ' ');
}

static void print_line(const struct grid *grid, size_t row)
{
    AUTO(buf) struct buf line = {0};
    for (size_t c = 0; c < grid->column_count; c++) {
        if (!is_shown(&grid->columns[c])) continue;
        const char *text = grid->cells[row * grid->column_count + c];
        size_t gap = grid->widths[c] - width_of(text);
        if (line.len) buf_put_str(&line, "  ");
        if (from_the_right(&grid->columns[c])) put_spaces(&line, gap);
        buf_put_str(&line, text);
        if (!from_the_right(&grid->columns[c])) put_spaces(&line, gap);
    }
    while (line.len && line.data[line.len - 1] == ' ')
        line.len--;
    (void)puts(buf_cstr(&line));
}

static void print_json(json_t *document)
{
    AUTO(free) char *text = json_dumps(document, JSON_INDENT(2) | OUTPUT_JSON_REALS);
    json_decref(document);
    if (text) (void)puts(text);
}

void output_table(const struct output *output, const char *name, const struct column *columns, json_t *rows)
{
    if (output->form == OUTPUT_JSON) {
        print_json(json_pack("{s:o}", name, rows));
        return;
    }
    AUTO(grid) struct grid grid = {.columns = columns, .row_count = json_array_size(rows) + 1};
    while (columns[grid.column_count].key)
        grid.column_count++;
    grid.cells = xcalloc(grid.column_count * grid.row_count, sizeof(*grid.cells));
    grid.widths = xcalloc(grid.column_count, sizeof(*grid.widths));
    fill(&grid, rows);
    for (size_t row = 0; row < grid.row_count; row++)
        print_line(&grid, row);
    json_decref(rows);
}

static void print_pair(const char *title, size_t width, json_t *value, enum column_form form)
{
    AUTO(buf) struct buf text = {0};
    /* there is room for all of an id, and for a "no" */
    show(value, form == COLUMN_ID || form == COLUMN_YES ? COLUMN_TEXT : form, &text);
    (void)printf("%s%s%*s%s\n", title, *title ? ":" : " ", (int)(width - width_of(title)) + 1, "",
                 buf_cstr(&text));
}

/* A row that says nothing is left out, or says in a word that there is nothing. */
static const char *word_for_nothing(enum column_form form)
{
    return form == COLUMN_WHEN ? "never" : form == COLUMN_SOME ? "none" : NULL;
}

static bool is_nothing(const json_t *value)
{
    return json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* Whether there is such a line. */
static bool is_said(const struct column *column, json_t *object)
{
    const json_t *value = json_object_get(object, column->key);
    return is_shown(column) && value && (!is_nothing(value) || word_for_nothing(column->form));
}

static size_t title_width(const struct column *columns, json_t *object)
{
    size_t width = 0;
    for (; columns->key; columns++)
        if (is_said(columns, object) && width_of(columns->title) > width) width = width_of(columns->title);
    return width;
}

static void print_row(const struct column *column, size_t width, json_t *value)
{
    if (is_nothing(value)) {
        AUTO(json) json_t *word = json_string(word_for_nothing(column->form));
        print_pair(column->title, width, word, COLUMN_TEXT);
    } else if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++)
            print_pair(i ? "" : column->title, width, json_array_get(value, i), column->form);
    } else {
        print_pair(column->title, width, value, column->form);
    }
}

void output_record(const struct output *output, const struct column *columns, json_t *object)
{
    if (output->form == OUTPUT_JSON) {
        print_json(object);
        return;
    }
    size_t width = title_width(columns, object);
    for (const struct column *column = columns; column->key; column++)
        if (is_said(column, object)) print_row(column, width, json_object_get(object, column->key));
    json_decref(object);
}
