#include "common/wire/stored.h"

#include "common/wire/message.h"

#include <string.h>

enum {
    SIGNED_TAIL = 2 + SIGN_PK_LEN + 2 + SIGNATURE_LEN, /* signer and signature as encoded */
    SALT_LEN = 16,
    PASSWORD_WRAP_LEN = 24 + 32 + 16,
    KEYRING_FIXED_LEN = 1 + 24 + 32 + 32 + 2 + 16,
    KEYRING_MAX_COUNT = 1024,
    MAX_WRAPPED = 16 * 1024,
    MAX_STATEMENT = 2 * 1024 * 1024,
    MAX_BODY = 64 * 1024
};

/* How many bytes a field must have. */
static bool exactly(const ProtobufCBinaryData *bytes, size_t len, const char *field, const char *what,
                    struct err *err)
{
    if (bytes->len == len) return true;
    return err_set(err, ERR_DAMAGED, "%s: '%s' has %zu bytes instead of %zu", what, field, bytes->len, len);
}

static bool at_most(size_t have, size_t limit, const char *field, const char *what, struct err *err)
{
    if (have <= limit) return true;
    return err_set(err, ERR_LIMIT, "%s: '%s' has %zu, at most %zu are allowed", what, field, have, limit);
}

static bool name_ok(const char *text, const char *field, const char *what, struct err *err)
{
    if (strpbrk(text, "\n\t"))
        return err_set(err, ERR_DAMAGED, "%s: '%s' has a control character", what, field);
    return at_most(strlen(text), STORED_MAX_NAME, field, what, err);
}

static bool version_ok(uint32_t version, const char *what, struct err *err)
{
    if (version == 1) return true;
    return err_set(err, ERR_VERSION, "%s has version %u, this program reads version 1%s", what, version,
                   version > 1 ? ": a newer Sealift wrote it, install one as new here" : "");
}

/* That of a message that another program may have written. What begins with no version is judged later. */
static bool begins_with_our_version(struct span bytes, const char *what, struct err *err)
{
    uint8_t version = message_version(bytes);
    return version == 0 || version_ok(version, what, err);
}

static bool encode_limited(const void *message, size_t limit, const char *what, struct buf *out,
                           struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    message_encode(message, &bytes);
    if (bytes.len > limit)
        return err_set(err, ERR_LIMIT, "%s has %zu bytes, at most %zu are allowed", what, bytes.len, limit);
    buf_put_span(out, buf_span(&bytes));
    return true;
}

struct id stored_id(const ProtobufCBinaryData *bytes)
{
    struct id id = {{0}};
    if (bytes->len == sizeof(id)) memcpy(&id, bytes->data, sizeof(id));
    return id;
}

struct hash stored_hash(const ProtobufCBinaryData *bytes)
{
    struct hash hash = {{0}};
    if (bytes->len == sizeof(hash)) memcpy(&hash, bytes->data, sizeof(hash));
    return hash;
}

/* --- Signed --- */

void stored_sign(const struct sign_pair *pair, const char *name, struct span payload, struct buf *out)
{
    uint8_t signature[SIGNATURE_LEN];
    sign_bytes(pair, name, payload, signature);
    Sealift__Signed message = SEALIFT__SIGNED__INIT;
    message.payload = stored_bytes(payload);
    message.signer = stored_bytes(span_of(pair->pk, SIGN_PK_LEN));
    message.signature = stored_bytes(span_of(signature, sizeof(signature)));
    message_encode(&message, out);
}

static void free_signed(Sealift__Signed *message)
{
    message_free(message);
}
DEFINE_AUTO(signed_message, Sealift__Signed *, free_signed)

bool stored_verify(struct span bytes, const char *name, struct span *payload,
                   uint8_t signer[static SIGN_PK_LEN], struct err *err)
{
    const char *what = "the signed message";
    AUTO(signed_message)
    Sealift__Signed *message = (Sealift__Signed *)message_decode(
        &sealift__signed__descriptor, bytes, STORED_MAX_SIGNED, STORED_MAX_NAME, what, err);
    if (!message) return false;
    if (!exactly(&message->signer, SIGN_PK_LEN, "signer", what, err) ||
        !exactly(&message->signature, SIGNATURE_LEN, "signature", what, err))
        return false;
    if (!sign_verify(message->signer.data, name, stored_span(&message->payload), message->signature.data))
        return err_set(err, ERR_NOT_AUTHENTIC, "the signature does not verify");
    /* the one accepted encoding ends in signer and signature, with the payload before them */
    size_t end = bytes.len - SIGNED_TAIL;
    *payload = span_of(bytes.data + end - message->payload.len, message->payload.len);
    memcpy(signer, message->signer.data, SIGN_PK_LEN);
    return true;
}

/* --- LogEntry --- */

static const char log_what[] = "the log entry";

static bool log_created_ok(const Sealift__LogEntry *entry, struct err *err)
{
    if (entry->number != 1) return err_set(err, ERR_DAMAGED, "%s: 'created' may only stand first", log_what);
    if (entry->plaintext > 1)
        return err_set(err, ERR_VERSION, "%s: 'plaintext' has the unknown value %u", log_what,
                       entry->plaintext);
    return exactly(&entry->site, ID_LEN, "site", log_what, err);
}

static bool log_packs_ok(const Sealift__LogEntry *entry, struct err *err)
{
    /* swept with nothing: everything that was condemned is spared */
    if (entry->n_packs == 0 && entry->kind != SEALIFT__LOG_KIND__LOG_SWEPT)
        return err_set(err, ERR_DAMAGED, "%s: 'packs' is empty", log_what);
    if (!at_most(entry->n_packs, STORED_MAX_PACKS, "packs", log_what, err)) return false;
    for (size_t i = 0; i < entry->n_packs; i++)
        if (!exactly(&entry->packs[i], HASH_LEN, "packs", log_what, err)) return false;
    return exactly(&entry->object_hash, HASH_LEN, "object_hash", log_what, err);
}

static bool log_kind_ok(const Sealift__LogEntry *entry, struct err *err)
{
    switch (entry->kind) {
    case SEALIFT__LOG_KIND__LOG_CREATED:
        return log_created_ok(entry, err);
    case SEALIFT__LOG_KIND__LOG_POLICY:
    case SEALIFT__LOG_KIND__LOG_OWNER:
        if (entry->statement.len) return true;
        return err_set(err, ERR_DAMAGED, "%s: 'statement' is missing", log_what);
    case SEALIFT__LOG_KIND__LOG_POINT:
        return exactly(&entry->object, ID_LEN, "object", log_what, err) &&
               exactly(&entry->object_hash, HASH_LEN, "object_hash", log_what, err);
    case SEALIFT__LOG_KIND__LOG_REMOVED:
    case SEALIFT__LOG_KIND__LOG_UNDELETED:
    case SEALIFT__LOG_KIND__LOG_HELD:
    case SEALIFT__LOG_KIND__LOG_RELEASED:
        return exactly(&entry->object, ID_LEN, "object", log_what, err);
    case SEALIFT__LOG_KIND__LOG_CONDEMNED:
    case SEALIFT__LOG_KIND__LOG_SWEPT:
        return log_packs_ok(entry, err);
    default:
        return err_set(err, ERR_VERSION, "%s: 'kind' has the unknown value %d", log_what, entry->kind);
    }
}

/* Fields that belong to some kinds only are empty in the others. */
static bool log_extra_ok(const Sealift__LogEntry *entry, struct err *err)
{
    bool created = entry->kind == SEALIFT__LOG_KIND__LOG_CREATED;
    bool packs =
        entry->kind == SEALIFT__LOG_KIND__LOG_CONDEMNED || entry->kind == SEALIFT__LOG_KIND__LOG_SWEPT;
    bool point = entry->kind == SEALIFT__LOG_KIND__LOG_POINT;
    bool object = point || entry->kind == SEALIFT__LOG_KIND__LOG_REMOVED ||
                  entry->kind == SEALIFT__LOG_KIND__LOG_UNDELETED ||
                  entry->kind == SEALIFT__LOG_KIND__LOG_HELD ||
                  entry->kind == SEALIFT__LOG_KIND__LOG_RELEASED;
    if ((!created && (entry->site.len || entry->plaintext)) || (!packs && entry->n_packs) ||
        (!object && entry->object.len) || (!point && !packs && entry->object_hash.len))
        return err_set(err, ERR_DAMAGED, "%s has a field that its kind does not use", log_what);
    return true;
}

static bool log_ok(const Sealift__LogEntry *entry, struct err *err)
{
    if (!version_ok(entry->version, log_what, err)) return false;
    if (entry->number == 0) return err_set(err, ERR_DAMAGED, "%s has the number 0", log_what);
    return exactly(&entry->repository, ID_LEN, "repository", log_what, err) &&
           exactly(&entry->previous, HASH_LEN, "previous", log_what, err) &&
           at_most(entry->statement.len, MAX_STATEMENT, "statement", log_what, err) &&
           log_kind_ok(entry, err) && log_extra_ok(entry, err);
}

bool stored_log_encode(const Sealift__LogEntry *entry, struct buf *out, struct err *err)
{
    if (!message_check(entry, STORED_MAX_NAME, log_what, err) || !log_ok(entry, err)) return false;
    message_encode(entry, out);
    return true;
}

bool stored_log_decode(struct span bytes, Sealift__LogEntry **out, struct err *err)
{
    if (!begins_with_our_version(bytes, log_what, err)) return false;
    AUTO(stored_log)
    Sealift__LogEntry *entry = (Sealift__LogEntry *)message_decode(
        &sealift__log_entry__descriptor, bytes, STORED_MAX_SIGNED, STORED_MAX_NAME, log_what, err);
    if (!entry || !log_ok(entry, err)) return false;
    *out = entry;
    entry = NULL;
    return true;
}

void stored_log_free(Sealift__LogEntry *entry)
{
    message_free(entry);
}

/* --- PointBody --- */

static const char body_what[] = "the point's body";

static bool body_names_ok(const Sealift__PointBody *body, struct err *err)
{
    static const char *const kinds[] = {"tree", "image", "stream"};
    bool known = false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        known = known || strcmp(body->object_kind, kinds[i]) == 0;
    if (!known) return err_set(err, ERR_VERSION, "%s: 'object_kind' is unknown", body_what);
    if (body->crash_consistent > (strcmp(body->object_kind, "image") == 0))
        return err_set(err, ERR_DAMAGED, "%s: 'crash_consistent' of what is no image, or no flag", body_what);
    return name_ok(body->job, "job", body_what, err) &&
           name_ok(body->writer_name, "writer_name", body_what, err) &&
           name_ok(body->key_label, "key_label", body_what, err) &&
           name_ok(body->domain, "domain", body_what, err);
}

/* An encrypted point names its key, its domain and its unlock section; a plain one has none. */
static bool body_key_ok(const Sealift__PointBody *body, struct err *err)
{
    if (body->cipher > 2)
        return err_set(err, ERR_VERSION, "%s: 'cipher' has the unknown value %u", body_what, body->cipher);
    size_t len = body->cipher ? HASH_LEN : 0;
    if (!exactly(&body->key_id, len, "key_id", body_what, err) ||
        !exactly(&body->unlock_hash, len, "unlock_hash", body_what, err))
        return false;
    if (!body->cipher && body->domain_id.len == 0) return true;
    return exactly(&body->domain_id, HASH_LEN, "domain_id", body_what, err);
}

static bool origin_ok(const Sealift__PointOrigin *origin, struct err *err)
{
    return !origin || (exactly(&origin->point, ID_LEN, "origin.point", body_what, err) &&
                       exactly(&origin->run, ID_LEN, "origin.run", body_what, err) &&
                       exactly(&origin->writer, SIGN_PK_LEN, "origin.writer", body_what, err) &&
                       name_ok(origin->writer_name, "origin.writer_name", body_what, err) &&
                       name_ok(origin->key_label, "origin.key_label", body_what, err));
}

static bool body_ok(const Sealift__PointBody *body, struct err *err)
{
    if (!version_ok(body->version, body_what, err)) return false;
    if (!body->counts) return err_set(err, ERR_DAMAGED, "%s: 'counts' is missing", body_what);
    size_t head_len = body->head_number ? HASH_LEN : 0;
    if (body->head_number == 0 && body->head_hash.len == HASH_LEN) head_len = HASH_LEN;
    return exactly(&body->point, ID_LEN, "point", body_what, err) &&
           exactly(&body->site, ID_LEN, "site", body_what, err) &&
           exactly(&body->run, ID_LEN, "run", body_what, err) &&
           exactly(&body->writer, SIGN_PK_LEN, "writer", body_what, err) &&
           exactly(&body->root, HASH_LEN, "root", body_what, err) &&
           exactly(&body->seal, ID_LEN, "seal", body_what, err) &&
           exactly(&body->head_hash, head_len, "head_hash", body_what, err) && body_key_ok(body, err) &&
           body_names_ok(body, err) && origin_ok(body->origin, err);
}

bool stored_body_encode(const Sealift__PointBody *body, struct buf *out, struct err *err)
{
    if (!message_check(body, STORED_MAX_NAME, body_what, err) || !body_ok(body, err)) return false;
    message_encode(body, out);
    return true;
}

bool stored_body_decode(struct span bytes, Sealift__PointBody **out, struct err *err)
{
    if (!begins_with_our_version(bytes, body_what, err)) return false;
    AUTO(stored_body)
    Sealift__PointBody *body = (Sealift__PointBody *)message_decode(
        &sealift__point_body__descriptor, bytes, MAX_BODY, STORED_MAX_NAME, body_what, err);
    if (!body || !body_ok(body, err)) return false;
    *out = body;
    body = NULL;
    return true;
}

void stored_body_free(Sealift__PointBody *body)
{
    message_free(body);
}

/* --- PointFile --- */

static const char point_what[] = "the point file";

static bool point_ok(const Sealift__PointFile *file, struct err *err)
{
    if (file->body.len == 0) return err_set(err, ERR_DAMAGED, "%s: 'body' is missing", point_what);
    return at_most(file->body.len, MAX_BODY, "body", point_what, err) &&
           at_most(file->unlock.len, STORED_MAX_UNLOCK, "unlock", point_what, err) &&
           at_most(file->writer_roster.len, MAX_STATEMENT, "writer_roster", point_what, err);
}

bool stored_point_encode(const Sealift__PointFile *file, struct buf *out, struct err *err)
{
    if (!message_check(file, STORED_MAX_NAME, point_what, err) || !point_ok(file, err)) return false;
    return encode_limited(file, STORED_MAX_POINT, point_what, out, err);
}

bool stored_point_decode(struct span bytes, Sealift__PointFile **out, struct err *err)
{
    AUTO(stored_point)
    Sealift__PointFile *file = (Sealift__PointFile *)message_decode(
        &sealift__point_file__descriptor, bytes, STORED_MAX_POINT, STORED_MAX_NAME, point_what, err);
    if (!file || !point_ok(file, err)) return false;
    *out = file;
    file = NULL;
    return true;
}

void stored_point_free(Sealift__PointFile *file)
{
    message_free(file);
}

/* A section that was moved from a point of another key would have that key unlocked, and shown around, for
 * this point. What does not decode is told by whoever wants to use it. */
static bool is_section_of(const Sealift__PointFile *file, const Sealift__PointBody *body, struct err *err)
{
    struct err unreadable;
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    if (!stored_unlock_decode(stored_span(&file->unlock), &section, &unreadable) ||
        memcmp(section->key_id.data, body->key_id.data, HASH_LEN) == 0)
        return true;
    return err_set(err, ERR_DAMAGED, "%s: the unlock section is that of another key", point_what);
}

bool stored_point_open(const Sealift__PointFile *file, Sealift__PointBody **out, struct err *err)
{
    struct span payload = {0};
    uint8_t signer[SIGN_PK_LEN];
    if (!stored_verify(stored_span(&file->body), "point", &payload, signer, err))
        return err_wrap(err, "%s", body_what);
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    if (!stored_body_decode(payload, &body, err)) return false;
    if (memcmp(body->writer.data, signer, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "%s is signed by another key than its writer's", body_what);
    if (body->cipher == 0 && file->unlock.len)
        return err_set(err, ERR_DAMAGED, "%s has an unlock section, its body names none", point_what);
    if (body->cipher) {
        struct hash have = hash_of(stored_span(&file->unlock));
        struct hash named = stored_hash(&body->unlock_hash);
        if (!hash_eq(&have, &named))
            return err_set(err, ERR_DAMAGED, "%s: the unlock section is not the one that the body names",
                           point_what);
        if (!is_section_of(file, body, err)) return false;
    }
    *out = body;
    body = NULL;
    return true;
}

/* --- UnlockSection --- */

static const char unlock_what[] = "the unlock section";

static bool kdf_ok(const Sealift__Kdf *kdf, struct err *err)
{
    if (!name_ok(kdf->name, "kdf", unlock_what, err)) return false;
    if (kdf->salt.len == 0) return true;
    return exactly(&kdf->salt, SALT_LEN, "salt", unlock_what, err);
}

static bool kms_ok(const Sealift__KmsWrap *wrap, const char *what, struct err *err)
{
    if (wrap->wrapped.len == 0) return err_set(err, ERR_DAMAGED, "%s: 'wrapped' is empty", what);
    return name_ok(wrap->entry, "entry", what, err) && name_ok(wrap->kind, "kind", what, err) &&
           at_most(wrap->wrapped.len, MAX_WRAPPED, "wrapped", what, err);
}

static bool wraps_ok(const Sealift__UnlockSection *unlock, struct err *err)
{
    if (!at_most(unlock->n_kms, STORED_MAX_WRAPS, "kms", unlock_what, err) ||
        !at_most(unlock->n_passwords, STORED_MAX_WRAPS, "passwords", unlock_what, err))
        return false;
    for (size_t i = 0; i < unlock->n_kms; i++)
        if (!kms_ok(unlock->kms[i], unlock_what, err)) return false;
    for (size_t i = 0; i < unlock->n_passwords; i++) {
        const Sealift__PasswordWrap *wrap = unlock->passwords[i];
        if (!wrap->kdf) return err_set(err, ERR_DAMAGED, "%s: 'kdf' of a wrap is missing", unlock_what);
        if (!kdf_ok(wrap->kdf, err) || !exactly(&wrap->sealed, PASSWORD_WRAP_LEN, "sealed", unlock_what, err))
            return false;
    }
    return true;
}

/* What follows the fixed part: earlier S, and perhaps, behind a count, earlier dedup secrets. */
static bool keyring_ok(const ProtobufCBinaryData *keyring, struct err *err)
{
    size_t rest = keyring->len - KEYRING_FIXED_LEN;
    bool dedups = rest % 32 == 2 && rest > 2;
    if (keyring->len < KEYRING_FIXED_LEN || (rest % 32 != 0 && !dedups) ||
        rest / 32 > KEYRING_MAX_COUNT * (dedups ? 2 : 1))
        return err_set(err, ERR_DAMAGED, "%s: 'keyring' has %zu bytes, which no keyring has", unlock_what,
                       keyring->len);
    return true;
}

static bool earlier_ok(const Sealift__UnlockSection *unlock, struct err *err)
{
    if (!at_most(unlock->n_earlier, KEYRING_MAX_COUNT, "earlier", unlock_what, err)) return false;
    for (size_t i = 0; i < unlock->n_earlier; i++)
        if (!exactly(&unlock->earlier[i], HASH_LEN, "earlier", unlock_what, err)) return false;
    return true;
}

static bool unlock_ok(const Sealift__UnlockSection *unlock, struct err *err)
{
    if (!version_ok(unlock->version, unlock_what, err)) return false;
    if (unlock->origin == SEALIFT__KEY_ORIGIN__KEY_ORIGIN_NONE)
        return err_set(err, ERR_DAMAGED, "%s: 'origin' is missing", unlock_what);
    if (unlock->kdf && unlock->origin != SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD)
        return err_set(err, ERR_DAMAGED, "%s: 'kdf' belongs to keys from a password", unlock_what);
    if (unlock->kdf && !kdf_ok(unlock->kdf, err)) return false;
    return exactly(&unlock->key_id, HASH_LEN, "key_id", unlock_what, err) &&
           exactly(&unlock->unlock_pk, 32, "unlock_pk", unlock_what, err) &&
           name_ok(unlock->label, "label", unlock_what, err) &&
           name_ok(unlock->shared_domain, "shared_domain", unlock_what, err) && wraps_ok(unlock, err) &&
           keyring_ok(&unlock->keyring, err) && earlier_ok(unlock, err);
}

bool stored_unlock_encode(const Sealift__UnlockSection *unlock, struct buf *out, struct err *err)
{
    return message_check(unlock, STORED_MAX_TEXT, unlock_what, err) && unlock_ok(unlock, err) &&
           encode_limited(unlock, STORED_MAX_UNLOCK, unlock_what, out, err);
}

bool stored_unlock_decode(struct span bytes, Sealift__UnlockSection **out, struct err *err)
{
    if (!begins_with_our_version(bytes, unlock_what, err)) return false;
    AUTO(stored_unlock)
    Sealift__UnlockSection *unlock = (Sealift__UnlockSection *)message_decode(
        &sealift__unlock_section__descriptor, bytes, STORED_MAX_UNLOCK, STORED_MAX_TEXT, unlock_what, err);
    if (!unlock || !unlock_ok(unlock, err)) return false;
    *out = unlock;
    unlock = NULL;
    return true;
}

void stored_unlock_free(Sealift__UnlockSection *unlock)
{
    message_free(unlock);
}

/* --- KmsWrap by itself --- */

static const char kms_what[] = "the wrap";

bool stored_kms_encode(const Sealift__KmsWrap *wrap, struct buf *out, struct err *err)
{
    return message_check(wrap, STORED_MAX_TEXT, kms_what, err) && kms_ok(wrap, kms_what, err) &&
           encode_limited(wrap, STORED_MAX_UNLOCK, kms_what, out, err);
}

bool stored_kms_decode(struct span bytes, Sealift__KmsWrap **out, struct err *err)
{
    AUTO(stored_kms)
    Sealift__KmsWrap *wrap = (Sealift__KmsWrap *)message_decode(
        &sealift__kms_wrap__descriptor, bytes, STORED_MAX_UNLOCK, STORED_MAX_TEXT, kms_what, err);
    if (!wrap || !kms_ok(wrap, kms_what, err)) return false;
    *out = wrap;
    wrap = NULL;
    return true;
}

void stored_kms_free(Sealift__KmsWrap *wrap)
{
    message_free(wrap);
}

static bool is_key(const ProtobufCBinaryData *bytes, const struct hash *key_id)
{
    return bytes->len == HASH_LEN && memcmp(bytes->data, key_id->bytes, HASH_LEN) == 0;
}

bool stored_unlock_covers(const Sealift__UnlockSection *unlock, const struct hash *key_id)
{
    if (is_key(&unlock->key_id, key_id)) return true;
    for (size_t i = 0; i < unlock->n_earlier; i++)
        if (is_key(&unlock->earlier[i], key_id)) return true;
    return false;
}
