#include "transporter/kms/kms_driver.h"

#include <string.h>

enum { WRAP_VERSION = 1, WRAP_HEADER_LEN = 2 };

static const struct kms_driver *driver_of(const struct kms_entry *entry)
{
    static const struct kms_driver *const drivers[] = {
        [KMS_FILE] = &kms_file_driver, [KMS_KMIP] = &kms_kmip_driver, [KMS_AWS] = &kms_aws_driver};
    return drivers[entry->uri->kind];
}

/* What a wrap is bound to. */
static void associate(const struct hash *key_id, struct buf *out)
{
    static const char context[] = "sealift kms wrap v1";
    buf_put(out, context, sizeof(context)); /* with the NUL */
    buf_put(out, key_id->bytes, HASH_LEN);
}

static bool check_header(const struct kms_driver *driver, struct span wrap, struct err *err)
{
    if (wrap.len < WRAP_HEADER_LEN)
        return err_set(err, ERR_TRUNCATED, "the wrap has only %zu bytes", wrap.len);
    if (wrap.len > KMS_WRAP_MAX) return err_set(err, ERR_DAMAGED, "the wrap has %zu bytes", wrap.len);
    if (wrap.data[0] != WRAP_VERSION)
        return err_set(err, ERR_VERSION, "the wrap is of version %u, known is %d", wrap.data[0],
                       WRAP_VERSION);
    return wrap.data[1] == driver->kind ||
           err_set(err, ERR_CONFIG, "the wrap was made by another kind of protector than this entry is");
}

static bool unwrap(const struct kms_driver *driver, const struct kms_entry *entry, struct span wrap,
                   const struct hash *key_id, struct secret **s, struct err *err)
{
    AUTO(buf) struct buf associated = {0};
    AUTO(secret) struct secret *found = NULL;
    associate(key_id, &associated);
    struct span body = span_of(wrap.data + WRAP_HEADER_LEN, wrap.len - WRAP_HEADER_LEN);
    if (!driver->unwrap(entry, buf_span(&associated), body, &found, err)) return false;
    if (!key_is(found, key_id))
        return err_set(err, ERR_NOT_AUTHENTIC, "it gave back something that is not the key");
    *s = found;
    found = NULL;
    return true;
}

bool kms_unwrap(const struct kms_entry *entry, struct span wrap, const struct hash *key_id, struct secret **s,
                struct err *err)
{
    const struct kms_driver *driver = driver_of(entry);
    return check_header(driver, wrap, err) && unwrap(driver, entry, wrap, key_id, s, err);
}

static bool wrap(const struct kms_driver *driver, const struct kms_entry *entry,
                 const uint8_t s[static KEY_SECRET_LEN], const struct hash *key_id, struct buf *out,
                 struct err *err)
{
    AUTO(buf) struct buf associated = {0};
    AUTO(secret) struct secret *again = NULL;
    associate(key_id, &associated);
    buf_put_u8(out, WRAP_VERSION);
    buf_put_u8(out, (uint8_t)driver->kind);
    if (!driver->wrap(entry, buf_span(&associated), s, out, err)) return false;
    if (!check_header(driver, buf_span(out), err) ||
        !unwrap(driver, entry, buf_span(out), key_id, &again, err))
        return err_wrap(err, "it does not unwrap what it has just wrapped");
    return true;
}

bool kms_wrap(const struct kms_entry *entry, const uint8_t s[static KEY_SECRET_LEN],
              const struct hash *key_id, struct buf *out, struct err *err)
{
    const struct kms_driver *driver = driver_of(entry);
    AUTO(buf) struct buf bytes = {0};
    if (!wrap(driver, entry, s, key_id, &bytes, err)) return err_wrap(err, "KMS '%s'", entry->name);
    buf_put_span(out, buf_span(&bytes));
    return true;
}

bool kms_check(const struct kms_entry *entry, struct err *err)
{
    const struct kms_driver *driver = driver_of(entry);
    return driver->check(entry, err) || err_wrap(err, "KMS '%s'", entry->name);
}

bool kms_describe(const struct kms_entry *entry, char out[static KMS_MASTER_MAX], struct err *err)
{
    const struct kms_driver *driver = driver_of(entry);
    char found[KMS_MASTER_MAX];
    if (!driver->describe(entry, found, err)) return err_wrap(err, "KMS '%s'", entry->name);
    memcpy(out, found, sizeof(found));
    return true;
}
