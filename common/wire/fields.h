/* Lengths of byte fields and counts of repeated ones in statements and messages. A field name means the
 * same everywhere (`run` is 16 bytes, `sign_pk` 32), so one table serves all. Private to common/wire. */
#ifndef SEALIFT_WIRE_FIELDS_H
#define SEALIFT_WIRE_FIELDS_H

#include "common/base/err.h"

/* Checks a decoded message and everything inside it. A byte field that the table does not know is
 * refused (ERR_FAILED: our own omission). ERR_PROTOCOL for a wrong length, ERR_LIMIT for too much. */
bool fields_check(const void *message, const char *what, struct err *err) MUST_CHECK;
/* For a test that walks the schema: is there a rule for a byte field of this name? */
bool fields_has_rule(const char *field);

#endif
