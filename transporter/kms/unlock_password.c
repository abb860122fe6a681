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

/* What deriving has cost so far: sections come from repositories whose owner nobody trusts, and may ask for
 * as much as is accepted. */
struct spent {
    size_t count;
    uint64_t work, found; /* passes times bytes of memory: of all, of salts that are not the point's */
    size_t left_out, wrong;
    struct err own, other; /* what could not be derived: of the point's section, of another one */
};

/* Limits out of range cost nothing: they are refused before anything is derived. */
static uint64_t work_of(const Sealift__Kdf *kdf)
{
    bool refused = kdf->passes > PWHASH_MAX_PASSES || kdf->memory_bytes > PWHASH_MAX_MEMORY;
    return refused ? 0 : kdf->passes * kdf->memory_bytes;
}

static bool may_derive(const struct unlock *unlock, size_t index, struct spent *spent,
                       const Sealift__Kdf *kdf)
{
    uint64_t work = work_of(kdf), left = UNLOCK_DERIVED_WORK - spent->work;
    bool found = index > 0 || unlock->more->found;
    if (spent->count >= UNLOCK_DERIVED_MOST || work > left ||
        (found && work > UNLOCK_FOUND_WORK - spent->found)) {
        spent->left_out++;
        return false;
    }
    spent->count++;
    spent->work += work;
    if (found) spent->found += work;
    return true;
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
    return derive(wrap->kdf, password, &protector, err) &&
           key_unwrap(protector->data, &unlock->key_id, stored_span(&wrap->sealed), s, &other);
}

/* The point's own salt that cannot be derived (memory) says most; that of another section, which somebody may
 * have planted, hides no wrong password. */
static void go_on(struct spent *spent, size_t index, const struct err *why)
{
    if (why->code == ERR_NONE)
        spent->wrong++;
    else if (index == 0)
        spent->own = *why;
    else
        spent->other = *why;
}

static bool from_section(const struct unlock *unlock, size_t index, const struct secret *password,
                         struct spent *spent, struct secret **s)
{
    const Sealift__UnlockSection *section = unlock_section_at(unlock, index);
    if (derives_from_password(section) && has_salt(section->kdf) && !was_tried(unlock, index, section->kdf) &&
        may_derive(unlock, index, spent, section->kdf)) {
        struct err why = {0};
        if (by_salt(unlock, section->kdf, password, s, &why)) return true;
        go_on(spent, index, &why);
    }
    for (size_t i = 0; i < section->n_passwords; i++) {
        struct err why = {0};
        const Sealift__PasswordWrap *wrap = section->passwords[i];
        if (wrap_was_tried(unlock, index, wrap) || !has_salt(wrap->kdf) ||
            !may_derive(unlock, index, spent, wrap->kdf))
            continue;
        if (by_wrap(unlock, wrap, password, s, &why)) return true;
        go_on(spent, index, &why);
    }
    return false;
}

static bool from_password(const struct unlock *unlock, const struct secret *password, struct secret **s,
                          struct err *err)
{
    struct spent spent = {0};
    const char *label = unlock->section->label;
    for (size_t i = 0; unlock_section_at(unlock, i); i++)
        if (from_section(unlock, i, password, &spent, s)) return true;
    const struct err *failed = spent.own.code != ERR_NONE ? &spent.own : &spent.other;
    if (failed->code != ERR_NONE && (failed == &spent.own || spent.wrong == 0)) {
        *err = *failed;
        return false;
    }
    if (spent.left_out == 0) return err_set(err, ERR_WRONG_KEY, "wrong password for key '%s'", label);
    return err_set(
        err, ERR_WRONG_KEY,
        "wrong password for key '%s' (what deriving of %zu more salts would cost is too much: they "
        "were not tried)",
        label, spent.left_out);
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
