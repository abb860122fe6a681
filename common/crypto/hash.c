#include "common/crypto/hash.h"

#include "common/base/secret.h"

#include <blake3.h>
#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(blake3_hasher) <= sizeof(((struct hasher *)0)->state), "struct hasher is too small");
_Static_assert(_Alignof(blake3_hasher) <= _Alignof(struct hasher), "struct hasher is not aligned enough");
_Static_assert(HASH_LEN == BLAKE3_OUT_LEN && HASH_LEN == BLAKE3_KEY_LEN, "BLAKE3 lengths");

struct hash hash_of(struct span bytes)
{
    return hash_of_parts(&bytes, 1);
}

struct hash hash_of_parts(const struct span *parts, size_t count)
{
    blake3_hasher state;
    blake3_hasher_init(&state);
    for (size_t i = 0; i < count; i++)
        blake3_hasher_update(&state, parts[i].data, parts[i].len);
    struct hash out;
    blake3_hasher_finalize(&state, out.bytes, sizeof(out.bytes));
    return out;
}

static struct hash keyed_of_parts(const uint8_t key[static HASH_LEN], const struct span *parts, size_t count)
{
    blake3_hasher state;
    blake3_hasher_init_keyed(&state, key);
    for (size_t i = 0; i < count; i++)
        blake3_hasher_update(&state, parts[i].data, parts[i].len);
    struct hash out;
    blake3_hasher_finalize(&state, out.bytes, sizeof(out.bytes));
    wipe(&state, sizeof(state));
    return out;
}

struct hash hash_keyed(const uint8_t key[static HASH_LEN], struct span bytes)
{
    return keyed_of_parts(key, &bytes, 1);
}

void hash_derive(const char *context, const struct span *parts, size_t count, uint8_t out[static HASH_LEN])
{
    blake3_hasher state;
    blake3_hasher_init_derive_key(&state, context);
    for (size_t i = 0; i < count; i++)
        blake3_hasher_update(&state, parts[i].data, parts[i].len);
    blake3_hasher_finalize(&state, out, HASH_LEN);
    wipe(&state, sizeof(state));
}

bool hash_eq(const struct hash *a, const struct hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int hash_cmp(const struct hash *a, const struct hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool hash_is_zero(const struct hash *hash)
{
    return sodium_is_zero(hash->bytes, sizeof(hash->bytes)) == 1;
}

bool id_eq(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool id_is_zero(const struct id *id)
{
    return sodium_is_zero(id->bytes, sizeof(id->bytes)) == 1;
}

struct id id_random(void)
{
    struct id id;
    do {
        random_bytes(id.bytes, sizeof(id.bytes));
    } while (id_is_zero(&id)); /* zero means "none" in the formats */
    return id;
}

/* struct hasher is memory for BLAKE3's own state, which only BLAKE3's functions look into. */
static blake3_hasher *state_of(struct hasher *hasher)
{
    return (blake3_hasher *)(void *)hasher->state;
}

void hasher_init(struct hasher *hasher)
{
    blake3_hasher_init(state_of(hasher));
}

void hasher_add(struct hasher *hasher, const void *data, size_t len)
{
    blake3_hasher_update(state_of(hasher), data, len);
}

struct hash hasher_result(const struct hasher *hasher)
{
    struct hash out;
    blake3_hasher_finalize((const blake3_hasher *)(const void *)hasher->state, out.bytes, sizeof(out.bytes));
    return out;
}

struct hash chunk_id(const uint8_t dedup_key[static HASH_LEN], enum frame_type type,
                     const struct hash *content)
{
    uint8_t tag = (uint8_t)type;
    const struct span parts[] = {{&tag, 1}, {content->bytes, sizeof(content->bytes)}};
    return keyed_of_parts(dedup_key, parts, 2);
}

void plaintext_dedup_key(uint8_t out[static HASH_LEN])
{
    hash_derive("sealift v1 plaintext domain", NULL, 0, out);
}

struct hash domain_id(const uint8_t dedup_key[static HASH_LEN])
{
    struct span part = span_of(dedup_key, HASH_LEN);
    struct hash out;
    hash_derive("sealift v1 domain id", &part, 1, out.bytes);
    return out;
}
