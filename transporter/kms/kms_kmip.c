/* A symmetric key in a KMIP server. Where the server can encrypt, the master key never leaves it; else it is
 * fetched, and wraps here. A wrap names its master key, so that wraps by an earlier one still open. */
#include "transporter/kms/kms_driver.h"

#include "common/base/alloc.h"
#include "common/crypto/box.h"
#include "transporter/kms/kmip.h"
#include "transporter/kms/kmip_link.h"

#include <string.h>

enum method {
    METHOD_ENCRYPT = 1, /* the server seals: IV, sealed S, tag */
    METHOD_GET = 2,     /* sealed here under a key derived from the master key */
};

enum { NAME_MAX_LEN = 1024, MATERIAL_LEAST = 16 };

/* A wrap in its parts. */
struct parts {
    uint8_t method;
    char *key; /* the master key's name */
    struct span rest;
};

static void parts_deinit(struct parts *parts)
{
    free(parts->key);
}
DEFINE_AUTO_IN_PLACE(parts, struct parts, parts_deinit)

/* A request, which may say S: room for all of it, so that it is at one place, wiped there. */
static struct buf request_new(void)
{
    struct buf request = {0};
    buf_reserve(&request, KMIP_REQUEST_MAX);
    return request;
}

static void request_deinit(struct buf *request)
{
    wipe(request->data, request->cap);
    buf_deinit(request);
}
DEFINE_AUTO_IN_PLACE(request, struct buf, request_deinit)

static struct span bytes_of(const struct secret *secret)
{
    return span_of(secret->data, secret->len);
}

static bool ask_abilities(struct kmip_link *link, struct kmip_abilities *out, struct err *err)
{
    AUTO(request) struct buf request = request_new();
    AUTO(secret) struct secret *answer = NULL;
    kmip_query(&request);
    return kmip_link_ask(link, buf_span(&request), &answer, err) && kmip_queried(bytes_of(answer), out, err);
}

/* --- the server seals --- */

static bool encrypt(struct kmip_link *link, const char *key, struct span associated,
                    const uint8_t s[static KEY_SECRET_LEN], struct buf *out, struct err *err)
{
    uint8_t iv[KMIP_IV_LEN];
    struct kmip_sealed sealed;
    AUTO(request) struct buf request = request_new();
    AUTO(secret) struct secret *answer = NULL;
    random_bytes(iv, sizeof(iv));
    kmip_encrypt(key, span_of(iv, sizeof(iv)), associated, span_of(s, KEY_SECRET_LEN), &request);
    if (!kmip_link_ask(link, buf_span(&request), &answer, err) ||
        !kmip_encrypted(bytes_of(answer), key, KEY_SECRET_LEN, &sealed, err))
        return false;
    buf_put(out, iv, sizeof(iv));
    buf_put_span(out, sealed.data);
    buf_put_span(out, sealed.tag);
    return true;
}

static bool decrypt(struct kmip_link *link, const struct parts *parts, struct span associated,
                    struct secret **s, struct err *err)
{
    const uint8_t *at = parts->rest.data;
    const struct kmip_sealed sealed = {.iv = span_of(at, KMIP_IV_LEN),
                                       .data = span_of(at + KMIP_IV_LEN, KEY_SECRET_LEN),
                                       .tag = span_of(at + KMIP_IV_LEN + KEY_SECRET_LEN, KMIP_TAG_LEN)};
    struct span plain;
    AUTO(request) struct buf request = request_new();
    AUTO(secret) struct secret *answer = NULL;
    kmip_decrypt(parts->key, &sealed, associated, &request);
    if (!kmip_link_ask(link, buf_span(&request), &answer, err) ||
        !kmip_decrypted(bytes_of(answer), parts->key, &plain, err))
        return false;
    *s = secret_copy(plain.data, plain.len);
    return true;
}

/* --- the master key is fetched --- */

static bool fetch(struct kmip_link *link, const char *key, struct secret **out, struct err *err)
{
    struct span material;
    AUTO(request) struct buf request = request_new();
    AUTO(secret) struct secret *answer = NULL;
    kmip_get(key, &request);
    if (!kmip_link_ask(link, buf_span(&request), &answer, err) ||
        !kmip_got(bytes_of(answer), key, &material, err))
        return false;
    if (material.len < MATERIAL_LEAST)
        return err_set(err, ERR_CONFIG, "the master key has %zu bytes, and must have %d at least",
                       material.len, MATERIAL_LEAST);
    *out = secret_new(HASH_LEN);
    hash_derive("sealift v1 kms kmip key", &material, 1, (*out)->data);
    return true;
}

static bool seal_here(struct kmip_link *link, const char *key, struct span associated,
                      const uint8_t s[static KEY_SECRET_LEN], struct buf *out, struct err *err)
{
    AUTO(secret) struct secret *wrapping = NULL;
    if (!fetch(link, key, &wrapping, err)) return false;
    small_seal(wrapping->data, associated, span_of(s, KEY_SECRET_LEN), out);
    return true;
}

static bool open_here(struct kmip_link *link, const struct parts *parts, struct span associated,
                      struct secret **s, struct err *err)
{
    AUTO(secret) struct secret *wrapping = NULL;
    return fetch(link, parts->key, &wrapping, err) &&
           (small_open(wrapping->data, associated, parts->rest, s, err) || err_wrap(err, "the wrap"));
}

/* --- the wrap --- */

static bool choose(const struct kmip_abilities *able, enum method *out, struct err *err)
{
    if (!(able->encrypt && able->decrypt) && !able->get)
        return err_set(err, ERR_CONFIG, "the KMIP server can neither encrypt and decrypt nor give a key");
    *out = able->encrypt && able->decrypt ? METHOD_ENCRYPT : METHOD_GET;
    return true;
}

static bool kmip_wrap(const struct kms_entry *entry, struct span associated,
                      const uint8_t s[static KEY_SECRET_LEN], struct buf *out, struct err *err)
{
    const char *key = entry->uri->key;
    enum method method = METHOD_ENCRYPT;
    struct kmip_abilities able;
    AUTO(kmip_link) struct kmip_link *link = NULL;
    if (strlen(key) > NAME_MAX_LEN)
        return err_set(err, ERR_CONFIG, "the name of the master key is longer than %d", NAME_MAX_LEN);
    if (!kmip_link_open(entry->uri, entry->timeout_ms, &link, err) || !ask_abilities(link, &able, err) ||
        !choose(&able, &method, err))
        return false;
    buf_put_u8(out, (uint8_t)method);
    buf_put_u16(out, (uint16_t)strlen(key));
    buf_put_str(out, key);
    return method == METHOD_ENCRYPT ? encrypt(link, key, associated, s, out, err)
                                    : seal_here(link, key, associated, s, out, err);
}

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= 0x20 || name.data[i] >= 0x7f) return false;
    return name.len > 0 && name.len <= NAME_MAX_LEN;
}

static bool split(struct span wrap, struct parts *out, struct err *err)
{
    struct reader reader = reader_of(wrap);
    uint8_t method = reader_u8(&reader);
    struct span name = reader_bytes(&reader, reader_u16(&reader));
    size_t rest = KEY_SECRET_LEN + (method == METHOD_GET ? SMALL_OVERHEAD : KMIP_IV_LEN + KMIP_TAG_LEN);
    if (!reader_ok(&reader)) return err_set(err, ERR_TRUNCATED, "the wrap is cut off");
    if (method != METHOD_ENCRYPT && method != METHOD_GET)
        return err_set(err, ERR_VERSION, "the wrap was made in the unknown way %u", method);
    if (!is_name(name)) return err_set(err, ERR_DAMAGED, "the wrap does not name a master key");
    if (reader_left(&reader) < rest) return err_set(err, ERR_TRUNCATED, "the wrap is cut off");
    if (reader_left(&reader) > rest) return err_set(err, ERR_DAMAGED, "the wrap is too long");
    out->method = method;
    out->key = xasprintf("%.*s", (int)name.len, (const char *)name.data);
    out->rest = reader_bytes(&reader, rest);
    return true;
}

static bool kmip_unwrap(const struct kms_entry *entry, struct span associated, struct span wrap,
                        struct secret **s, struct err *err)
{
    AUTO(parts) struct parts parts = {0};
    AUTO(kmip_link) struct kmip_link *link = NULL;
    if (!split(wrap, &parts, err) || !kmip_link_open(entry->uri, entry->timeout_ms, &link, err)) return false;
    return (parts.method == METHOD_ENCRYPT ? decrypt(link, &parts, associated, s, err)
                                           : open_here(link, &parts, associated, s, err)) ||
           err_wrap(err, "the master key %s", parts.key);
}

/* The name is known; whether the server speaks with us, in this version, is asked. */
static bool kmip_describe(const struct kms_entry *entry, char out[static KMS_MASTER_MAX], struct err *err)
{
    AUTO(request) struct buf request = request_new();
    AUTO(secret) struct secret *answer = NULL;
    AUTO(kmip_link) struct kmip_link *link = NULL;
    kmip_discover_versions(&request);
    if (!kmip_link_open(entry->uri, entry->timeout_ms, &link, err) ||
        !kmip_link_ask(link, buf_span(&request), &answer, err) || !kmip_versions(bytes_of(answer), err))
        return false;
    (void)snprintf(out, KMS_MASTER_MAX, "%s", entry->uri->key);
    return true;
}

static bool kmip_check(const struct kms_entry *entry, struct err *err)
{
    return kmip_link_check(entry->uri, err);
}

const struct kms_driver kms_kmip_driver = {.wrap = kmip_wrap,
                                           .unwrap = kmip_unwrap,
                                           .describe = kmip_describe,
                                           .check = kmip_check,
                                           .kind = KMS_WRAP_KMIP};
