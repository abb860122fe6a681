/* What an unknown key sends with its Join: the public part of an identity; and the same bytes as an
 * identity's file without a password. What decodes encodes to the same bytes. */
#include "common/crypto/identity.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct identity_public known;
    AUTO(identity) struct identity *identity = NULL;
    AUTO(buf) struct buf again = {0};
    struct err err;
    if (identity_public_decode(span_of(data, size), &known, &err)) {
        identity_public_encode(&known, &again);
        if (!span_eq(buf_span(&again), span_of(data, size))) abort();
    }
    (void)!identity_open(span_of(data, size), NULL, &identity, &err);
    return 0;
}
