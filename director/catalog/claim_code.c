#include "director/catalog/claim_code.h"

#include "common/base/secret.h"
#include "common/base/text.h"

#include <string.h>

enum { CODE_BYTES = 10, GROUP = 4 };

void claim_code_make(char out[static CLAIM_CODE_TEXT_LEN])
{
    uint8_t bytes[CODE_BYTES];
    random_bytes(bytes, sizeof(bytes));
    AUTO(buf) struct buf text = {0};
    base32_encode(span_of(bytes, sizeof(bytes)), &text);
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (i > 0 && i % GROUP == 0) out[at++] = '-';
        out[at++] = (char)text.data[i];
    }
    out[at] = '\0';
    wipe(bytes, sizeof(bytes));
    wipe(text.data, text.len);
}

struct hash claim_code_hash(const char *code)
{
    static const char name[] = "sealift v1 claim code";
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add(&hasher, name, sizeof(name));
    for (const char *c = code; *c; c++) {
        char upper = *c;
        if (upper >= 'a' && upper <= 'z') upper = (char)(upper - 'a' + 'A');
        bool counts = (upper >= 'A' && upper <= 'Z') || (upper >= '0' && upper <= '9');
        if (counts) hasher_add(&hasher, &upper, 1);
    }
    return hasher_result(&hasher);
}
