#include "common/crypto/seal_list.h"

#include <assert.h>
#include <string.h>

#define LIST_VERSION 1

enum list_offset {
    AT_VERSION = 0,
    AT_CLASS = 1,
    AT_RESERVED = 2,
    AT_COUNT = 4,
    AT_SEAL = 8,
    AT_WRITER = 24,
    AT_NUMBER = 56,
    AT_HASHES = 64,
};
_Static_assert(AT_HASHES + SIGNATURE_LEN == SEAL_LIST_FIXED_LEN, "list layout");

void seal_list_encode(const struct sign_pair *writer, enum pack_class class_, const struct id *seal,
                      uint64_t number, const struct hash *hashes, size_t count, struct buf *out)
{
    assert(count >= 1 && count <= SEAL_LIST_MAX && number >= 1);
    size_t signed_len = AT_HASHES + HASH_LEN * count;
    uint8_t *bytes = buf_grow(out, signed_len + SIGNATURE_LEN);
    bytes[AT_VERSION] = LIST_VERSION;
    bytes[AT_CLASS] = (uint8_t)class_;
    le16_put(bytes + AT_RESERVED, 0);
    le32_put(bytes + AT_COUNT, (uint32_t)count);
    memcpy(bytes + AT_SEAL, seal->bytes, ID_LEN);
    memcpy(bytes + AT_WRITER, writer->pk, SIGN_PK_LEN);
    le64_put(bytes + AT_NUMBER, number);
    memcpy(bytes + AT_HASHES, hashes, HASH_LEN * count);
    sign_bytes(writer, "list", span_of(bytes, signed_len), bytes + signed_len);
}

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "seal list: %s", what);
}

static struct seal_list_view view_of(const uint8_t *bytes)
{
    struct seal_list_view view = {
        .class_ = bytes[AT_CLASS],
        .number = le64_get(bytes + AT_NUMBER),
        .count = le32_get(bytes + AT_COUNT),
        .hashes = bytes + AT_HASHES,
    };
    memcpy(view.seal.bytes, bytes + AT_SEAL, ID_LEN);
    memcpy(view.writer, bytes + AT_WRITER, SIGN_PK_LEN);
    return view;
}

/* What is wrong with a list whose signature fits is the writer's doing, not the disk's. */
static bool fields_are_valid(const uint8_t *bytes, const struct seal_list_view *view, struct err *err)
{
    if (view->class_ != PACK_DATA && view->class_ != PACK_META) return damaged(err, "unknown class");
    if (le16_get(bytes + AT_RESERVED) != 0) return damaged(err, "reserved field is not zero");
    if (view->number == 0) return damaged(err, "its number is 0");
    if (id_is_zero(&view->seal)) return damaged(err, "no seal id");
    return true;
}

bool seal_list_parse(struct span bytes, struct seal_list_view *out, struct err *err)
{
    if (bytes.len < SEAL_LIST_FIXED_LEN)
        return err_set(err, ERR_TRUNCATED, "seal list: ends after %zu bytes", bytes.len);
    if (bytes.data[AT_VERSION] != LIST_VERSION)
        return err_set(err, ERR_VERSION, "seal list: version %u is not known", bytes.data[AT_VERSION]);
    struct seal_list_view view = view_of(bytes.data);
    if (view.count == 0 || view.count > SEAL_LIST_MAX) return damaged(err, "impossible count");
    size_t signed_len = AT_HASHES + HASH_LEN * view.count;
    if (bytes.len < signed_len + SIGNATURE_LEN)
        return err_set(err, ERR_TRUNCATED, "seal list: ends after %zu of %zu bytes", bytes.len,
                       signed_len + SIGNATURE_LEN);
    if (bytes.len > signed_len + SIGNATURE_LEN) return damaged(err, "bytes follow its end");
    if (!sign_verify(view.writer, "list", span_of(bytes.data, signed_len), bytes.data + signed_len))
        return err_set(err, ERR_NOT_AUTHENTIC, "seal list: the writer's signature does not fit");
    if (!fields_are_valid(bytes.data, &view, err)) return false;
    *out = view;
    return true;
}
