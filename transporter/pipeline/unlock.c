#include "transporter/pipeline/unlock.h"

#include "common/base/text.h"
#include "common/crypto/password.h"
#include "common/wire/stored.h"

#include <string.h>

const char *unlock_step_name(enum unlock_step step)
{
    switch (step) {
    case UNLOCK_KNOWN:
        return "known key";
    case UNLOCK_KMS:
        return "KMS";
    case UNLOCK_PASSWORD:
        return "password";
    case UNLOCK_KIT:
        return "recovery kit";
    }
    return "unknown step";
}

void unlock_fingerprint(const struct hash *key_id, char out[static UNLOCK_FINGERPRINT_LEN])
{
    enum { GROUPS = 8, GROUP = 4 };
    AUTO(buf) struct buf text = {0};
    base32_encode(span_of(key_id->bytes, 20), &text);
    for (size_t i = 0; i < GROUPS; i++) {
        memcpy(out + i * (GROUP + 1), text.data + i * GROUP, GROUP);
        out[i * (GROUP + 1) + GROUP] = i + 1 < GROUPS ? '-' : '\0';
    }
}

struct unlock {
    const Sealift__UnlockSection *section;
    struct hash key_id;
    const struct unlock_sources *sources;
    struct err last; /* of what was offered and did not help */
};

static void report(const struct unlock *unlock, enum unlock_step step, const struct err *why)
{
    if (unlock->sources->report) unlock->sources->report(unlock->sources->arg, step, why);
}

/* A step that did not help: told, and remembered if something was offered. */
static bool go_on(struct unlock *unlock, enum unlock_step step, const struct err *why)
{
    report(unlock, step, why);
    if (why->code != ERR_NO_KEY) unlock->last = *why;
    return false;
}

static bool fits(const struct unlock *unlock, const struct secret *s, struct err *err)
{
    if (s->len != KEY_SECRET_LEN)
        return err_set(err, ERR_WRONG_KEY, "the key has %zu bytes instead of %d", s->len, KEY_SECRET_LEN);
    uint8_t unlock_pk[32];
    struct hash key_id;
    key_identity(s->data, unlock_pk, &key_id);
    if (hash_eq(&key_id, &unlock->key_id)) return true;
    char wanted[UNLOCK_FINGERPRINT_LEN], found[UNLOCK_FINGERPRINT_LEN];
    unlock_fingerprint(&unlock->key_id, wanted);
    unlock_fingerprint(&key_id, found);
    return err_set(err, ERR_WRONG_KEY, "this is key %s, the recovery point needs key '%s' %s", found,
                   unlock->section->label, wanted);
}

static bool try_known(struct unlock *unlock, struct secret **s)
{
    struct err why = {0};
    AUTO(secret) struct secret *candidate = NULL;
    if (!unlock->sources->known) {
        (void)err_set(&why, ERR_NO_KEY, "no key was given");
        return go_on(unlock, UNLOCK_KNOWN, &why);
    }
    if (!unlock->sources->known(unlock->sources->arg, &unlock->key_id, &candidate, &why) ||
        !fits(unlock, candidate, &why))
        return go_on(unlock, UNLOCK_KNOWN, &why);
    report(unlock, UNLOCK_KNOWN, NULL);
    *s = candidate;
    candidate = NULL;
    return true;
}

static void tell_kms(struct unlock *unlock)
{
    struct err why = {0};
    if (unlock->section->n_kms == 0)
        (void)err_set(&why, ERR_NO_KEY, "the recovery point carries no KMS wrap");
    else
        (void)err_set(&why, ERR_NO_KEY,
                      "the recovery point carries %zu KMS wraps, but this version cannot ask a KMS",
                      unlock->section->n_kms);
    report(unlock, UNLOCK_KMS, &why);
}

static bool has_salt(const Sealift__Kdf *kdf)
{
    return kdf && kdf->salt.len == PASSWORD_SALT_LEN;
}

static bool derive(const Sealift__Kdf *kdf, const struct secret *password, struct secret **out,
                   struct err *err)
{
    struct pwhash_limits limits = {.passes = kdf->passes, .memory_bytes = kdf->memory_bytes};
    return password_hash(password, kdf->salt.data, &limits, out, err);
}

/* S itself comes from the password, or a further password wraps it. */
static bool from_password(const struct unlock *unlock, const struct secret *password, struct secret **s,
                          struct err *err)
{
    const Sealift__UnlockSection *section = unlock->section;
    if (section->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD && has_salt(section->kdf)) {
        AUTO(secret) struct secret *candidate = NULL;
        if (!derive(section->kdf, password, &candidate, err)) return false;
        if (fits(unlock, candidate, err)) {
            *s = candidate;
            candidate = NULL;
            return true;
        }
        (void)err_set(err, ERR_WRONG_KEY, "wrong password for key '%s'", section->label);
    }
    for (size_t i = 0; i < section->n_passwords; i++) {
        const Sealift__PasswordWrap *wrap = section->passwords[i];
        AUTO(secret) struct secret *protector = NULL;
        if (!has_salt(wrap->kdf) || !derive(wrap->kdf, password, &protector, err)) continue;
        struct span sealed = span_of(wrap->sealed.data, wrap->sealed.len);
        if (key_unwrap(protector->data, &unlock->key_id, sealed, s, err)) return true;
    }
    return false;
}

static bool takes_password(const Sealift__UnlockSection *section)
{
    return (section->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD && has_salt(section->kdf)) ||
           section->n_passwords > 0;
}

static bool try_password(struct unlock *unlock, struct secret **s)
{
    struct err why = {0};
    AUTO(secret) struct secret *password = NULL;
    if (!takes_password(unlock->section))
        (void)err_set(&why, ERR_NO_KEY, "the recovery point's key has no password");
    else if (!unlock->sources->password)
        (void)err_set(&why, ERR_NO_KEY, "no password was given");
    else if (unlock->sources->password(unlock->sources->arg, unlock->section->label, &password, &why) &&
             from_password(unlock, password, s, &why)) {
        report(unlock, UNLOCK_PASSWORD, NULL);
        return true;
    }
    return go_on(unlock, UNLOCK_PASSWORD, &why);
}

static void tell_kit(struct unlock *unlock)
{
    struct err why = {0};
    (void)err_set(&why, ERR_NO_KEY, "this version cannot read a recovery kit");
    report(unlock, UNLOCK_KIT, &why);
}

/* Nothing helped: the most telling of the reasons. */
static bool give_up(const struct unlock *unlock, struct err *err)
{
    const Sealift__UnlockSection *section = unlock->section;
    char fingerprint[UNLOCK_FINGERPRINT_LEN];
    unlock_fingerprint(&unlock->key_id, fingerprint);
    bool salt_gone = section->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD && !has_salt(section->kdf);
    if (salt_gone)
        return err_set(err, ERR_SALT_MISSING,
                       "corrupted: the salt of password key '%s' (%s) is missing from the recovery point",
                       section->label, fingerprint);
    if (unlock->last.code != ERR_NONE) {
        *err = unlock->last;
        return false;
    }
    return err_set(err, ERR_NO_KEY,
                   "the recovery point is encrypted with key '%s' (%s), and no key for it was given",
                   section->label, fingerprint);
}

bool unlock_section(struct span bytes, const struct unlock_sources *sources, struct read_half **out,
                    struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    if (!stored_unlock_decode(bytes, &section, err)) return err_wrap(err, "the unlock section");
    struct unlock unlock = {.section = section, .key_id = stored_hash(&section->key_id), .sources = sources};

    AUTO(secret) struct secret *s = NULL;
    bool found = try_known(&unlock, &s);
    if (!found) {
        tell_kms(&unlock);
        found = try_password(&unlock, &s);
    }
    if (!found) {
        tell_kit(&unlock);
        return give_up(&unlock, err);
    }
    struct span keyring = span_of(section->keyring.data, section->keyring.len);
    return read_half_open(s->data, &unlock.key_id, keyring, out, err) ||
           err_wrap(err, "the keyring of key '%s'", section->label);
}
