#include "director/cli/kit_lines.h"

#include "common/base/text.h"
#include "common/crypto/hash.h"

#include <ctype.h>
#include <string.h>

enum { LINE_BYTES = 25, GROUP = 5, CHECK_DIGITS = 4, LINES_MAX = KIT_SEALED_MAX / LINE_BYTES + 1 };

/* 20 bits: of a million wrong lines one is taken for right, and then the seal does not open. */
static void check_of(unsigned number, struct span bytes, char out[static CHECK_DIGITS + 1])
{
    AUTO(buf) struct buf input = {0}, text = {0};
    buf_put_str(&input, "sealift kit line");
    buf_put_u32(&input, number);
    buf_put_span(&input, bytes);
    struct hash hash = hash_of(buf_span(&input));
    base32_encode(span_of(hash.bytes, 5), &text);
    memcpy(out, text.data, CHECK_DIGITS);
    out[CHECK_DIGITS] = '\0';
}

void kit_lines_write(struct span sealed, struct buf *out)
{
    unsigned number = 1;
    for (size_t at = 0; at < sealed.len; at += LINE_BYTES, number++) {
        size_t len = sealed.len - at < LINE_BYTES ? sealed.len - at : LINE_BYTES;
        struct span bytes = span_of(sealed.data + at, len);
        AUTO(buf) struct buf digits = {0};
        char check[CHECK_DIGITS + 1];
        base32_encode(bytes, &digits);
        check_of(number, bytes, check);
        buf_printf(out, "%4u  ", number);
        for (size_t i = 0; i < digits.len; i += GROUP) {
            size_t group = digits.len - i < GROUP ? digits.len - i : GROUP;
            buf_put(out, digits.data + i, group);
            buf_put_u8(out, ' ');
        }
        buf_printf(out, " %s\n", check);
    }
}

void kit_reader_deinit(struct kit_reader *reader)
{
    buf_deinit(&reader->sealed);
}

/* The number that a line begins with; 0: it begins with none. `rest` is what follows. */
static unsigned number_of(struct span line, struct span *rest)
{
    size_t at = 0;
    unsigned number = 0;
    while (at < line.len && isblank(line.data[at]))
        at++;
    size_t from = at;
    while (at < line.len && isdigit(line.data[at]) && number <= LINES_MAX)
        number = number * 10 + (unsigned)(line.data[at++] - '0');
    if (at == from || (at < line.len && !isspace(line.data[at]))) return 0;
    *rest = span_of(line.data + at, line.len - at);
    return number;
}

/* What was meant: upper case, without blanks, and with the letters that digits are mistaken for. */
static void digits_of(struct span typed, struct buf *out)
{
    static const char taken[] = "018", meant[] = "OIB";
    for (size_t i = 0; i < typed.len; i++) {
        char c = (char)toupper(typed.data[i]);
        const char *at = c ? strchr(taken, c) : NULL;
        if (isspace((unsigned char)c) || c == '-') continue;
        buf_put_u8(out, (uint8_t)(at ? meant[at - taken] : c));
    }
}

static bool in_turn(const struct kit_reader *reader, unsigned number, struct err *err)
{
    unsigned wanted = reader->lines + 1;
    if (number == wanted) return true;
    if (number > wanted) return err_set(err, ERR_TRUNCATED, "line %u of the recovery kit is missing", wanted);
    return err_set(err, ERR_DAMAGED, "line %u of the recovery kit comes again where line %u should", number,
                   wanted);
}

/* Every line but the last is full, and none goes past the end. */
static bool fits(const struct kit_reader *reader, struct span bytes)
{
    size_t have = reader->sealed.len + bytes.len;
    if (reader->lines == 0 && bytes.len < KIT_LENGTH_AT + 4) return false;
    const uint8_t *head = reader->lines == 0 ? bytes.data : reader->sealed.data;
    uint32_t total = le32_get(head + KIT_LENGTH_AT);
    return total <= KIT_SEALED_MAX && have <= total && (bytes.len == LINE_BYTES || have == total);
}

bool kit_reader_take(struct kit_reader *reader, struct span line, struct err *err)
{
    AUTO(buf) struct buf digits = {0}, bytes = {0};
    struct err why;
    struct span rest = {0};
    char check[CHECK_DIGITS + 1] = "";
    unsigned number = line.len > KIT_LINE_MAX ? 0 : number_of(line, &rest);
    if (number == 0) return true;
    if (kit_reader_done(reader))
        return err_set(err, ERR_DAMAGED, "the recovery kit has a line %u behind its last", number);
    if (!in_turn(reader, number, err)) return false;
    digits_of(rest, &digits);
    size_t len = digits.len > CHECK_DIGITS ? digits.len - CHECK_DIGITS : 0;
    bool ok = len > 0 && base32_decode(span_of(digits.data, len), &bytes, &why);
    if (ok) check_of(number, buf_span(&bytes), check);
    if (!ok || memcmp(check, digits.data + len, CHECK_DIGITS) != 0)
        return err_set(err, ERR_DAMAGED, "line %u of the recovery kit has a typing error", number);
    if (!fits(reader, buf_span(&bytes)))
        return err_set(err, ERR_DAMAGED, "line %u of the recovery kit does not belong to its first line",
                       number);
    buf_put_span(&reader->sealed, buf_span(&bytes));
    reader->lines++;
    return true;
}

bool kit_reader_done(const struct kit_reader *reader)
{
    return reader->lines > 0 && reader->sealed.len == le32_get(reader->sealed.data + KIT_LENGTH_AT);
}

bool kit_reader_take_text(struct kit_reader *reader, struct span text, struct err *err)
{
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        if (!kit_reader_take(reader, span_of(text.data, len), err)) return false;
        len += end ? 1 : 0;
        text = span_of(text.data + len, text.len - len);
    }
    if (kit_reader_done(reader)) return true;
    if (reader->lines == 0) return err_set(err, ERR_DAMAGED, "there is no line of a recovery kit in it");
    return err_set(err, ERR_TRUNCATED, "line %u of the recovery kit is missing", reader->lines + 1);
}
