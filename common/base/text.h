/* Text forms of small values: hex, base32, base64, sizes (`64MiB`), durations (`30s`, `12h`), UTC times.
 * Parsers take the whole string or fail: sizes and durations with the text named
 * (ERR_USAGE), bytes with the place named (ERR_PROTOCOL), because they may be a secret. */
#ifndef SEALIFT_BASE_TEXT_H
#define SEALIFT_BASE_TEXT_H

#include "common/base/bytes.h"
#include "common/base/err.h"

#include <stdint.h>

/* 0 to 15, either case; -1: no hex digit */
int hex_digit(char c);
/* lower case; `out` gets 2 * len + 1 bytes */
void hex_encode(const void *bytes, size_t len, char *out);
/* exactly `len` bytes from 2 * len hex digits, either case */
bool hex_decode(const char *text, void *out, size_t len, struct err *err) MUST_CHECK;

/* RFC 4648 base32 without padding, upper case; appends to `out` */
void base32_encode(struct span bytes, struct buf *out);
/* the same read back, upper case; appends to `out` */
bool base32_decode(struct span text, struct buf *out, struct err *err) MUST_CHECK;
/* RFC 4648 base64 with padding; appends to `out` */
void base64_encode(struct span bytes, struct buf *out);
/* the same read back, padding demanded; appends to `out` */
bool base64_decode(const char *text, struct buf *out, struct err *err) MUST_CHECK;

/* `0`, `512`, `64KiB`, `64MiB`, `1GiB`, `2TiB`, the same as `64K`, `64M`, `1G`, `2T`; kB MB GB TB are powers
 * of ten */
bool size_parse(const char *text, uint64_t *out, struct err *err) MUST_CHECK;
/* `250ms`, `30s`, `5m`, `12h`, `90d`, `2w`; a bare number is an error */
bool duration_parse(const char *text, uint64_t *out_ms, struct err *err) MUST_CHECK;
/* "1.3 GiB", "12.0 MiB", "512 B"; `out` gets at most 16 bytes */
void size_format(uint64_t bytes, char out[static 16]);
/* "2026-11-20T03:00:00Z" of nanoseconds since 1970; `out` gets 21 bytes */
void time_format(uint64_t time_ns, char out[static 21]);

/* The word that goes with a count: plural(1, "point", "points") is "point", of all else it is "points". What
 * changes with the noun may stand behind it ("point is", "points are"). */
const char *plural(uint64_t count, const char *one, const char *many);

#endif
