#include "director/cli/generations.h"

#include <string.h>

bool generations_has(const struct key_entry *key, const struct hash *key_id)
{
    /* never NULL, as an item of a list is not: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    return hash_eq(&key->key_id, key_id) || (key->section && stored_unlock_covers(key->section, key_id));
}

bool generations_check(const Sealift__UnlockSection *section, const struct read_half *half, struct err *err)
{
    for (size_t i = 0; i < section->n_earlier; i++) {
        struct hash key_id = stored_hash(&section->earlier[i]);
        if (read_half_secret_of(half, &key_id)) continue;
        char fingerprint[KEY_FINGERPRINT_LEN];
        key_fingerprint(&key_id, fingerprint);
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "the unlock section of key '%s' claims to come after key %s, whose secret its keyring "
                       "does not hold",
                       section->label, fingerprint);
    }
    return true;
}

size_t generations_number(const struct key_entry *key)
{
    return key->section ? key->section->n_earlier + 1 : 1;
}

const struct key_entry *generations_of_later(const struct keys *keys, const struct key_entry *key)
{
    const struct key_entry *latest = NULL;
    for (size_t i = 0; i < keys->count; i++) {
        const struct key_entry *other = &keys->items[i];
        if (other == key || !generations_has(other, &key->key_id)) continue;
        if (!latest || generations_number(other) > generations_number(latest)) latest = other;
    }
    return latest;
}

static bool open_entry(struct cli *cli, const struct key_entry *key, struct read_half **half, struct err *err)
{
    AUTO(secret) struct secret *s = NULL;
    struct span keyring = stored_span(&key->section->keyring);
    return keys_own_copy(cli, &key->key_id, &s, err) &&
           read_half_open(s->data, &key->key_id, keyring, half, err);
}

bool generations_half(struct cli *cli, const struct keys *keys, const struct hash *key_id,
                      const struct key_entry **entry, struct read_half **half, struct err *err)
{
    struct err why = {0};
    (void)err_set(&why, ERR_NO_KEY, "this operator has no copy of the key");
    /* from the newest down */
    for (size_t before = SIZE_MAX; before > 1;) {
        const struct key_entry *next = NULL;
        for (size_t i = 0; i < keys->count; i++) {
            const struct key_entry *key = &keys->items[i];
            if (!key->section || !generations_has(key, key_id) || generations_number(key) >= before) continue;
            if (!next || generations_number(key) > generations_number(next)) next = key;
        }
        if (!next) break;
        before = generations_number(next);
        if (!open_entry(cli, next, half, &why)) continue;
        *entry = next;
        return true;
    }
    *err = why;
    return false;
}

static bool take_secret(const struct read_half *half, const struct hash *key_id, struct secret **s,
                        struct err *err)
{
    const uint8_t *found = read_half_secret_of(half, key_id);
    if (!found) return err_set(err, ERR_NO_KEY, "the keyring of the newest generation does not hold the key");
    *s = secret_copy(found, KEY_SECRET_LEN);
    return true;
}

bool generations_secret(struct cli *cli, const struct hash *key_id, struct secret **s, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    AUTO(read_half) struct read_half *half = NULL;
    const struct key_entry *entry = NULL;
    return keys_get(cli, &keys, err) && generations_half(cli, &keys, key_id, &entry, &half, err) &&
           take_secret(half, key_id, s, err);
}

/* --- from local state alone --- */

struct searching {
    struct cli *cli;
    const struct hash *key_id;
    struct secret *s;
};

/* Opens what a kept grant of a later generation leads to; anything that does not help is passed over. */
static bool try_grant(void *arg, struct span bytes, struct err *err)
{
    struct searching *searching = arg;
    struct err why = {0};
    AUTO(statement) struct statement *grant = NULL;
    AUTO(buf) struct buf section_bytes = {0};
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    AUTO(secret) struct secret *newer = NULL;
    AUTO(read_half) struct read_half *half = NULL;
    (void)err;
    if (!statement_decode(bytes, &grant, &why) || grant->type != SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT)
        return true;
    struct hash id = stored_hash(&grant->body.grant->key_id);
    struct hash section_hash = stored_hash(&grant->body.grant->unlock_hash);
    if (hash_eq(&id, searching->key_id) ||
        !state_unlock(searching->cli->state, &section_hash, &section_bytes, &why) ||
        !stored_unlock_decode(buf_span(&section_bytes), &section, &why) ||
        !stored_unlock_covers(section, searching->key_id) ||
        !keys_local_secret(searching->cli, &id, &newer, &why) ||
        !read_half_open(newer->data, &id, stored_span(&section->keyring), &half, &why))
        return true;
    return !take_secret(half, searching->key_id, &searching->s, &why);
}

bool generations_local_secret(struct cli *cli, const struct hash *key_id, struct secret **s, struct err *err)
{
    struct searching searching = {.cli = cli, .key_id = key_id};
    bool listed =
        state_each_grant(cli->state, try_grant, &searching, err); /* false also where it was found */
    if (searching.s) {
        err_clear(err);
        *s = searching.s;
        return true;
    }
    return listed && err_set(err, ERR_NO_KEY, "there is no copy of a later generation here either");
}
