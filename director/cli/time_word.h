/* Times and ages as people write and read them. */
#ifndef SEALIFT_CLI_TIME_WORD_H
#define SEALIFT_CLI_TIME_WORD_H

#include "common/base/err.h"

#include <stdint.h>

/* "2026-11-20" (its first moment), "2026-11-20T03:00", "2026-11-20T03:00:00", each with or without a final Z,
 * all UTC; or a duration before `now_ns` as "90d" or "12h". ERR_USAGE. */
bool time_word_parse(const char *text, uint64_t now_ns, uint64_t *out_ns, struct err *err) MUST_CHECK;
/* Was it a date without a time of day? Then what is meant may be the whole day. */
bool time_word_is_date(const char *text);

/* "3 min", "5 h", "12 d": how long, for people; `out` gets at most 24 bytes */
void time_word_age(uint64_t age_ns, char out[static 24]);

#endif
