#include "common/crypto/identity.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "common/crypto/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC_VERSION 1
#define FILE_MAGIC "SLIDENT"
#define FILE_MAGIC_LEN 7
#define FILE_VERSION 1
#define CHECKSUM_LEN 16
#define SECRETS_LEN 96 /* signing seed, box sk, transport sk */
#define FINGERPRINT_LEN 20

static bool name_is_valid(const char *name)
{
    static const char alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t len = strlen(name);
    if (len == 0 || len > IDENTITY_NAME_MAX || !strchr(alnum, name[0])) return false;
    for (const char *at = name; *at; at++)
        if (!strchr(alnum, *at) && !strchr("._-", *at)) return false;
    return true;
}

bool identity_name_check(const char *name, struct err *err)
{
    if (name_is_valid(name)) return true;
    return err_set(
        err, ERR_USAGE,
        "'%s' is no name: 1 to %d letters, digits, '.', '_' and '-', the first a letter or a digit", name,
        IDENTITY_NAME_MAX);
}

/* From the three secrets in the order of the key file; NULL: random ones. */
static struct identity *identity_of(const char *name, const uint8_t *secrets)
{
    struct identity *identity = xcalloc(1, sizeof(*identity));
    identity->sign = sign_pair_new(secrets);
    identity->box = box_pair_new(secrets ? secrets + SIGN_SEED_LEN : NULL);
    identity->transport = box_pair_new(secrets ? secrets + SIGN_SEED_LEN + BOX_SK_LEN : NULL);
    memcpy(identity->known.name, name, strlen(name) + 1);
    memcpy(identity->known.sign_pk, identity->sign->pk, SIGN_PK_LEN);
    memcpy(identity->known.box_pk, identity->box->pk, BOX_PK_LEN);
    memcpy(identity->known.transport_pk, identity->transport->pk, BOX_PK_LEN);
    return identity;
}

bool identity_new(const char *name, struct identity **out, struct err *err)
{
    if (!identity_name_check(name, err)) return false;
    *out = identity_of(name, NULL);
    return true;
}

void identity_free(struct identity *identity)
{
    if (!identity) return;
    sign_pair_free(identity->sign);
    box_pair_free(identity->box);
    box_pair_free(identity->transport);
    free(identity);
}

void identity_public_encode(const struct identity_public *known, struct buf *out)
{
    buf_put_u8(out, PUBLIC_VERSION);
    buf_put_u8(out, (uint8_t)strlen(known->name));
    buf_put_str(out, known->name);
    buf_put(out, known->sign_pk, SIGN_PK_LEN);
    buf_put(out, known->box_pk, BOX_PK_LEN);
    buf_put(out, known->transport_pk, BOX_PK_LEN);
}

bool identity_public_decode(struct span bytes, struct identity_public *out, struct err *err)
{
    struct reader reader = reader_of(bytes);
    struct identity_public known = {0};
    uint8_t version = reader_u8(&reader);
    struct span name = reader_bytes(&reader, reader_u8(&reader));
    reader_copy(&reader, known.sign_pk, SIGN_PK_LEN);
    reader_copy(&reader, known.box_pk, BOX_PK_LEN);
    reader_copy(&reader, known.transport_pk, BOX_PK_LEN);
    if (bytes.len > 0 && version != PUBLIC_VERSION)
        return err_set(err, ERR_VERSION, "identity: version %u is not known", version);
    if (!reader_ok(&reader)) return err_set(err, ERR_TRUNCATED, "identity: ends after %zu bytes", bytes.len);
    if (!reader_done(&reader)) return err_set(err, ERR_DAMAGED, "identity: bytes follow its end");
    if (name.len == 0 || name.len > IDENTITY_NAME_MAX || memchr(name.data, 0, name.len))
        return err_set(err, ERR_DAMAGED, "identity: its name is no name");
    memcpy(known.name, name.data, name.len);
    if (!name_is_valid(known.name)) return err_set(err, ERR_DAMAGED, "identity: its name is no name");
    *out = known;
    return true;
}

void identity_fingerprint(const struct identity_public *known, char out[static FINGERPRINT_TEXT_LEN])
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(buf) struct buf text = {0};
    uint8_t hash[HASH_LEN];
    identity_public_encode(known, &bytes);
    struct span part = buf_span(&bytes);
    hash_derive("sealift v1 fingerprint", &part, 1, hash);
    base32_encode(span_of(hash, FINGERPRINT_LEN), &text);
    for (size_t group = 0; group < 8; group++) {
        memcpy(out + 5 * group, text.data + 4 * group, 4);
        out[5 * group + 4] = group < 7 ? '-' : '\0';
    }
}

/* Magic, version, protection, public part. */
static void put_head(const struct identity *identity, enum identity_protection protection, struct buf *out)
{
    AUTO(buf) struct buf known = {0};
    identity_public_encode(&identity->known, &known);
    buf_put(out, FILE_MAGIC, FILE_MAGIC_LEN);
    buf_put_u8(out, FILE_VERSION);
    buf_put_u8(out, (uint8_t)protection);
    buf_put(out, "\0\0", 3);
    buf_put_u32(out, (uint32_t)known.len);
    buf_put_span(out, buf_span(&known));
}

static struct secret *secrets_of(const struct identity *identity)
{
    AUTO(secret) struct secret *seed = sign_pair_seed(identity->sign);
    struct secret *out = secret_new(SECRETS_LEN);
    memcpy(out->data, seed->data, SIGN_SEED_LEN);
    memcpy(out->data + SIGN_SEED_LEN, identity->box->sk->data, BOX_SK_LEN);
    memcpy(out->data + SIGN_SEED_LEN + BOX_SK_LEN, identity->transport->sk->data, BOX_SK_LEN);
    return out;
}

/* The whole file: two parts, and the checksum over them. */
static struct secret *file_of(struct span head, struct span rest)
{
    size_t len = head.len + rest.len;
    struct secret *file = secret_new(len + CHECKSUM_LEN);
    memcpy(file->data, head.data, head.len);
    memcpy(file->data + head.len, rest.data, rest.len);
    struct hash checksum = hash_of(span_of(file->data, len));
    memcpy(file->data + len, checksum.bytes, CHECKSUM_LEN);
    return file;
}

struct secret *identity_encode(const struct identity *identity)
{
    AUTO(buf) struct buf head = {0};
    AUTO(secret) struct secret *secrets = secrets_of(identity);
    put_head(identity, IDENTITY_PLAIN, &head);
    return file_of(buf_span(&head), span_of(secrets->data, secrets->len));
}

static bool file_key(const struct secret *password, const uint8_t *salt, const struct pwhash_limits *limits,
                     uint8_t key[static 32], struct err *err)
{
    AUTO(secret) struct secret *hash = NULL;
    if (!password_hash(password, salt, limits, &hash, err)) return false;
    const struct span part = {hash->data, hash->len};
    hash_derive("sealift v1 identity", &part, 1, key);
    return true;
}

bool identity_seal(const struct identity *identity, const struct secret *password,
                   const struct pwhash_limits *limits, struct secret **out, struct err *err)
{
    AUTO(buf) struct buf head = {0};
    AUTO(buf) struct buf sealed = {0};
    AUTO(secret) struct secret *secrets = secrets_of(identity);
    AUTO(wipe32) uint8_t key[32];
    uint8_t salt[PASSWORD_SALT_LEN];
    random_bytes(salt, sizeof(salt));
    if (!file_key(password, salt, limits, key, err)) return false;
    put_head(identity, IDENTITY_PASSWORD, &head);
    buf_put_u64(&head, limits->passes);
    buf_put_u64(&head, limits->memory_bytes);
    buf_put(&head, salt, sizeof(salt));
    small_seal(key, buf_span(&head), span_of(secrets->data, secrets->len), &sealed);
    *out = file_of(buf_span(&head), buf_span(&sealed));
    return true;
}

/* A key file taken apart; everything is borrowed from it. */
struct file_view {
    enum identity_protection protection;
    struct identity_public known;
    struct pwhash_limits limits;
    const uint8_t *salt;
    struct span head; /* the associated data of what is sealed */
    struct span rest; /* the secrets, plain or sealed */
};

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "identity file: %s", what);
}

static bool check_magic(struct span file, struct err *err)
{
    size_t len = file.len < FILE_MAGIC_LEN ? file.len : FILE_MAGIC_LEN;
    if (len && memcmp(file.data, FILE_MAGIC, len) != 0) return damaged(err, "it is not an identity file");
    if (file.len > FILE_MAGIC_LEN && file.data[FILE_MAGIC_LEN] != FILE_VERSION)
        return err_set(err, ERR_VERSION, "identity file: version %u is not known", file.data[FILE_MAGIC_LEN]);
    return true;
}

/* The checksum is not for security: it tells a damaged file from a wrong password. */
static bool checksum_fits(struct span file)
{
    size_t len = file.len - CHECKSUM_LEN;
    struct hash checksum = hash_of(span_of(file.data, len));
    return memcmp(checksum.bytes, file.data + len, CHECKSUM_LEN) == 0;
}

static bool file_parse(struct span file, struct file_view *out, struct err *err)
{
    struct reader reader = reader_of(file);
    struct file_view view = {0};
    uint8_t reserved[3];
    if (!check_magic(file, err)) return false;
    (void)reader_bytes(&reader, FILE_MAGIC_LEN + 1);
    view.protection = reader_u8(&reader);
    reader_copy(&reader, reserved, sizeof(reserved));
    struct span known = reader_bytes(&reader, reader_u32(&reader));
    if (view.protection == IDENTITY_PASSWORD) {
        view.limits.passes = reader_u64(&reader);
        view.limits.memory_bytes = reader_u64(&reader);
        view.salt = reader_bytes(&reader, PASSWORD_SALT_LEN).data;
    }
    view.head = span_of(file.data, reader.pos);
    view.rest =
        reader_bytes(&reader, SECRETS_LEN + (view.protection == IDENTITY_PASSWORD ? SMALL_OVERHEAD : 0));
    (void)reader_bytes(&reader, CHECKSUM_LEN);
    if (!reader_ok(&reader))
        return err_set(err, ERR_TRUNCATED, "identity file: ends after %zu bytes", file.len);
    if (!reader_done(&reader)) return damaged(err, "bytes follow its end");
    if (!checksum_fits(file)) return damaged(err, "its checksum does not fit");
    if (view.protection > IDENTITY_PASSWORD) return damaged(err, "unknown protection");
    if (reserved[0] | reserved[1] | reserved[2]) return damaged(err, "reserved field is not zero");
    if (!identity_public_decode(known, &view.known, err)) return err_wrap(err, "identity file");
    *out = view;
    return true;
}

bool identity_file_peek(struct span file, struct identity_public *known, enum identity_protection *protection,
                        struct err *err)
{
    struct file_view view;
    if (!file_parse(file, &view, err)) return false;
    *known = view.known;
    *protection = view.protection;
    return true;
}

/* The secrets must be those of the public part that stands in front of them. */
static bool identity_from(const struct file_view *view, const uint8_t secrets[static SECRETS_LEN],
                          struct identity **out, struct err *err)
{
    AUTO(identity) struct identity *identity = identity_of(view->known.name, secrets);
    if (memcmp(&identity->known, &view->known, sizeof(view->known)) != 0)
        return damaged(err, "its secret and its public keys do not belong together");
    *out = identity;
    identity = NULL;
    return true;
}

bool identity_open(struct span file, const struct secret *password, struct identity **out, struct err *err)
{
    struct file_view view;
    if (!file_parse(file, &view, err)) return false;
    if (view.protection == IDENTITY_PLAIN) {
        if (password) return err_set(err, ERR_NOT_ENCRYPTED, "identity file: it is not under a password");
        return identity_from(&view, view.rest.data, out, err);
    }
    if (!password) return err_set(err, ERR_NO_KEY, "identity file: it is under a password");
    AUTO(wipe32) uint8_t key[32];
    AUTO(secret) struct secret *secrets = NULL;
    if (!file_key(password, view.salt, &view.limits, key, err)) return err_wrap(err, "identity file");
    if (!small_open(key, view.head, view.rest, &secrets, err))
        return err_set(err, ERR_WRONG_KEY, "identity file: the password does not open it");
    return identity_from(&view, secrets->data, out, err);
}
