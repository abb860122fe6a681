/* A wrapping key of 32 bytes in a file of this machine: the protector for one machine, or for one whose disk
 * another protects. */
#include "transporter/kms/kms_driver.h"

#include "common/base/text.h"
#include "common/crypto/box.h"
#include "transporter/kms/secret_file.h"

#include <string.h>

enum {
    WRAPPING_KEY_LEN = 32,
    FILE_READ_MAX = 4096, /* so that a wrong file's length can be told */
    MASTER_ID_LEN = 16,
    WRAP_LEN = MASTER_ID_LEN + KEY_SECRET_LEN + SMALL_OVERHEAD,
};

/* Derived, so that the file's bytes are never a key themselves, and its id tells nothing of them. */
struct wrapping_key {
    struct secret *key;
    uint8_t id[MASTER_ID_LEN];
};

static void wrapping_key_deinit(struct wrapping_key *key)
{
    secret_free(key->key);
}
DEFINE_AUTO_IN_PLACE(wrapping_key, struct wrapping_key, wrapping_key_deinit)

static void derive(const struct secret *bytes, struct wrapping_key *out)
{
    AUTO(wipe32) uint8_t id[HASH_LEN];
    struct span part = span_of(bytes->data, bytes->len);
    out->key = secret_new(HASH_LEN);
    hash_derive("sealift v1 kms file key", &part, 1, out->key->data);
    hash_derive("sealift v1 kms file id", &part, 1, id);
    memcpy(out->id, id, MASTER_ID_LEN);
}

static bool load(const struct kms_entry *entry, struct wrapping_key *out, struct err *err)
{
    const char *path = entry->uri->path;
    AUTO(secret) struct secret *bytes = NULL;
    if (!secret_file_read(path, FILE_READ_MAX, SECRET_FILE_NO_LINK, &bytes, err)) return false;
    if (bytes->len != WRAPPING_KEY_LEN)
        return err_set(err, ERR_CONFIG, "'%s' has %zu bytes instead of %d", path, bytes->len,
                       WRAPPING_KEY_LEN);
    derive(bytes, out);
    return true;
}

static bool file_wrap(const struct kms_entry *entry, struct span associated,
                      const uint8_t s[static KEY_SECRET_LEN], struct buf *out, struct err *err)
{
    AUTO(wrapping_key) struct wrapping_key key = {0};
    if (!load(entry, &key, err)) return false;
    buf_put(out, key.id, MASTER_ID_LEN);
    small_seal(key.key->data, associated, span_of(s, KEY_SECRET_LEN), out);
    return true;
}

static bool file_unwrap(const struct kms_entry *entry, struct span associated, struct span wrap,
                        struct secret **s, struct err *err)
{
    AUTO(wrapping_key) struct wrapping_key key = {0};
    if (wrap.len < WRAP_LEN) return err_set(err, ERR_TRUNCATED, "the wrap is cut off");
    if (wrap.len > WRAP_LEN) return err_set(err, ERR_DAMAGED, "the wrap is too long");
    if (!load(entry, &key, err)) return false;
    if (memcmp(wrap.data, key.id, MASTER_ID_LEN) != 0) {
        char made_by[2 * MASTER_ID_LEN + 1], here[2 * MASTER_ID_LEN + 1];
        hex_encode(wrap.data, MASTER_ID_LEN, made_by);
        hex_encode(key.id, MASTER_ID_LEN, here);
        return err_set(err, ERR_WRONG_KEY, "the wrap was made by the wrapping key %s, '%s' is %s", made_by,
                       entry->uri->path, here);
    }
    return small_open(key.key->data, associated, span_of(wrap.data + MASTER_ID_LEN, wrap.len - MASTER_ID_LEN),
                      s, err) ||
           err_wrap(err, "the wrap");
}

static bool file_describe(const struct kms_entry *entry, char out[static KMS_MASTER_MAX], struct err *err)
{
    AUTO(wrapping_key) struct wrapping_key key = {0};
    if (!load(entry, &key, err)) return false;
    hex_encode(key.id, MASTER_ID_LEN, out);
    return true;
}

static bool file_check(const struct kms_entry *entry, struct err *err)
{
    AUTO(wrapping_key) struct wrapping_key key = {0};
    return load(entry, &key, err);
}

const struct kms_driver kms_file_driver = {.wrap = file_wrap,
                                           .unwrap = file_unwrap,
                                           .describe = file_describe,
                                           .check = file_check,
                                           .kind = KMS_WRAP_FILE};
