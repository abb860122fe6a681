#include "common/base/text.h"

#include <criterion/criterion.h>
#include <string.h>

Test(text, hex_both_ways)
{
    uint8_t bytes[256], back[256];
    char text[513];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    hex_encode(bytes, sizeof(bytes), text);
    cr_assert_eq(strlen(text), 512);
    cr_assert_eq(strncmp(text, "000102", 6), 0);
    cr_assert_str_eq(text + 506, "fdfeff");
    struct err err;
    cr_assert(hex_decode(text, back, sizeof(back), &err));
    cr_assert_arr_eq(back, bytes, sizeof(bytes));
    cr_assert(hex_decode("aBCd", back, 2, &err));
    cr_assert_arr_eq(back, "\xab\xcd", 2);
    cr_assert(hex_decode("", back, 0, &err));
}

Test(text, what_is_not_hex_is_refused_and_the_output_stays)
{
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"", "not hex: 0 characters where 4 are needed"},
        {"abc", "not hex: 3 characters where 4 are needed"},
        {"abcde", "not hex: 5 characters where 4 are needed"},
        {"abcg", "not hex: character 4"},
        {"ab d", "not hex: character 3"},
        {"0x12", "not hex: character 2"},
        {"\xc3\xa4"
         "12",
         "not hex: character 1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint8_t out[2] = {7, 7};
        struct err err;
        cr_assert(!hex_decode(rows[i].text, out, 2, &err), "'%s'", rows[i].text);
        cr_assert_eq(err.code, ERR_PROTOCOL);
        cr_assert_str_eq(err.text, rows[i].says);
        cr_assert_arr_eq(out, "\x07\x07", 2);
    }
}

/* RFC 4648, section 10 */
static const struct {
    const char *bytes;
    const char *base32;
    const char *base64;
} vectors[] = {
    {"", "", ""},
    {"f", "MY", "Zg=="},
    {"fo", "MZXQ", "Zm8="},
    {"foo", "MZXW6", "Zm9v"},
    {"foob", "MZXW6YQ", "Zm9vYg=="},
    {"fooba", "MZXW6YTB", "Zm9vYmE="},
    {"foobar", "MZXW6YTBOI", "Zm9vYmFy"},
};

Test(text, base32_and_base64_match_the_published_vectors)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
        struct err err;
        AUTO(buf) struct buf text = {0}, from64 = {0};
        base32_encode(span_str(vectors[i].bytes), &text);
        cr_assert_str_eq(buf_cstr(&text), vectors[i].base32);
        cr_assert(base64_decode(vectors[i].base64, &from64, &err), "%s", err.text);
        cr_assert_str_eq(buf_cstr(&from64), vectors[i].bytes);
    }
}

Test(text, base64_is_written_as_it_is_read)
{
    uint8_t bytes[67];
    struct err err;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37 + 250);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        AUTO(buf) struct buf text = {0}, back = {0};
        base64_encode(span_of(bytes, len), &text);
        cr_assert_eq(text.len, (len + 2) / 3 * 4);
        cr_assert(base64_decode(buf_cstr(&text), &back, &err), "%s", err.text);
        cr_assert(span_eq(buf_span(&back), span_of(bytes, len)));
    }
    AUTO(buf) struct buf published = {0};
    base64_encode(span_str("fooba"), &published); /* RFC 4648, section 10 */
    cr_assert_str_eq(buf_cstr(&published), "Zm9vYmE=");
}

Test(text, base64_knows_every_digit)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct err err;
    AUTO(buf) struct buf out = {0};
    cr_assert(base64_decode(digits, &out, &err));
    cr_assert_eq(out.len, 48);
    for (size_t i = 0; i < 64; i++) {
        size_t bit = 6 * i;
        unsigned pair = (unsigned)(out.data[bit / 8] << 8 | (bit / 8 + 1 < 48 ? out.data[bit / 8 + 1] : 0));
        cr_assert_eq(pair >> (10 - bit % 8) & 63, i);
    }
}

Test(text, bytes_have_one_base64_form)
{
    /* wrong lengths, bits after the last byte, padding in and out of place, foreign characters */
    static const char *const not_base64[] = {"Z",    "Zg",       "Zg=",   "Zh==", "Zm9=",         "====",
                                             "=g==", "Zg==Zg==", "Zg===", "Zm-_", "Zm9v\n\n\n\n", "Z=g="};
    for (size_t i = 0; i < sizeof(not_base64) / sizeof(*not_base64); i++) {
        struct err err = {0};
        AUTO(buf) struct buf out = {0};
        cr_assert(!base64_decode(not_base64[i], &out, &err), "'%s'", not_base64[i]);
        cr_assert_eq(err.code, ERR_PROTOCOL);
        cr_assert_eq(out.len, 0);
    }
}

Test(text, sizes_parse)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        {"0", 0},
        {"512", 512},
        {"64KiB", 65536},
        {"64MiB", 67108864},
        {"1GiB", UINT64_C(1073741824)},
        {"2TiB", UINT64_C(2199023255552)},
        {"64K", 65536},
        {"40M", 40 << 20},
        {"1G", UINT64_C(1) << 30},
        {"2T", UINT64_C(2) << 40},
        {"5kB", 5000},
        {"5MB", 5000000},
        {"5GB", UINT64_C(5000000000)},
        {"5TB", UINT64_C(5000000000000)},
        {"18446744073709551615", UINT64_MAX},
        {"16777215TiB", UINT64_C(16777215) << 40},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint64_t out;
        struct err err;
        cr_assert(size_parse(rows[i].text, &out, &err), "%s", err.text);
        cr_assert_eq(out, rows[i].bytes, "'%s'", rows[i].text);
    }
}

Test(text, what_is_no_size_is_refused_by_name)
{
    static const char *const rows[] = {"",      "KiB",   "-1",   "+1",  " 1",   "1 ", "1.5GiB", "1kib",
                                       "1 KiB", "1KiBx", "0x10", "1e3", "12KB", "5g", "5k"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint64_t out = 7;
        struct err err;
        cr_assert(!size_parse(rows[i], &out, &err), "'%s'", rows[i]);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_not_null(strstr(err.text, "is no size: write"));
        if (*rows[i]) cr_assert_not_null(strstr(err.text, rows[i]));
        cr_assert_eq(out, 7);
    }
    static const char *const large[] = {"18446744073709551616", "16777216TiB", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof(large) / sizeof(*large); i++) {
        uint64_t out = 7;
        struct err err;
        cr_assert(!size_parse(large[i], &out, &err), "'%s'", large[i]);
        cr_assert_not_null(strstr(err.text, "is too large"));
        cr_assert_eq(out, 7);
    }
}

Test(text, durations_parse_and_need_a_unit)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {
        {"250ms", 250},       {"30s", 30000},      {"5m", 300000}, {"12h", 43200000},
        {"90d", 7776000000u}, {"2w", 1209600000u}, {"0s", 0},
    };
    uint64_t out;
    struct err err;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        cr_assert(duration_parse(rows[i].text, &out, &err), "%s", err.text);
        cr_assert_eq(out, rows[i].ms, "'%s'", rows[i].text);
    }
    static const char *const bad[] = {"", "30", "s", "30 s", "30S", "1h30m", "-1s", "1.5h", "30sec"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        out = 7;
        cr_assert(!duration_parse(bad[i], &out, &err), "'%s'", bad[i]);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_eq(out, 7);
    }
    cr_assert(!duration_parse("18446744073709551615s", &out, &err));
    cr_assert_str_eq(err.text, "duration '18446744073709551615s' is too large");
}

Test(text, sizes_are_printed_with_one_decimal)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {12582912, "12.0 MiB"},
        {1048575, "1.0 MiB"},
        {1048524, "1023.9 KiB"},
        {1395864371, "1.3 GiB"},
        {UINT64_C(1) << 40, "1.0 TiB"},
        {UINT64_C(1) << 50, "1.0 PiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char out[16];
        size_format(rows[i].bytes, out);
        cr_assert_str_eq(out, rows[i].text);
    }
}

Test(text, times_are_utc)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {UINT64_C(951782400) * 1000000000, "2000-02-29T00:00:00Z"},
        {UINT64_C(1795143600) * 1000000000 + 999999999, "2026-11-20T03:00:00Z"},
        {UINT64_MAX, "2554-07-21T23:34:33Z"},
    };
    cr_assert_eq(setenv("TZ", "America/New_York", 1), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char out[21];
        time_format(rows[i].ns, out);
        cr_assert_str_eq(out, rows[i].text);
    }
}

Test(text, one_is_one_and_all_else_are_many)
{
    cr_assert_str_eq(plural(1, "entry", "entries"), "entry");
    static const uint64_t many[] = {0, 2, 11, 101, UINT64_MAX};
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
        cr_assert_str_eq(plural(many[i], "entry", "entries"), "entries");
}
