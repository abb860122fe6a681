#include "common/crypto/frame.h"

#include <sodium.h>
#include <string.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#define FRAME_VERSION 1

static const struct {
    enum cipher cipher;
    const char *name;
} CIPHERS[] = {
    {CIPHER_NONE, "none"},
    {CIPHER_AES_256_GCM, "aes-256-gcm"},
    {CIPHER_CHACHA20_POLY1305, "chacha20-poly1305"},
};
#define CIPHER_COUNT (sizeof(CIPHERS) / sizeof(CIPHERS[0]))

bool cipher_parse(const char *name, enum cipher *out, struct err *err)
{
    for (size_t i = 0; i < CIPHER_COUNT; i++) {
        if (strcmp(CIPHERS[i].name, name) != 0) continue;
        *out = CIPHERS[i].cipher;
        return true;
    }
    return err_set(err, ERR_USAGE, "unknown cipher '%s': aes-256-gcm, chacha20-poly1305 and none are known",
                   name);
}

const char *cipher_name(enum cipher cipher)
{
    for (size_t i = 0; i < CIPHER_COUNT; i++)
        if (CIPHERS[i].cipher == cipher) return CIPHERS[i].name;
    return "unknown";
}

static bool cpu_has_aes(void)
{
#if defined(__aarch64__)
    enum { HWCAP_BIT_AES = 1 << 3, HWCAP_BIT_PMULL = 1 << 4 };
    unsigned long caps = getauxval(AT_HWCAP);
    return (caps & HWCAP_BIT_AES) && (caps & HWCAP_BIT_PMULL);
#elif defined(__x86_64__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#else
    return false;
#endif
}

enum cipher cipher_default(void)
{
    return cpu_has_aes() ? CIPHER_AES_256_GCM : CIPHER_CHACHA20_POLY1305;
}

uint32_t frame_max_raw(enum frame_type type)
{
    return type == FRAME_DATA ? FRAME_MAX_RAW_DATA : FRAME_MAX_RAW_NODE;
}

bool frame_ids_ascend(const uint8_t *ids, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (memcmp(ids + (i - 1) * HASH_LEN, ids + i * HASH_LEN, HASH_LEN) >= 0) return false;
    return true;
}

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "frame: %s", what);
}

static bool fields_are_valid(const uint8_t *header, struct err *err)
{
    uint8_t type = header[FRAME_AT_TYPE];
    uint8_t cipher = header[FRAME_AT_CIPHER];
    size_t node_ids = le16_get(header + FRAME_AT_NODE_IDS);
    size_t data_ids = le16_get(header + FRAME_AT_DATA_IDS);
    uint32_t body = le32_get(header + FRAME_AT_BODY_LEN);
    if (type != FRAME_DATA && type != FRAME_NODE) return damaged(err, "unknown type");
    if (cipher > CIPHER_CHACHA20_POLY1305) return damaged(err, "unknown cipher");
    if (header[FRAME_AT_RESERVED] != 0) return damaged(err, "reserved field is not zero");
    if (body < FRAME_INNER_LEN || body > FRAME_MAX_BODY) return damaged(err, "impossible body length");
    if (node_ids + data_ids > FRAME_MAX_CLEAR) return damaged(err, "clear list is too long");
    if (type == FRAME_DATA && node_ids + data_ids > 0) return damaged(err, "a data frame has a clear list");
    return true;
}

/* Cipher none means no seal, no nonce, no tag, and only that. */
static bool cipher_fits(const struct frame_view *view, struct err *err)
{
    if (view->cipher != CIPHER_NONE)
        return !id_is_zero(&view->seal) || damaged(err, "sealed without a seal id");
    if (!id_is_zero(&view->seal)) return damaged(err, "plain, but it names a seal");
    if (!sodium_is_zero(view->nonce, FRAME_NONCE_LEN) || !sodium_is_zero(view->tag, FRAME_TAG_LEN))
        return damaged(err, "plain, but it has a nonce or a tag");
    return true;
}

/* Of a header that fields_are_valid accepted, in front of all the bytes that it announces. */
static struct frame_view view_of(const uint8_t *header)
{
    struct frame_view view = {.type = header[FRAME_AT_TYPE], .cipher = header[FRAME_AT_CIPHER]};
    view.node_ids = le16_get(header + FRAME_AT_NODE_IDS);
    view.data_ids = le16_get(header + FRAME_AT_DATA_IDS);
    memcpy(view.seal.bytes, header + FRAME_AT_SEAL, ID_LEN);
    memcpy(view.chunk.bytes, header + FRAME_AT_CHUNK, HASH_LEN);
    view.nonce = header + FRAME_AT_NONCE;
    view.clear = span_of(header + FRAME_HEADER_LEN, HASH_LEN * (view.node_ids + view.data_ids));
    view.clear_nodes = view.clear.data;
    view.clear_data = view.clear.data + HASH_LEN * view.node_ids;
    view.body = span_of(view.clear.data + view.clear.len, le32_get(header + FRAME_AT_BODY_LEN));
    view.tag = view.body.data + view.body.len;
    view.bytes = span_of(header, FRAME_HEADER_LEN + view.clear.len + view.body.len + FRAME_TAG_LEN);
    return view;
}

bool frame_parse(struct span bytes, struct frame_view *out, struct err *err)
{
    if (bytes.len < FRAME_HEADER_LEN)
        return err_set(err, ERR_TRUNCATED, "frame: ends in its header, after %zu bytes", bytes.len);
    if (bytes.data[FRAME_AT_VERSION] != FRAME_VERSION)
        return err_set(err, ERR_VERSION, "frame: version %u is not known", bytes.data[FRAME_AT_VERSION]);
    if (!fields_are_valid(bytes.data, err)) return false;
    struct frame_view view = view_of(bytes.data);
    if (bytes.len < view.bytes.len)
        return err_set(err, ERR_TRUNCATED, "frame: ends after %zu of %zu bytes", bytes.len, view.bytes.len);
    if (bytes.len > view.bytes.len) return damaged(err, "bytes follow its end");
    if (!cipher_fits(&view, err)) return false;
    if (!frame_ids_ascend(view.clear_nodes, view.node_ids) ||
        !frame_ids_ascend(view.clear_data, view.data_ids))
        return damaged(err, "clear list is out of order");
    *out = view;
    return true;
}
