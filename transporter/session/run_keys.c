#include "common/wire/grant.h"
#include "common/wire/stored.h"
#include "transporter/session/own_key.h"
#include "transporter/session/run_inside.h"

#include <stdio.h>
#include <string.h>

void run_seal_keys_deinit(struct run_seal_keys *keys)
{
    write_half_free(keys->half);
    keys->half = NULL;
    buf_deinit(&keys->unlock);
}

/* Our own key, if there is one and it is this key; *out stays NULL if not. */
static bool try_own_key(const struct run *run, const struct hash *key_id, struct read_half **out,
                        struct err *err)
{
    AUTO(read_half) struct read_half *half = NULL;
    if (!run->environment.own_key_file) return true;
    if (!own_key_load(run->environment.own_key_file, &half, err)) return false;
    if (!hash_eq(&half->key_id, key_id)) return true;
    *out = half;
    half = NULL;
    return true;
}

static bool keys_from_own(const struct read_half *own, const Sealift__JobBody *job,
                          struct run_seal_keys *keys, struct err *err)
{
    AUTO(write_half) struct write_half *half = write_half_of(own, job->domain);
    struct hash domain = domain_id(half->dedup_key->data);
    if (memcmp(domain.bytes, job->domain_id.data, HASH_LEN) != 0)
        return err_set(err, ERR_WRONG_KEY, "the job's dedup domain is not one of the own key");
    if (!own_key_unlock_section(own, job->key_label, &keys->unlock, err)) return false;
    (void)snprintf(keys->label, sizeof(keys->label), "%s", job->key_label);
    keys->half = half;
    half = NULL;
    return true;
}

bool run_seal_keys_get(struct run *run, struct run_seal_keys *keys, struct err *err)
{
    const Sealift__JobBody *job = run_job(run);
    struct hash key_id = stored_hash(&job->key_id), domain = stored_hash(&job->domain_id);
    AUTO(read_half) struct read_half *own = NULL;
    if (!try_own_key(run, &key_id, &own, err)) return false;
    if (own) return keys_from_own(own, job, keys, err);
    if (authority_write_half(run->environment.authority, &key_id, &domain, &keys->half, &keys->unlock,
                             keys->label, err))
        return true;
    if (err->code == ERR_NO_KEY && run->environment.own_key_file)
        return err_wrap(err,
                        "the own key that is configured here (setting 'own_key') is not key '%s' of the job",
                        job->key_label);
    return false;
}

/* --- opening --- */

bool run_order_secret(const struct run *run, const struct hash *key_id, struct secret **out, struct err *err)
{
    const Sealift__OrderBody *order = run_order(run);
    if (order->secret.len == 0)
        return err_set(err, ERR_NO_KEY, "neither a read grant nor the order gives this transporter the key");
    AUTO(buf) struct buf context = {0};
    AUTO(secret) struct secret *s = NULL;
    order_secret_context(run_site(run), &run->subject, key_id, &context);
    if (!box_open(run->environment.self->box, buf_span(&context), stored_span(&order->secret), &s, err))
        return err_wrap(err, "the secret in the order");
    if (s->len != KEY_SECRET_LEN) return err_set(err, ERR_WRONG_KEY, "the secret in the order is no key");
    *out = s;
    s = NULL;
    return true;
}

bool run_granted_key(struct run *run, const struct hash *key_id, struct span unlock_section,
                     struct read_half **half, struct err *err)
{
    struct authority *authority = run->environment.authority;
    AUTO(read_half) struct read_half *own = NULL;
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    AUTO(secret) struct secret *s = NULL;
    if (!try_own_key(run, key_id, &own, err)) return false;
    if (own) {
        *half = own;
        own = NULL;
        return true;
    }
    if (authority_read_half(authority, key_id, half, err)) return true;
    if (err->code != ERR_NO_KEY) return false;
    err_clear(err);
    if (!authority_read_secret(authority, key_id, &s, err)) return false;
    if (!stored_unlock_decode(unlock_section, &section, err)) return err_wrap(err, "the unlock section");
    return read_half_open(s->data, key_id, stored_span(&section->keyring), half, err);
}
