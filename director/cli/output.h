/* What the program says. The answer goes to stdout: tables and records for people, or one JSON document
 * (docs/cli.md has its shapes). Everything else goes to stderr: notes, warnings and errors as text, or with
 * --json as JSON lines.
 *
 * A verb builds its answer as JSON values and says with columns how people see it. Text that came from
 * elsewhere is escaped on its way to a terminal. Main thread. */
#ifndef SEALIFT_CLI_OUTPUT_H
#define SEALIFT_CLI_OUTPUT_H

#include "common/base/bytes.h"
#include "common/base/err.h"

#include <jansson.h>

/* 0.356, and not 0.35599999999999998 */
#define OUTPUT_JSON_REALS JSON_REAL_PRECISION(15)

enum output_form { OUTPUT_TEXT, OUTPUT_JSON };

struct output {
    enum output_form form;
    bool quiet;
};

static inline void auto_json(json_t **owned)
{
    json_decref(*owned);
}

enum column_form {
    COLUMN_TEXT,
    COLUMN_NUMBER,
    COLUMN_SIZE, /* bytes, shown as "1.3 GiB" */
    COLUMN_ID,   /* hex, of which tables show the first 12 digits */
    COLUMN_YES,  /* a boolean, shown as "yes" or "-", in a record as "yes" or "no" */
    COLUMN_WHEN, /* text; a record says "never" where there is none */
    COLUMN_SOME, /* text; a record says "none" where there is none */
};

/* How one member of an object is shown. A table of columns ends with one without a key. A member that is
 * missing or null is "-" in a table; in a record its line is left out. Members without a column are in the
 * JSON only; one without a title too. */
struct column {
    const char *key;
    const char *title;
    enum column_form form;
};

/* {"NAME": [rows]}, or a table; `rows` is taken. */
void output_table(const struct output *output, const char *name, const struct column *columns, json_t *rows);
/* The object itself, or "title: value" lines; `object` is taken. Arrays of text are lines of their own. */
void output_record(const struct output *output, const struct column *columns, json_t *object);
/* A list that may be too long for memory, in JSON only: {"NAME": [rows]} on one line, written row by row. If
 * the command fails after the first row, the document is cut short. */
struct output_list {
    const char *name;
    bool begun;
};
/* `row` is taken. */
void output_list_row(struct output_list *list, json_t *row);
void output_list_end(struct output_list *list);
/* A line of text for people, of any length, escaped; with --json the object instead. `object` is taken. */
void output_line(const struct output *output, json_t *object, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same of several lines, or with tabs between its words, as they are: nothing in them came from
 * elsewhere. */
void output_lines(const struct output *output, json_t *object, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* {"note": {"text": …}}. Dropped by --quiet. */
void output_note(const struct output *output, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* {"warning": {"text": …}} */
void output_warning(const struct output *output, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* {"error": {"code": 7, "name": "unreachable", "text": …}}; `code` is the exit code. */
void output_error(const struct output *output, const struct err *err);
/* Did stdout take all of it? */
bool output_finish(struct err *err) MUST_CHECK;

/* "unreachable", "wrong_key", …: what scripts match. */
const char *output_error_name(enum err_code code);

/* --- values --- */

json_t *json_hex(const void *bytes, size_t len);
/* RFC 3339, or null for 0 */
json_t *json_time(uint64_t time_ns);
/* JSON integers are signed: what is above is shown as the largest. */
json_t *json_count(uint64_t value);
/* Bytes that ought to be UTF-8 but may be anything (paths): text with U+FFFD where they are not. */
json_t *json_lossy(struct span bytes);
/* Sets `key`, and `key`_hex where the bytes are not UTF-8 and the text would lose something. */
void json_set_path(json_t *object, const char *key, struct span path);

/* Appends bytes as they can be shown on a terminal: as \xNN what is not UTF-8, control characters, and what
 * has no shape but turns the direction of writing or hides (U+200E, U+200B, …). */
void output_escape(struct span bytes, struct buf *out);

#endif
