/* Rules of statement bodies beyond the lengths of their fields: names, enums that must be set, fields
 * that go together. Private to common/wire. */
#ifndef SEALIFT_WIRE_STATEMENT_BODY_H
#define SEALIFT_WIRE_STATEMENT_BODY_H

#include "common/wire/statement.h"

bool statement_body_check(const struct statement *statement, struct err *err) MUST_CHECK;
/* Names of members, repositories, jobs and keys, by the rule of identity_name_check. `what` names the
 * thing in the error. */
bool statement_name_check(const char *name, const char *what, struct err *err) MUST_CHECK;

#endif
