/* Rules of statement bodies beyond the lengths of their fields: names, enums that must be set, fields
 * that go together. Private to common/wire. */
#ifndef SEALIFT_WIRE_STATEMENT_BODY_H
#define SEALIFT_WIRE_STATEMENT_BODY_H

#include "common/wire/statement.h"

bool statement_body_check(const struct statement *statement, struct err *err) MUST_CHECK;

#endif
