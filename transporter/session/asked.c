#include "transporter/session/asked.h"

void asked_encode(const enum frame_type *types, const struct hash *ids, size_t count, struct buf *out)
{
    buf_reserve(out, count * ASKED_LEN);
    for (size_t i = 0; i < count; i++) {
        buf_put_u8(out, (uint8_t)types[i]);
        buf_put(out, ids[i].bytes, HASH_LEN);
    }
}

bool asked_decode(struct span payload, uint32_t count, unsigned type_max, enum frame_type *types,
                  struct hash *ids, struct err *err)
{
    if (count > ASKED_MAX || payload.len != (size_t)count * ASKED_LEN)
        return err_set(err, ERR_PROTOCOL, "a question of %zu bytes about %u ids", payload.len, count);
    struct reader reader = reader_of(payload);
    for (uint32_t i = 0; i < count; i++) {
        unsigned type = reader_u8(&reader);
        if (type < FRAME_DATA || type > type_max)
            return err_set(err, ERR_PROTOCOL, "a question about the unknown type %u", type);
        types[i] = (enum frame_type)type;
        reader_copy(&reader, ids[i].bytes, HASH_LEN);
    }
    return true;
}

bool asked_ids_decode(struct span payload, size_t least, struct buf *out, struct err *err)
{
    size_t count = payload.len / HASH_LEN;
    if (payload.len % HASH_LEN || count < least || count > ASKED_MAX)
        return err_set(err, ERR_PROTOCOL, "a list of ids of %zu bytes", payload.len);
    buf_put_span(out, payload);
    return true;
}
