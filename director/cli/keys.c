#include "director/cli/keys.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/wire/grant.h"
#include "common/wire/lent.h"
#include "director/cli/generations.h"
#include "director/cli/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX_MIN = 8, NAMES_MAX = 256 };

const char *key_origin_name(Sealift__KeyOrigin origin)
{
    switch (origin) {
    case SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD:
        return "password";
    case SEALIFT__KEY_ORIGIN__KEY_FROM_FILE:
        return "file";
    case SEALIFT__KEY_ORIGIN__KEY_GENERATED:
        return "generated";
    case SEALIFT__KEY_ORIGIN__KEY_OWN:
        return "own";
    default:
        return "?";
    }
}

void key_entry_deinit(struct key_entry *key)
{
    buf_deinit(&key->section_bytes);
    stored_unlock_free(key->section);
    key->section = NULL;
}

void keys_deinit(struct keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        key_entry_deinit(&keys->items[i]);
    free(keys->items);
    statements_deinit(&keys->grants);
    *keys = (struct keys){0};
}

/* --- what there is --- */

static struct key_entry *entry_with_id(const struct keys *keys, const struct hash *key_id)
{
    for (size_t i = 0; i < keys->count; i++)
        if (hash_eq(&keys->items[i].key_id, key_id)) return &keys->items[i];
    return NULL;
}

static struct key_entry *add_entry(struct keys *keys, const struct hash *key_id, const char *label)
{
    keys->items = xreallocarray(keys->items, keys->count + 1, sizeof(*keys->items));
    struct key_entry *entry = &keys->items[keys->count++];
    *entry = (struct key_entry){.key_id = *key_id, .description = ""};
    (void)snprintf(entry->label, sizeof(entry->label), "%s", label);
    return entry;
}

/* A later grant may name a later section of the same key. Read halves say which is the newest: a new section
 * is granted to readers first, and a writer's may hold less than the key has. */
enum word { OF_NARROWED_WRITER, OF_WRITER, OF_READER };

/* The grant that names the newest section so far. */
struct newest {
    enum word word;
    uint64_t version;
};

static enum word word_of(const Sealift__GrantBody *body)
{
    if (body->half == SEALIFT__HALF__HALF_READ) return OF_READER;
    return body->subset ? OF_NARROWED_WRITER : OF_WRITER;
}

static bool is_newer(const struct statement *grant, const struct newest *newest)
{
    enum word word = word_of(grant->body.grant);
    if (word != newest->word) return word > newest->word;
    return grant->version >= newest->version;
}

static void note_grant(const struct cli *cli, struct keys *keys, const struct statement *grant,
                       struct newest *newest)
{
    const Sealift__GrantBody *body = grant->body.grant;
    struct identity_public self;
    struct hash key_id = stored_hash(&body->key_id);
    struct key_entry *entry = entry_with_id(keys, &key_id);
    if (!entry) entry = add_entry(keys, &key_id, body->key_label);
    if (body->withdrawn) return;
    if (is_newer(grant, newest) || hash_is_zero(&entry->unlock_hash)) {
        entry->unlock_hash = stored_hash(&body->unlock_hash);
        *newest = (struct newest){.word = word_of(body), .version = grant->version};
    }
    if (state_identity(cli->state, &self) != STATE_NO_IDENTITY && body->half == SEALIFT__HALF__HALF_READ &&
        memcmp(body->recipient.data, self.sign_pk, SIGN_PK_LEN) == 0)
        entry->read_grant = grant->id;
}

static bool fetch_section(struct cli *cli, const struct hash *hash, struct buf *out, struct err *err)
{
    struct client *client = NULL;
    AUTO(client_message) struct client_message answer = {0};
    AUTO(payload_blobs) Sealift__Blobs *blobs = NULL;
    Sealift__Get body = SEALIFT__GET__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.what = SEALIFT__GET_KIND__GET_UNLOCK;
    body.unlock_hash = lent_bytes(hash->bytes, HASH_LEN);
    head.kind_case = SEALIFT__HEAD__KIND_GET;
    head.get = &body;
    if (!access_director(cli, &client, err) ||
        !client_request(client, &head, span_of(NULL, 0), CLIENT_REPEATABLE, &answer, err) ||
        !payload_blobs_decode(buf_span(&answer.payload), &blobs, err))
        return false;
    if (blobs->n_blob != 1) return err_set(err, ERR_NOT_FOUND, "the director does not have it");
    struct span bytes = span_of(blobs->blob[0].data, blobs->blob[0].len);
    struct hash found = hash_of(bytes);
    if (!hash_eq(&found, hash)) return err_set(err, ERR_NOT_AUTHENTIC, "the director hands out another one");
    buf_put_span(out, bytes);
    return state_keep_unlock(cli->state, bytes, err);
}

static bool load_section(struct cli *cli, struct key_entry *entry, struct err *err)
{
    struct err ignored = {0};
    if (!state_unlock(cli->state, &entry->unlock_hash, &entry->section_bytes, &ignored) &&
        !fetch_section(cli, &entry->unlock_hash, &entry->section_bytes, err))
        return false;
    if (!stored_unlock_decode(buf_span(&entry->section_bytes), &entry->section, err)) return false;
    if (entry->section->key_id.len != HASH_LEN ||
        memcmp(entry->section->key_id.data, entry->key_id.bytes, HASH_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "it is of another key");
    entry->description = entry->section->description;
    return true;
}

static void add_own_keys(struct cli *cli, struct keys *keys)
{
    for (size_t i = 0; i < state_own_key_count(cli->state); i++) {
        const struct state_own_key *own = state_own_key(cli->state, i);
        if (entry_with_id(keys, &own->key_id)) continue;
        struct key_entry *entry = add_entry(keys, &own->key_id, own->label);
        entry->own = true;
        memcpy(entry->source, own->source, SIGN_PK_LEN);
        entry->domain = own->domain;
        entry->description = own->description;
    }
}

/* What this machine kept of a key that the director does not name any more. */
struct kept {
    struct cli *cli;
    struct keys *keys;
};

static bool add_kept(void *arg, struct span bytes, struct err *err)
{
    struct kept *kept = arg;
    AUTO(statement) struct statement *grant = NULL;
    struct err why = {0};
    if (!statement_decode(bytes, &grant, &why) || grant->type != SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT ||
        !state_had_operator(kept->cli->state, grant->signer)) {
        output_warning(&kept->cli->output, "a copy of a key in '%s' is left out: %s", kept->cli->state_dir,
                       why.text[0] ? why.text : "no operator signed it");
        return true;
    }
    struct hash key_id = stored_hash(&grant->body.grant->key_id);
    struct newest newest = {.version = 0};
    if (!keys_with_id(kept->keys, &key_id)) note_grant(kept->cli, kept->keys, grant, &newest);
    return true;
}

static bool collect(struct cli *cli, struct keys *keys, struct err *err)
{
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT, &keys->grants, err)) return false;
    for (size_t i = 0; i < keys->grants.count; i++) {
        struct newest newest = {.version = 0};
        struct hash key_id = stored_hash(&keys->grants.items[i]->body.grant->key_id);
        if (entry_with_id(keys, &key_id)) continue;
        for (size_t k = i; k < keys->grants.count; k++)
            if (memcmp(keys->grants.items[k]->body.grant->key_id.data, key_id.bytes, HASH_LEN) == 0)
                note_grant(cli, keys, keys->grants.items[k], &newest);
    }
    struct kept kept = {cli, keys};
    if (!state_each_grant(cli->state, add_kept, &kept, err)) return false;
    for (size_t i = 0; i < keys->count; i++) {
        struct key_entry *entry = &keys->items[i];
        struct err why = {0};
        if (hash_is_zero(&entry->unlock_hash) || load_section(cli, entry, &why)) continue;
        output_warning(&cli->output, "the unlock section of key '%s': %s", entry->label, why.text);
    }
    add_own_keys(cli, keys);
    return true;
}

bool keys_get(struct cli *cli, struct keys *out, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    if (!collect(cli, &keys, err)) return false;
    *out = keys;
    keys = (struct keys){0};
    return true;
}

/* --- looking up --- */

const struct key_entry *keys_with_id(const struct keys *keys, const struct hash *key_id)
{
    return entry_with_id(keys, key_id);
}

/* Without regard to case and dashes. */
static bool begins_with(const char *text, const char *prefix)
{
    for (; *prefix; text++, prefix++) {
        while (*text == '-')
            text++;
        while (*prefix == '-')
            prefix++;
        if (!*prefix) break;
        if (tolower((unsigned char)*text) != tolower((unsigned char)*prefix)) return false;
    }
    return true;
}

static bool is_meant(const struct key_entry *entry, const char *name)
{
    char fingerprint[KEY_FINGERPRINT_LEN], hex[2 * HASH_LEN + 1];
    if (strlen(name) < PREFIX_MIN) return false;
    key_fingerprint(&entry->key_id, fingerprint);
    hex_encode(entry->key_id.bytes, HASH_LEN, hex);
    return begins_with(fingerprint, name) || begins_with(hex, name);
}

bool keys_named(const struct keys *keys, const char *name, const struct key_entry **out, struct err *err)
{
    const struct key_entry *found = NULL;
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (int by_id = 0; by_id < 2 && !found; by_id++)
        for (size_t i = 0; i < keys->count; i++) {
            const struct key_entry *entry = &keys->items[i];
            if (!by_id && count < NAMES_MAX) names[count++] = entry->label;
            if (by_id ? !is_meant(entry, name)
                      : strcmp(entry->label, name) != 0 || generations_of_later(keys, entry))
                continue;
            if (found) return err_set(err, ERR_USAGE, "'%s' means several keys: name its fingerprint", name);
            found = entry;
        }
    if (found) {
        *out = found;
        return true;
    }
    if (!statements_believed(&keys->grants, err)) return err_wrap(err, "there is no key '%s'", name);
    const char *near = nearest_word(name, names, count);
    if (near) return err_set(err, ERR_NOT_FOUND, "there is no key '%s'; did you mean '%s'?", name, near);
    return err_set(err, ERR_NOT_FOUND, "there is no key '%s'", name);
}

void keys_domain_of(const struct key_entry *key, const char *source, char out[static IDENTITY_NAME_MAX + 3])
{
    const char *shared = key->section ? key->section->shared_domain : "";
    if (shared[0] && strlen(shared) < IDENTITY_NAME_MAX + 3)
        (void)snprintf(out, IDENTITY_NAME_MAX + 3, "%s", shared);
    else
        (void)snprintf(out, IDENTITY_NAME_MAX + 3, "t:%s", source);
}

const struct statement *keys_grant_of(const struct keys *keys, const struct hash *key_id,
                                      const uint8_t recipient[SIGN_PK_LEN], const struct hash *domain)
{
    struct id id =
        grant_id(key_id, recipient, domain ? SEALIFT__HALF__HALF_WRITE : SEALIFT__HALF__HALF_READ, domain);
    const struct statement *grant = statements_with_id(&keys->grants, &id);
    if (!grant || grant->body.grant->withdrawn) return NULL;
    if (grant->expiry_s && grant->expiry_s < clock_real_ns() / 1000000000) return NULL;
    return grant;
}

/* --- this operator's own copy --- */

/* The statement of the read grant: the director's, or this machine's own copy of it. */
static bool own_grant(struct cli *cli, const struct id *id, struct statement **out, struct err *err)
{
    AUTO(statements) struct statements grants = {0};
    AUTO(buf) struct buf bytes = {0};
    struct err ignored = {0};
    if (statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT, &grants, &ignored)) {
        const struct statement *grant = statements_with_id(&grants, id);
        if (grant && grant->body.grant->withdrawn)
            return err_set(err, ERR_NO_KEY, "the key '%s' was withdrawn from this operator",
                           grant->body.grant->key_label);
        if (grant) return statement_decode(buf_span(&grant->bytes), out, err);
    }
    if (state_grant(cli->state, id, &bytes, &ignored)) return statement_decode(buf_span(&bytes), out, err);
    return err_set(err, ERR_NO_KEY, "this operator has no copy of the key");
}

static bool open_own_grant(struct cli *cli, const struct statement *grant, const struct hash *key_id,
                           struct secret **s, struct err *err)
{
    const struct identity *identity = NULL;
    AUTO(secret) struct secret *opened = NULL;
    AUTO(buf) struct buf context = {0};
    const Sealift__GrantBody *body = grant->body.grant;
    if (!access_identity(cli, &identity, err)) return false;
    grant_box_context(&grant->site, &grant->id, body, &context);
    if (!box_open(identity->box, buf_span(&context), span_of(body->sealed.data, body->sealed.len), &opened,
                  err))
        return err_wrap(err, "this operator's copy of key '%s'", body->key_label);
    if (!key_is(opened, key_id))
        return err_set(err, ERR_WRONG_KEY, "this operator's copy of key '%s' is another key",
                       body->key_label);
    *s = opened;
    opened = NULL;
    return true;
}

static struct id own_grant_id(const struct state *state, const struct hash *key_id)
{
    struct identity_public self;
    (void)state_identity(state, &self);
    return grant_id(key_id, self.sign_pk, SEALIFT__HALF__HALF_READ, NULL);
}

bool keys_own_copy(struct cli *cli, const struct hash *key_id, struct secret **s, struct err *err)
{
    AUTO(statement) struct statement *grant = NULL;
    AUTO(secret) struct secret *opened = NULL;
    struct state *state = NULL;
    if (!access_site(cli, &state, err)) return false;
    struct id id = own_grant_id(state, key_id);
    if (!own_grant(cli, &id, &grant, err) || !open_own_grant(cli, grant, key_id, &opened, err) ||
        !state_keep_grant(state, &grant->id, buf_span(&grant->bytes), err))
        return false;
    *s = opened;
    opened = NULL;
    return true;
}

bool keys_own_secret(struct cli *cli, const struct hash *key_id, struct secret **s, struct err *err)
{
    struct err why = {0};
    if (keys_own_copy(cli, key_id, s, err)) return true;
    return err->code == ERR_NO_KEY && generations_secret(cli, key_id, s, &why);
}

bool keys_local_secret(struct cli *cli, const struct hash *key_id, struct secret **s, struct err *err)
{
    AUTO(statement) struct statement *grant = NULL;
    AUTO(buf) struct buf bytes = {0};
    struct err ignored = {0};
    struct state *state = NULL;
    if (!access_site(cli, &state, err)) return false;
    struct id id = own_grant_id(state, key_id);
    if (!state_grant(state, &id, &bytes, &ignored))
        return generations_local_secret(cli, key_id, s, &ignored) ||
               err_set(err, ERR_NO_KEY, "'%s' has no copy of the key", cli->state_dir);
    if (!statement_decode(buf_span(&bytes), &grant, err) ||
        grant->type != SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT)
        return err_set(err, ERR_DAMAGED, "the copy of the key in '%s' is not as it was written",
                       cli->state_dir);
    return open_own_grant(cli, grant, key_id, s, err);
}

bool keys_open(struct cli *cli, const struct key_entry *key, struct read_half **out, struct err *err)
{
    AUTO(secret) struct secret *s = NULL;
    if (key->own)
        return err_set(err, ERR_NO_KEY, "the key '%s' never leaves its source: this operator has no copy",
                       key->label);
    if (!key->section)
        return err_set(err, ERR_NOT_FOUND, "the unlock section of key '%s' is not to be had", key->label);
    if (!keys_own_secret(cli, &key->key_id, &s, err)) return err_wrap(err, "key '%s'", key->label);
    struct span keyring = span_of(key->section->keyring.data, key->section->keyring.len);
    return read_half_open(s->data, &key->key_id, keyring, out, err) || err_wrap(err, "key '%s'", key->label);
}
