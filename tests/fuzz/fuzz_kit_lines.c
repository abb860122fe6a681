/* The input is the text of a recovery kit. What is taken is written as lines that are taken and say the same.
 */
#include "director/cli/kit_lines.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(kit_reader) struct kit_reader reader = {0}, again = {0};
    AUTO(buf) struct buf text = {0};
    struct err err = {0};
    if (!kit_reader_take_text(&reader, span_of(data, size), &err)) {
        check(err.code == ERR_DAMAGED || err.code == ERR_TRUNCATED);
        return 0;
    }
    kit_lines_write(buf_span(&reader.sealed), &text);
    check(kit_reader_take_text(&again, buf_span(&text), &err));
    check(span_eq(buf_span(&reader.sealed), buf_span(&again.sealed)));
    return 0;
}
