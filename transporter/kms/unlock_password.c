/* Step 3 of the unlock order: S comes from a password by a salt, or a further password wraps it. */
#include "common/crypto/password.h"
#include "transporter/kms/unlock_inside.h"

static bool has_salt(const Sealift__Kdf *kdf)
{
    return kdf && kdf->salt.len == PASSWORD_SALT_LEN;
}

static bool derives_from_password(const Sealift__UnlockSection *section)
{
    return section->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD;
}

static bool derive(const Sealift__Kdf *kdf, const struct secret *password, struct secret **out,
                   struct err *err)
{
    struct pwhash_limits limits = {.passes = kdf->passes, .memory_bytes = kdf->memory_bytes};
    return password_hash(password, kdf->salt.data, &limits, out, err);
}

static bool is_same_kdf(const Sealift__Kdf *a, const Sealift__Kdf *b)
{
    return a->passes == b->passes && a->memory_bytes == b->memory_bytes &&
           span_eq(stored_span(&a->salt), stored_span(&b->salt));
}

/* Has one of the sections before it this salt? */
static bool was_tried(const struct unlock *unlock, size_t index, const Sealift__Kdf *kdf)
{
    for (size_t i = 0; i < index; i++) {
        const Sealift__UnlockSection *section = unlock_section_at(unlock, i);
        if (derives_from_password(section) && has_salt(section->kdf) && is_same_kdf(section->kdf, kdf))
            return true;
    }
    return false;
}

static bool wrap_was_tried(const struct unlock *unlock, size_t index, const Sealift__PasswordWrap *wrap)
{
    for (size_t i = 0; i < index; i++) {
        const Sealift__UnlockSection *section = unlock_section_at(unlock, i);
        for (size_t w = 0; w < section->n_passwords; w++)
            if (span_eq(stored_span(&section->passwords[w]->sealed), stored_span(&wrap->sealed))) return true;
    }
    return false;
}

/* false: this salt leads elsewhere. A failure to derive (memory, hostile limits) goes into *err. */
static bool by_salt(const struct unlock *unlock, const Sealift__Kdf *kdf, const struct secret *password,
                    struct secret **s, struct err *err)
{
    struct err other;
    AUTO(secret) struct secret *candidate = NULL;
    if (!derive(kdf, password, &candidate, err) || !unlock_fits(unlock, candidate, &other)) return false;
    *s = candidate;
    candidate = NULL;
    return true;
}

static bool by_wrap(const struct unlock *unlock, const Sealift__PasswordWrap *wrap,
                    const struct secret *password, struct secret **s, struct err *err)
{
    struct err other;
    AUTO(secret) struct secret *protector = NULL;
    return has_salt(wrap->kdf) && derive(wrap->kdf, password, &protector, err) &&
           key_unwrap(protector->data, &unlock->key_id, stored_span(&wrap->sealed), s, &other);
}

static bool from_section(const struct unlock *unlock, size_t index, const struct secret *password,
                         size_t *derived, struct secret **s, struct err *err)
{
    const Sealift__UnlockSection *section = unlock_section_at(unlock, index);
    if (derives_from_password(section) && has_salt(section->kdf) && !was_tried(unlock, index, section->kdf) &&
        (*derived)++ < UNLOCK_DERIVED_MOST && by_salt(unlock, section->kdf, password, s, err))
        return true;
    for (size_t i = 0; i < section->n_passwords; i++)
        if (!wrap_was_tried(unlock, index, section->passwords[i]) && (*derived)++ < UNLOCK_DERIVED_MOST &&
            by_wrap(unlock, section->passwords[i], password, s, err))
            return true;
    return false;
}

static bool from_password(const struct unlock *unlock, const struct secret *password, struct secret **s,
                          struct err *err)
{
    size_t derived = 0;
    struct err failed = {0};
    for (size_t i = 0; unlock_section_at(unlock, i); i++)
        if (from_section(unlock, i, password, &derived, s, &failed)) return true;
    if (failed.code != ERR_NONE) {
        *err = failed;
        return false;
    }
    return err_set(err, ERR_WRONG_KEY, "wrong password for key '%s'", unlock->section->label);
}

/* --- */

static bool takes_password(const Sealift__UnlockSection *section)
{
    return (derives_from_password(section) && has_salt(section->kdf)) || section->n_passwords > 0;
}

static bool any_takes_password(const struct unlock *unlock)
{
    const Sealift__UnlockSection *section;
    for (size_t i = 0; (section = unlock_section_at(unlock, i)); i++)
        if (takes_password(section)) return true;
    return false;
}

bool unlock_takes_password(const Sealift__UnlockSection *section, const struct unlock_more *more)
{
    static const struct unlock_more nothing = {0};
    const struct unlock unlock = {
        .section = section, .more = more ? more : &nothing, .key_id = stored_hash(&section->key_id)};
    return any_takes_password(&unlock);
}

bool unlock_salt_is_gone(const struct unlock *unlock)
{
    const Sealift__UnlockSection *section;
    if (!derives_from_password(unlock->section)) return false;
    for (size_t i = 0; (section = unlock_section_at(unlock, i)); i++)
        if (derives_from_password(section) && has_salt(section->kdf)) return false;
    return true;
}

void unlock_by_password(struct unlock *unlock)
{
    struct err why = {0};
    AUTO(secret) struct secret *password = NULL, *candidate = NULL;
    const struct unlock_result result = {.step = UNLOCK_PASSWORD, .why = &why};
    const struct unlock_sources *sources = unlock->sources;
    if (!any_takes_password(unlock))
        (void)err_set(&why, ERR_NO_KEY, "the recovery point's key has no password");
    else if (!sources->password)
        (void)err_set(&why, ERR_NO_KEY, "no password was given");
    else if (sources->password(sources->arg, unlock->section->label, &password, &why) &&
             from_password(unlock, password, &candidate, &why)) {
        unlock_take(unlock, &result, &candidate);
        return;
    }
    unlock_go_on(unlock, &result);
}
