#include "common/crypto/envelope.h"

#include "common/crypto/sign.h"

#include <sodium.h>
#include <string.h>

_Static_assert(ENVELOPE_AT_SIGNATURE + SIGNATURE_LEN == ENVELOPE_LEN, "envelope layout");

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "envelope: %s", what);
}

static struct envelope_view view_of(const uint8_t *bytes)
{
    struct envelope_view view = {.bytes = bytes};
    memcpy(view.seal.bytes, bytes + ENVELOPE_AT_SEAL, ID_LEN);
    memcpy(view.key_id.bytes, bytes + ENVELOPE_AT_KEY_ID, HASH_LEN);
    memcpy(view.domain.bytes, bytes + ENVELOPE_AT_DOMAIN, HASH_LEN);
    memcpy(view.writer, bytes + ENVELOPE_AT_WRITER, SIGN_PK_LEN);
    memcpy(view.unlock_pk, bytes + ENVELOPE_AT_UNLOCK_PK, sizeof(view.unlock_pk));
    return view;
}

bool envelope_parse(struct span bytes, struct envelope_view *out, struct err *err)
{
    if (bytes.len < ENVELOPE_LEN)
        return err_set(err, ERR_TRUNCATED, "envelope: ends after %zu of %d bytes", bytes.len, ENVELOPE_LEN);
    if (bytes.data[ENVELOPE_AT_VERSION] != ENVELOPE_VERSION)
        return err_set(err, ERR_VERSION, "envelope: version %u is not known",
                       bytes.data[ENVELOPE_AT_VERSION]);
    if (bytes.len > ENVELOPE_LEN) return damaged(err, "bytes follow its end");
    struct envelope_view view = view_of(bytes.data);
    if (!sign_verify(view.writer, "envelope", span_of(bytes.data, ENVELOPE_AT_SIGNATURE),
                     bytes.data + ENVELOPE_AT_SIGNATURE))
        return err_set(err, ERR_NOT_AUTHENTIC, "envelope: the writer's signature does not fit");
    if (!sodium_is_zero(bytes.data + ENVELOPE_AT_RESERVED, ENVELOPE_AT_SEAL - ENVELOPE_AT_RESERVED))
        return damaged(err, "reserved field is not zero");
    if (id_is_zero(&view.seal)) return damaged(err, "no seal id");
    struct hash key_id = hash_of(span_of(view.unlock_pk, sizeof(view.unlock_pk)));
    if (!hash_eq(&key_id, &view.key_id)) return damaged(err, "key id is not that of its unlock key");
    *out = view;
    return true;
}
