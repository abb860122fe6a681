#include "common/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char base32_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void hex_encode(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = bytes;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * len] = 0;
}

int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool hex_decode(const char *text, void *out, size_t len, struct err *err)
{
    size_t digits = strlen(text);
    if (len > SIZE_MAX / 2 || digits != 2 * len)
        return err_set(err, ERR_PROTOCOL, "not hex: %zu characters where %zu are needed", digits, 2 * len);
    for (size_t i = 0; i < digits; i++) {
        if (hex_digit(text[i]) < 0) return err_set(err, ERR_PROTOCOL, "not hex: character %zu", i + 1);
    }
    uint8_t *to = out;
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)((unsigned)hex_digit(text[2 * i]) << 4 | (unsigned)hex_digit(text[2 * i + 1]));
    return true;
}

void base32_encode(struct span bytes, struct buf *out)
{
    uint32_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        acc = (acc << 8 | bytes.data[i]) & 0xfff;
        for (bits += 8; bits >= 5; bits -= 5)
            buf_put_u8(out, (uint8_t)base32_digits[acc >> (bits - 5) & 31]);
    }
    if (bits) buf_put_u8(out, (uint8_t)base32_digits[acc << (5 - bits) & 31]);
}

/* Bits past the last byte must be zero, and there may be no digit that starts no byte: bytes have one text.
 */
bool base32_decode(struct span text, struct buf *out, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    uint32_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.data[i] ? strchr(base32_digits, (char)text.data[i]) : NULL;
        if (!at) return err_set(err, ERR_PROTOCOL, "base32: no digit at place %zu", i + 1);
        acc = (acc << 5 | (uint32_t)(at - base32_digits)) & 0xfff;
        bits += 5;
        if (bits < 8) continue;
        bits -= 8;
        buf_put_u8(&bytes, (uint8_t)(acc >> bits));
    }
    if (bits >= 5 || (acc & ((1u << bits) - 1)))
        return err_set(err, ERR_PROTOCOL, "base32: %zu digits are not whole bytes", text.len);
    buf_put_span(out, buf_span(&bytes));
    return true;
}

void base64_encode(struct span bytes, struct buf *out)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < left ? bytes.data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_put_u8(out, (uint8_t)(k <= left ? base64_digits[group >> (18 - 6 * k) & 63] : '='));
    }
}

static int base64_value(char c)
{
    const char *at = c ? strchr(base64_digits, c) : NULL;
    return at ? (int)(at - base64_digits) : -1;
}

/* Everything is checked before a byte is appended: each character, the length (no digit that starts no byte),
 * and that the bits past the last byte are zero, so that bytes have one text. */
bool base64_decode(const char *text, struct buf *out, struct err *err)
{
    size_t digits = strlen(text);
    if (digits % 4) return err_set(err, ERR_PROTOCOL, "not base64: %zu characters, no multiple of 4", digits);
    if (digits && text[digits - 1] == '=') digits -= text[digits - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < digits; i++) {
        if (base64_value(text[i]) < 0) return err_set(err, ERR_PROTOCOL, "not base64: character %zu", i + 1);
    }
    unsigned spare = (unsigned)(digits % 4 * 6 % 8);
    if (spare >= 6) return err_set(err, ERR_PROTOCOL, "not base64: %zu digits are no whole bytes", digits);
    if (spare && (base64_value(text[digits - 1]) & ((1 << spare) - 1)))
        return err_set(err, ERR_PROTOCOL, "not base64: bits after the last byte");
    uint32_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < digits; i++) {
        acc = (acc << 6 | (uint32_t)base64_value(text[i])) & 0x3fff;
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        buf_put_u8(out, (uint8_t)(acc >> bits));
    }
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* "DIGITS UNIT" without a space between; `unit` is the table's rows up to a NULL name. */
static bool parse_quantity(const char *text, const struct unit *units, const char *what, const char *hint,
                           uint64_t *out, struct err *err)
{
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (!mul_u64(number, 10, &number) || !add_u64(number, (uint64_t)(*at - '0'), &number))
            return err_set(err, ERR_USAGE, "%s '%.60s' is too large", what, text);
    }
    for (const struct unit *unit = units; at > text && unit->name; unit++) {
        if (strcmp(at, unit->name) != 0) continue;
        if (!mul_u64(number, unit->factor, out))
            return err_set(err, ERR_USAGE, "%s '%.60s' is too large", what, text);
        return true;
    }
    return err_set(err, ERR_USAGE, "'%.60s' is no %s: %s", text, what, hint);
}

bool size_parse(const char *text, uint64_t *out, struct err *err)
{
    static const struct unit units[] = {
        {"", 1},
        {"KiB", UINT64_C(1) << 10},
        {"MiB", UINT64_C(1) << 20},
        {"GiB", UINT64_C(1) << 30},
        {"TiB", UINT64_C(1) << 40},
        {"K", UINT64_C(1) << 10},
        {"M", UINT64_C(1) << 20},
        {"G", UINT64_C(1) << 30},
        {"T", UINT64_C(1) << 40},
        {"kB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", UINT64_C(1000000000000)},
        {NULL, 0},
    };
    return parse_quantity(
        text, units, "size",
        "write 512, 64KiB, 16MiB, 1GiB, 2TiB, the same as 64K, 16M, 1G, 2T, or kB, MB, GB, TB", out, err);
}

bool duration_parse(const char *text, uint64_t *out_ms, struct err *err)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}, {NULL, 0},
    };
    return parse_quantity(text, units, "duration", "write 250ms, 30s, 5m, 12h, 90d or 2w", out_ms, err);
}

void size_format(uint64_t bytes, char out[static 16])
{
    static const char prefixes[] = "KMGTPE";
    if (bytes < 1024) {
        (void)snprintf(out, 16, "%" PRIu64 " B", bytes);
        return;
    }
    size_t power = 1;
    while (power < 6 && bytes >> (10 * power) >= 1024)
        power++;
    unsigned shift = (unsigned)(10 * power);
    unsigned whole = (unsigned)(bytes >> shift);
    uint64_t rest = bytes & ((UINT64_C(1) << shift) - 1);
    unsigned tenth = (unsigned)((rest * 10 + (UINT64_C(1) << (shift - 1))) >> shift);
    whole += tenth / 10;
    tenth %= 10;
    if (whole == 1024 && power < 6) { /* 1023.96 KiB is 1.0 MiB */
        whole = 1;
        power++;
    }
    (void)snprintf(out, 16, "%u.%u %ciB", whole % 10000, tenth, prefixes[power - 1]);
}

void time_format(uint64_t time_ns, char out[static 21])
{
    /* 2^64 ns end in the year 2554: four digits always */
    time_t seconds = (time_t)(time_ns / 1000000000);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || strftime(out, 21, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) out[0] = 0;
}

const char *plural(uint64_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}
