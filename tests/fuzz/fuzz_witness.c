/* What a host says of keys, as a hostile one signs it for the right order and place; and the input as it is,
 * in the place of the signed one. The grants in it are decoded, as who asked does. */
#include "common/wire/statement.h"
#include "common/wire/stored.h"
#include "common/wire/witness.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_grants(const Sealift__Witness *said)
{
    for (size_t i = 0; i < said->n_grants; i++) {
        AUTO(statement) struct statement *grant = NULL;
        struct err ignored;
        (void)!statement_decode(stored_span(&said->grants[i]), &grant, &ignored);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[SIGN_SEED_LEN] = {1};
    static const struct witness_place place = {.order = {{2}}, .number = 1, .last = true};
    AUTO(sign_pair) struct sign_pair *host = sign_pair_new(seed);
    AUTO(payload_witness) Sealift__Witness *raw = NULL, *said = NULL, *again = NULL;
    AUTO(buf) struct buf bytes = {0};
    struct err err;
    if (witness_open(span_of(data, size), host->pk, &place, &raw, &err)) read_grants(raw);
    if (!payload_witness_decode(span_of(data, size), &said, &err)) return 0;
    read_grants(said);
    witness_sign(host, &place, said, &bytes);
    if (!witness_open(buf_span(&bytes), host->pk, &place, &again, &err)) abort();
    return 0;
}
