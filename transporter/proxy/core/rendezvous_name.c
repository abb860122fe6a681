#include "transporter/proxy/core/rendezvous_name.h"

#include <string.h>

enum { DIGITS = 52 };
static const char suffix[] = ".rendezvous.sealift";
static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

_Static_assert(DIGITS + 4 + sizeof(suffix) - 1 == RENDEZVOUS_NAME_LEN, "the length of a name");

bool rendezvous_name_is_meant(struct span text)
{
    size_t len = sizeof(suffix) - 1;
    return text.len >= len && memcmp(text.data + text.len - len, suffix, len) == 0;
}

static int digit_value(uint8_t c)
{
    if (c >= 'a' && c <= 'z') return c - 'a';
    if (c >= '2' && c <= '7') return c - '2' + 26;
    return -1;
}

/* The four bits that 52 digits have too many must be zero. */
static bool parse_id(const uint8_t *text, uint8_t out[static RENDEZVOUS_ID_LEN])
{
    uint32_t held = 0;
    unsigned bits = 0;
    size_t len = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        int value = digit_value(text[i]);
        if (value < 0) return false;
        held = held << 5 | (uint32_t)value;
        bits += 5;
        if (bits < 8) continue;
        bits -= 8;
        out[len++] = (uint8_t)(held >> bits);
        held &= (UINT32_C(1) << bits) - 1;
    }
    return held == 0;
}

bool rendezvous_name_parse(struct span text, struct rendezvous_name *out)
{
    struct rendezvous_name name;
    if (text.len != RENDEZVOUS_NAME_LEN || !rendezvous_name_is_meant(text)) return false;
    const uint8_t *tail = text.data + DIGITS;
    if (tail[0] != '.' || tail[1] < '0' || tail[1] >= '0' + RENDEZVOUS_STRIPES || tail[2] != '.')
        return false;
    if (tail[3] != 'a' && tail[3] != 'b') return false;
    if (!parse_id(text.data, name.id)) return false;
    name.stripe = (uint8_t)(tail[1] - '0');
    name.side = tail[3] == 'a' ? RENDEZVOUS_A : RENDEZVOUS_B;
    *out = name;
    return true;
}

void rendezvous_name_print(const struct rendezvous_name *name, char out[static RENDEZVOUS_NAME_LEN + 1])
{
    uint32_t held = 0;
    unsigned bits = 0;
    size_t len = 0;
    for (size_t i = 0; i < RENDEZVOUS_ID_LEN; i++) {
        held = (held << 8 | name->id[i]) & 0xfff;
        for (bits += 8; bits >= 5; bits -= 5)
            out[len++] = alphabet[held >> (bits - 5) & 31];
    }
    out[len++] = alphabet[held << (5 - bits) & 31];
    out[len++] = '.';
    out[len++] = (char)('0' + name->stripe);
    out[len++] = '.';
    out[len++] = name->side == RENDEZVOUS_A ? 'a' : 'b';
    memcpy(out + len, suffix, sizeof(suffix));
}
