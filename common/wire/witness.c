#include "common/wire/witness.h"

#include "common/wire/stored.h"

#include <string.h>

enum { PLACE_LEN = ID_LEN + 9 };

static const char signature_name[] = "witness";

static void put_place(const struct witness_place *place, uint8_t out[static PLACE_LEN])
{
    memcpy(out, place->order.bytes, ID_LEN);
    le64_put(out + ID_LEN, place->number);
    out[PLACE_LEN - 1] = place->last;
}

void witness_sign(const struct sign_pair *host, const struct witness_place *place,
                  const Sealift__Witness *said, struct buf *out)
{
    AUTO(buf) struct buf payload = {0};
    uint8_t prefix[PLACE_LEN];
    put_place(place, prefix);
    buf_put(&payload, prefix, sizeof(prefix));
    payload_witness_encode(said, &payload);
    stored_sign(host, signature_name, buf_span(&payload), out);
}

bool witness_open(struct span bytes, const uint8_t host[static SIGN_PK_LEN],
                  const struct witness_place *place, Sealift__Witness **out, struct err *err)
{
    struct span payload;
    uint8_t signer[SIGN_PK_LEN], prefix[PLACE_LEN];
    put_place(place, prefix);
    if (!stored_verify(bytes, signature_name, &payload, signer, err)) return false;
    if (memcmp(signer, host, SIGN_PK_LEN) != 0 || payload.len < PLACE_LEN ||
        memcmp(payload.data, prefix, PLACE_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "it is not signed by that host, for this order");
    return payload_witness_decode(span_of(payload.data + PLACE_LEN, payload.len - PLACE_LEN), out, err);
}
