#include "common/crypto/rewrap.h"

#include <sodium.h>
#include <string.h>

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "rewrap: %s", what);
}

bool rewrap_parse(struct span bytes, struct rewrap_view *out, struct err *err)
{
    if (bytes.len < REWRAP_LEN)
        return err_set(err, ERR_TRUNCATED, "rewrap: ends after %zu of %d bytes", bytes.len, REWRAP_LEN);
    if (bytes.data[REWRAP_AT_VERSION] != REWRAP_VERSION)
        return err_set(err, ERR_VERSION, "rewrap: version %u is not known", bytes.data[REWRAP_AT_VERSION]);
    if (bytes.len > REWRAP_LEN) return damaged(err, "bytes follow its end");
    if (!sodium_is_zero(bytes.data + REWRAP_AT_RESERVED, REWRAP_AT_SEAL - REWRAP_AT_RESERVED))
        return damaged(err, "reserved field is not zero");
    struct rewrap_view view = {.bytes = bytes.data};
    memcpy(view.seal.bytes, bytes.data + REWRAP_AT_SEAL, ID_LEN);
    memcpy(view.envelope.bytes, bytes.data + REWRAP_AT_ENVELOPE, HASH_LEN);
    memcpy(view.key_id.bytes, bytes.data + REWRAP_AT_KEY_ID, HASH_LEN);
    memcpy(view.unlock_pk, bytes.data + REWRAP_AT_UNLOCK_PK, sizeof(view.unlock_pk));
    if (id_is_zero(&view.seal)) return damaged(err, "no seal id");
    struct hash key_id = hash_of(span_of(view.unlock_pk, sizeof(view.unlock_pk)));
    if (!hash_eq(&key_id, &view.key_id)) return damaged(err, "key id is not that of its unlock key");
    *out = view;
    return true;
}
