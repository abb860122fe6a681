#include "common/crypto/padme.h"

static unsigned log2_floor(uint64_t value)
{
    return 63 - (unsigned)__builtin_clzll(value);
}

uint64_t padme(uint64_t length)
{
    if (length < 2) return length; /* no exponent to speak of */

    unsigned exponent = log2_floor(length);
    unsigned kept_bits = log2_floor(exponent | 1) + 1;
    if (kept_bits >= exponent) return length;

    uint64_t low = (UINT64_C(1) << (exponent - kept_bits)) - 1;
    if (length > UINT64_MAX - low) return UINT64_MAX;
    return (length + low) & ~low;
}
