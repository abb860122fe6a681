#include "director/cli/kit.h"

#include "common/base/alloc.h"
#include "common/crypto/box.h"
#include "director/cli/kit_lines.h"

#include <string.h>

enum { HEADER_LEN = 32 };
static const char magic[4] = {'S', 'K', 'T', '1'};

void kit_free(struct kit *kit)
{
    if (!kit) return;
    read_half_free(kit->half);
    buf_deinit(&kit->section_bytes);
    stored_unlock_free(kit->section);
    free(kit->operators);
    free(kit->heads);
    free(kit);
}

/* --- sealing --- */

static void put_header(uint32_t total, const struct pwhash_limits *limits, struct buf *out)
{
    uint8_t salt[PASSWORD_SALT_LEN];
    random_bytes(salt, sizeof(salt));
    buf_put(out, magic, sizeof(magic));
    buf_put_u32(out, total);
    buf_put_u32(out, (uint32_t)limits->passes);
    buf_put_u32(out, (uint32_t)(limits->memory_bytes >> 10));
    buf_put(out, salt, sizeof(salt));
}

/* All but S, which goes in front of it in guarded memory. */
static void put_facts(const struct kit *kit, struct buf *out)
{
    buf_put_u64(out, kit->made_ns);
    buf_put(out, kit->site.bytes, ID_LEN);
    buf_put_u16(out, (uint16_t)kit->operator_count);
    for (size_t i = 0; i < kit->operator_count; i++)
        buf_put(out, kit->operators[i], SIGN_PK_LEN);
    buf_put_u16(out, (uint16_t)kit->head_count);
    for (size_t i = 0; i < kit->head_count; i++) {
        buf_put(out, kit->heads[i].repository.bytes, ID_LEN);
        buf_put_u64(out, kit->heads[i].number);
        buf_put(out, kit->heads[i].hash.bytes, HASH_LEN);
    }
    buf_put_span(out, buf_span(&kit->section_bytes));
}

static bool key_of(const struct secret *password, struct span header, uint8_t key[static 32], struct err *err)
{
    AUTO(secret) struct secret *hash = NULL;
    const uint8_t *at = header.data;
    const struct pwhash_limits limits = {.passes = le32_get(at + 8),
                                         .memory_bytes = (uint64_t)le32_get(at + 12) << 10};
    if (!password_hash(password, at + 16, &limits, &hash, err)) return false;
    struct span part = span_of(hash->data, hash->len);
    hash_derive("sealift v1 recovery kit", &part, 1, key);
    return true;
}

bool kit_seal(const struct kit *kit, const struct secret *password, const struct pwhash_limits *limits,
              struct buf *sealed, struct err *err)
{
    AUTO(buf) struct buf facts = {0}, header = {0};
    AUTO(wipe32) uint8_t key[32];
    if (kit->operator_count > KIT_OPERATORS_MAX || kit->head_count > KIT_HEADS_MAX)
        return err_set(err, ERR_LIMIT, "a recovery kit holds at most %d operators and %d repositories",
                       KIT_OPERATORS_MAX, KIT_HEADS_MAX);
    put_facts(kit, &facts);
    AUTO(secret) struct secret *plain = secret_new(KEY_SECRET_LEN + facts.len);
    memcpy(plain->data, kit->half->s->data, KEY_SECRET_LEN);
    memcpy(plain->data + KEY_SECRET_LEN, facts.data, facts.len);
    size_t total = HEADER_LEN + plain->len + SMALL_OVERHEAD;
    if (total > KIT_SEALED_MAX)
        return err_set(err, ERR_LIMIT, "a recovery kit has at most %d bytes, this one %zu", KIT_SEALED_MAX,
                       total);
    put_header((uint32_t)total, limits, &header);
    if (!key_of(password, buf_span(&header), key, err)) return false;
    buf_put_span(sealed, buf_span(&header));
    small_seal(key, buf_span(&header), span_of(plain->data, plain->len), sealed);
    return true;
}

/* --- opening --- */

static bool check_header(struct span sealed, struct err *err)
{
    if (sealed.len < HEADER_LEN + KEY_SECRET_LEN + SMALL_OVERHEAD)
        return err_set(err, ERR_TRUNCATED, "the recovery kit is cut short");
    if (memcmp(sealed.data, magic, sizeof(magic) - 1) != 0)
        return err_set(err, ERR_DAMAGED, "it is no recovery kit");
    if (sealed.data[3] != (uint8_t)magic[3])
        return err_set(err, ERR_VERSION, "the recovery kit has version '%c', this program reads version '%c'",
                       sealed.data[3] > ' ' && sealed.data[3] < 127 ? sealed.data[3] : '?', magic[3]);
    uint32_t total = le32_get(sealed.data + KIT_LENGTH_AT);
    if (total == sealed.len) return true;
    return err_set(err, total > sealed.len ? ERR_TRUNCATED : ERR_DAMAGED,
                   "the recovery kit has %zu bytes and says it has %u", sealed.len, total);
}

static void take_operators(struct reader *reader, struct kit *kit)
{
    uint16_t count = reader_u16(reader);
    if (count > KIT_OPERATORS_MAX) reader->failed = true;
    if (reader->failed) return;
    kit->operators = xcalloc(count + 1u, sizeof(*kit->operators));
    kit->operator_count = count;
    for (size_t i = 0; i < count; i++)
        reader_copy(reader, kit->operators[i], SIGN_PK_LEN);
}

static void take_heads(struct reader *reader, struct kit *kit)
{
    uint16_t count = reader_u16(reader);
    if (count > KIT_HEADS_MAX) reader->failed = true;
    if (reader->failed) return;
    kit->heads = xcalloc(count + 1u, sizeof(*kit->heads));
    kit->head_count = count;
    for (size_t i = 0; i < count; i++) {
        reader_copy(reader, kit->heads[i].repository.bytes, ID_LEN);
        kit->heads[i].number = reader_u64(reader);
        reader_copy(reader, kit->heads[i].hash.bytes, HASH_LEN);
    }
}

/* It was sealed by who knew the password; still nothing in it is believed unseen. */
static bool take_facts(const struct secret *plain, struct kit *kit, struct err *err)
{
    struct reader reader = reader_of(span_of(plain->data + KEY_SECRET_LEN, plain->len - KEY_SECRET_LEN));
    kit->made_ns = reader_u64(&reader);
    reader_copy(&reader, kit->site.bytes, ID_LEN);
    take_operators(&reader, kit);
    take_heads(&reader, kit);
    if (!reader_ok(&reader)) return err_set(err, ERR_DAMAGED, "the recovery kit contradicts itself");
    buf_put_span(&kit->section_bytes, reader_bytes(&reader, reader_left(&reader)));
    if (!stored_unlock_decode(buf_span(&kit->section_bytes), &kit->section, err)) return false;
    struct hash key_id = stored_hash(&kit->section->key_id);
    return read_half_open(plain->data, &key_id, stored_span(&kit->section->keyring), &kit->half, err);
}

bool kit_open(struct span sealed, const struct secret *password, struct kit **out, struct err *err)
{
    AUTO(kit) struct kit *kit = xcalloc(1, sizeof(*kit));
    AUTO(secret) struct secret *plain = NULL;
    AUTO(wipe32) uint8_t key[32];
    if (!check_header(sealed, err)) return false;
    struct span header = span_of(sealed.data, HEADER_LEN);
    if (!key_of(password, header, key, err)) return err_wrap(err, "the recovery kit");
    if (!small_open(key, header, span_of(sealed.data + HEADER_LEN, sealed.len - HEADER_LEN), &plain, err))
        return err_set(err, ERR_WRONG_KEY, "the password does not open the recovery kit");
    if (!take_facts(plain, kit, err)) {
        if (err->code == ERR_WRONG_KEY) err->code = ERR_DAMAGED;
        return err_wrap(err, "the recovery kit");
    }
    *out = kit;
    kit = NULL;
    return true;
}

/* --- what it gives --- */

bool kit_secret(const struct kit *kit, const struct hash *key_id, struct secret **s, struct err *err)
{
    const uint8_t *found = read_half_secret_of(kit->half, key_id);
    if (!found)
        return err_set(err, ERR_NO_KEY, "the recovery kit is of the key '%s', and not of this one",
                       kit->section->label);
    *s = secret_copy(found, KEY_SECRET_LEN);
    return true;
}

const struct kit_head *kit_head_of(const struct kit *kit, const struct id *repository)
{
    for (size_t i = 0; i < kit->head_count; i++)
        if (id_eq(&kit->heads[i].repository, repository)) return &kit->heads[i];
    return NULL;
}
