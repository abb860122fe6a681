/* Keys that grants give this transporter. */
#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/text.h"
#include "common/wire/grant.h"
#include "common/wire/stored.h"
#include "transporter/session/authority_inside.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* What reads is over when it expires; what writes is not: expiry never stops a scheduled backup. */
static bool has_expired(const struct statement *grant)
{
    return grant->body.grant->half == SEALIFT__HALF__HALF_READ && grant->expiry_s != 0 &&
           (uint64_t)time(NULL) > grant->expiry_s;
}

/* Opens the sealed half of the grant to us, if there is one that is neither withdrawn nor over. */
static bool open_grant(struct authority *authority, const struct hash *key_id, Sealift__Half half,
                       const struct hash *domain, const Sealift__GrantBody **body, struct secret **out,
                       struct err *err)
{
    struct id id = grant_id(key_id, authority->self->known.sign_pk, half, domain);
    const struct statement *statement =
        authority_find(authority, SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT, &id);
    if (!statement || statement->body.grant->withdrawn)
        return err_set(err, ERR_NO_KEY, "this transporter has no %s grant of the key",
                       half == SEALIFT__HALF__HALF_WRITE ? "write" : "read");
    const Sealift__GrantBody *grant = statement->body.grant;
    if (has_expired(statement))
        return err_set(err, ERR_NO_KEY, "the read grant of key '%s' has expired", grant->key_label);
    AUTO(buf) struct buf context = {0};
    grant_box_context(&authority->site, &id, grant, &context);
    struct span sealed = span_of(grant->sealed.data, grant->sealed.len);
    if (!box_open(authority->self->box, buf_span(&context), sealed, out, err))
        return err_wrap(err, "the grant of key '%s'", grant->key_label);
    *body = grant;
    return true;
}

static bool read_unlock(const struct authority *authority, const Sealift__GrantBody *grant, struct buf *out,
                        struct err *err)
{
    char name[2 * HASH_LEN + 1];
    hex_encode(grant->unlock_hash.data, HASH_LEN, name);
    AUTO(buf) struct buf bytes = {0};
    if (!file_read(authority->unlock_dir, name, STORED_MAX_UNLOCK, &bytes, err))
        return err_wrap(err, "the unlock section that the grant of key '%s' names", grant->key_label);
    struct hash hash = hash_of(buf_span(&bytes));
    if (memcmp(hash.bytes, grant->unlock_hash.data, HASH_LEN) != 0)
        return err_set(err, ERR_DAMAGED, "the unlock section of key '%s' was changed", grant->key_label);
    buf_put_span(out, buf_span(&bytes));
    return true;
}

bool authority_write_half(struct authority *authority, const struct hash *key_id, const struct hash *domain,
                          struct write_half **half, struct buf *unlock, char label[static 256],
                          struct err *err)
{
    LOCK_HERE(&authority->lock);
    const Sealift__GrantBody *grant = NULL;
    AUTO(secret) struct secret *bytes = NULL;
    AUTO(write_half) struct write_half *opened = NULL;
    if (!open_grant(authority, key_id, SEALIFT__HALF__HALF_WRITE, domain, &grant, &bytes, err)) return false;
    if (!write_half_decode(span_of(bytes->data, bytes->len), key_id, domain, &opened, err))
        return err_wrap(err, "the grant of key '%s'", grant->key_label);
    if (!read_unlock(authority, grant, unlock, err)) return false;
    (void)snprintf(label, 256, "%s", grant->key_label);
    *half = opened;
    opened = NULL;
    return true;
}

bool authority_read_secret(struct authority *authority, const struct hash *key_id, struct secret **s,
                           struct err *err)
{
    LOCK_HERE(&authority->lock);
    const Sealift__GrantBody *grant = NULL;
    AUTO(secret) struct secret *bytes = NULL;
    if (!open_grant(authority, key_id, SEALIFT__HALF__HALF_READ, NULL, &grant, &bytes, err)) return false;
    if (!key_is(bytes, key_id))
        return err_set(err, ERR_WRONG_KEY, "the read grant of key '%s' holds another key", grant->key_label);
    *s = bytes;
    bytes = NULL;
    return true;
}

/* --- later generations --- */

static bool read_half_of_grant(struct authority *authority, const struct statement *grant,
                               const struct hash *key_id, struct read_half **out, struct err *err)
{
    const Sealift__GrantBody *body = grant->body.grant;
    struct hash granted = stored_hash(&body->key_id);
    AUTO(buf) struct buf bytes = {0};
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    AUTO(secret) struct secret *s = NULL;
    AUTO(read_half) struct read_half *half = NULL;
    if (!read_unlock(authority, body, &bytes, err) || !stored_unlock_decode(buf_span(&bytes), &section, err))
        return false;
    if (!stored_unlock_covers(section, key_id)) return err_set(err, ERR_NO_KEY, "it is another key");
    if (!open_grant(authority, &granted, SEALIFT__HALF__HALF_READ, NULL, &body, &s, err)) return false;
    if (s->len != KEY_SECRET_LEN)
        return err_set(err, ERR_WRONG_KEY, "the read grant of key '%s' holds no key", body->key_label);
    if (!read_half_open(s->data, &granted, stored_span(&section->keyring), &half, err)) return false;
    if (!read_half_secret_of(half, key_id))
        return err_set(err, ERR_NO_KEY, "the keyring of key '%s' does not hold it", body->key_label);
    *out = half;
    half = NULL;
    return true;
}

bool authority_read_half(struct authority *authority, const struct hash *key_id, struct read_half **half,
                         struct err *err)
{
    LOCK_HERE(&authority->lock);
    AUTO(read_half) struct read_half *newest = NULL;
    for (const struct kept *kept = authority->statements; kept; kept = kept->hh.next) {
        struct err ignored = {0};
        AUTO(read_half) struct read_half *found = NULL;
        if (kept->statement->type != SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT ||
            kept->statement->body.grant->half != SEALIFT__HALF__HALF_READ ||
            kept->statement->body.grant->withdrawn ||
            !read_half_of_grant(authority, kept->statement, key_id, &found, &ignored))
            continue;
        if (newest && read_half_earlier_count(newest) >= read_half_earlier_count(found)) continue;
        read_half_free(newest);
        newest = found;
        found = NULL;
    }
    if (!newest) return err_set(err, ERR_NO_KEY, "this transporter has no read grant of the key");
    *half = newest;
    newest = NULL;
    return true;
}
