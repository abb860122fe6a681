/* Signed statements, and whatever a decoded one makes of the roster rules. */
#include "common/wire/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = {0};
    AUTO(statement) struct statement *statement = NULL;
    if (statement_decode(span_of(data, len), &statement, &err)) {
        AUTO(roster) struct roster *roster = NULL;
        if (!roster_first(statement, &statement->site, statement->signer, &roster, &err)) return 0;
    }
    return 0;
}
