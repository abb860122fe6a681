/* Grants of a key: made, made again with another unlock section, withdrawn. */
#include "common/wire/grant.h"
#include "common/wire/lent.h"
#include "director/cli/generations.h"
#include "director/cli/key_subset.h"
#include "director/cli/keys.h"
#include "director/cli/put.h"

#include <string.h>

static bool may_have(const struct cli *cli, const Sealift__Member *recipient, const char *half,
                     struct err *err)
{
    const Sealift__Member *host = roster_transporter(access_roster(cli), recipient->sign_pk.data);
    if (!host || host->zone == SEALIFT__ZONE__ZONE_TRUSTED) return true;
    return err_set(err, ERR_POLICY,
                   "a %s half goes to transporters in the trusted zone only: '%s' is not in it", half,
                   recipient->name);
}

/* The half as bytes: 32 of S, or the write half of the domain, whose id is set. */
static struct secret *half_bytes(const struct read_half *half, const char *domain, struct hash *id)
{
    if (!domain) return secret_copy(half->s->data, KEY_SECRET_LEN);
    AUTO(write_half) struct write_half *write = write_half_of(half, domain);
    *id = domain_id(write->dedup_key->data);
    return write_half_encode(write);
}

static bool put_grant(struct cli *cli, Sealift__GrantBody *body, const struct id *id, uint64_t expiry_s,
                      struct span plain, const Sealift__Member *recipient, struct err *err)
{
    AUTO(buf) struct buf context = {0};
    AUTO(buf) struct buf sealed = {0};
    AUTO(statement) struct statement *statement = NULL;
    grant_box_context(&state_site(cli->state)->line.site, id, body, &context);
    if (!box_seal(recipient->box_pk.data, buf_span(&context), plain, &sealed, err))
        return err_wrap(err, "cannot seal to '%s'", recipient->name);
    body->sealed = lent_bytes(sealed.data, sealed.len);
    const struct put_request request = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT,
                                        .audience = recipient->sign_pk.data,
                                        .id = *id,
                                        .expiry_s = expiry_s,
                                        .body = body};
    if (!put_statement(cli, &request, NULL, &statement, err)) return false;
    struct identity_public self;
    (void)state_identity(cli->state, &self);
    bool to_self = memcmp(recipient->sign_pk.data, self.sign_pk, SIGN_PK_LEN) == 0;
    return !to_self || state_keep_grant(cli->state, id, buf_span(&statement->bytes), err);
}

static void set_subset(Sealift__GrantBody *body, const struct key_subset *subset)
{
    body->subset = subset->chosen;
    body->kms = subset->entries;
    body->n_kms = subset->count;
}

/* Puts the part of the key's section that a writer is kept to. */
static bool narrow(struct cli *cli, const struct key_entry *key, const Sealift__Member *recipient,
                   const struct key_subset *subset, struct key_subset *left, struct hash *named,
                   struct err *err)
{
    AUTO(buf) struct buf section = {0};
    if (!key->section)
        return err_set(err, ERR_NOT_FOUND, "the unlock section of key '%s' is not to be had", key->label);
    if (!key_subset_section(key->section, subset, left, &section, err) ||
        !put_unlock_section(cli, buf_span(&section), err))
        return false;
    key_subset_warn(cli, key->label, recipient->name, subset, left);
    *named = hash_of(buf_span(&section));
    return true;
}

bool keys_grant_writer(struct cli *cli, const struct key_entry *key, const struct read_half *half,
                       const Sealift__Member *recipient, const char *domain, const struct key_subset *subset,
                       struct err *err)
{
    struct hash domain_hash = {{0}}, named = key->unlock_hash;
    AUTO(key_subset) struct key_subset left = {0};
    if (!may_have(cli, recipient, domain ? "write" : "read", err) ||
        (key->section && !generations_check(key->section, half, err)) ||
        (subset->chosen && !narrow(cli, key, recipient, subset, &left, &named, err)))
        return false;
    AUTO(secret) struct secret *plain = half_bytes(half, domain, &domain_hash);
    Sealift__GrantBody body = SEALIFT__GRANT_BODY__INIT;
    body.key_id = lent_bytes(key->key_id.bytes, HASH_LEN);
    body.key_label = lent_text(key->label);
    body.recipient = recipient->sign_pk;
    body.half = domain ? SEALIFT__HALF__HALF_WRITE : SEALIFT__HALF__HALF_READ;
    body.unlock_hash = lent_bytes(named.bytes, HASH_LEN);
    set_subset(&body, &left);
    if (domain) {
        body.domain = lent_text(domain);
        body.domain_id = lent_bytes(domain_hash.bytes, HASH_LEN);
    }
    struct id id = grant_id(&key->key_id, recipient->sign_pk.data, body.half, domain ? &domain_hash : NULL);
    return put_grant(cli, &body, &id, 0, span_of(plain->data, plain->len), recipient, err);
}

bool keys_grant(struct cli *cli, const struct key_entry *key, const struct read_half *half,
                const Sealift__Member *recipient, const char *domain, struct err *err)
{
    const struct key_subset all = {0};
    return keys_grant_writer(cli, key, half, recipient, domain, &all, err);
}

bool keys_grant_again(struct cli *cli, const struct statement *grant, const struct read_half *half,
                      const struct hash *unlock_hash, const struct key_subset *subset,
                      const Sealift__Member *recipient, struct err *err)
{
    Sealift__GrantBody body = *grant->body.grant;
    struct hash domain = {{0}};
    const char *name = body.half == SEALIFT__HALF__HALF_WRITE ? body.domain : NULL;
    if (!may_have(cli, recipient, name ? "write" : "read", err)) return false;
    AUTO(secret) struct secret *plain = half_bytes(half, name, &domain);
    if (name && memcmp(domain.bytes, body.domain_id.data, HASH_LEN) != 0)
        return err_set(err, ERR_WRONG_KEY, "the grant is of an earlier deduplication secret of the key");
    body.unlock_hash = lent_bytes(unlock_hash->bytes, HASH_LEN);
    set_subset(&body, subset);
    return put_grant(cli, &body, &grant->id, grant->expiry_s, span_of(plain->data, plain->len), recipient,
                     err);
}

bool keys_withdraw(struct cli *cli, const struct statement *grant, struct err *err)
{
    Sealift__GrantBody body = *grant->body.grant;
    body.sealed = lent_bytes(NULL, 0);
    body.withdrawn = 1;
    const struct put_request request = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT,
                                        .audience = grant->audience,
                                        .id = grant->id,
                                        .body = &body};
    return put_statement(cli, &request, NULL, NULL, err);
}
