#include "common/wire/grant.h"

#include <string.h>

struct id grant_id(const struct hash *key_id, const uint8_t recipient[SIGN_PK_LEN], Sealift__Half half,
                   const struct hash *domain)
{
    const uint8_t half_byte = (uint8_t)half;
    struct span parts[] = {
        span_of(key_id->bytes, HASH_LEN),
        span_of(recipient, SIGN_PK_LEN),
        span_of(&half_byte, 1),
        domain ? span_of(domain->bytes, HASH_LEN) : span_of(NULL, 0),
    };
    uint8_t derived[HASH_LEN];
    hash_derive("sealift v1 grant id", parts, sizeof(parts) / sizeof(parts[0]), derived);
    struct id id;
    memcpy(id.bytes, derived, ID_LEN);
    return id;
}

void grant_box_context(const struct id *site, const struct id *id, const Sealift__GrantBody *body,
                       struct buf *out)
{
    AUTO(buf) struct buf extra = {0};
    buf_put(&extra, body->key_id.data, body->key_id.len);
    buf_put_u8(&extra, (uint8_t)body->half);
    if (body->domain_id.len) buf_put(&extra, body->domain_id.data, body->domain_id.len);
    statement_box_context("grant", site, id, buf_span(&extra), out);
}

void order_secret_context(const struct id *site, const struct id *order, const struct hash *key_id,
                          struct buf *out)
{
    statement_box_context("order secret", site, order, span_of(key_id->bytes, HASH_LEN), out);
}

void order_key_back_context(const struct id *site, const struct id *order, const struct hash *key_id,
                            struct buf *out)
{
    statement_box_context("key back", site, order, span_of(key_id->bytes, HASH_LEN), out);
}

void order_wrap_proof(const struct secret *s, const struct id *order, struct span wrap,
                      uint8_t out[static WRAP_PROOF_LEN])
{
    const struct span parts[] = {span_of(s->data, s->len), span_of(order->bytes, ID_LEN), wrap};
    hash_derive("sealift v1 wrap proof", parts, 3, out);
}

bool sealed_copy_open(Sealift__SealedCopy *const *copies, size_t count, const uint8_t recipient[SIGN_PK_LEN],
                      const struct box_pair *pair, const char *purpose, const struct id *site,
                      const struct id *id, struct secret **out, struct err *err)
{
    AUTO(buf) struct buf context = {0};
    statement_box_context(purpose, site, id, span_of(NULL, 0), &context);
    for (size_t i = 0; i < count; i++) {
        if (memcmp(copies[i]->recipient.data, recipient, SIGN_PK_LEN) != 0) continue;
        struct span sealed = span_of(copies[i]->sealed.data, copies[i]->sealed.len);
        if (box_open(pair, buf_span(&context), sealed, out, err)) return true;
        return err_wrap(err, "the sealed part of the %s statement", purpose);
    }
    return err_set(err, ERR_NO_KEY, "the %s statement has no sealed part for this identity", purpose);
}
