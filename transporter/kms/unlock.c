#include "transporter/kms/unlock_inside.h"

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

/* --- what the steps share --- */

static void unlock_deinit(struct unlock *unlock)
{
    secret_free(unlock->s);
    buf_deinit(&unlock->reasons);
}
DEFINE_AUTO_IN_PLACE(unlock, struct unlock, unlock_deinit)

const Sealift__UnlockSection *unlock_section_at(const struct unlock *unlock, size_t index)
{
    if (index == 0) return unlock->section;
    for (size_t i = 0; i < unlock->more->section_count; i++) {
        const Sealift__UnlockSection *section = unlock->more->sections[i];
        if (memcmp(section->key_id.data, unlock->key_id.bytes, HASH_LEN) != 0) continue;
        if (--index == 0) return section;
    }
    return NULL;
}

bool unlock_is_over(const struct unlock *unlock)
{
    return unlock->stopped.code != ERR_NONE || (unlock->s && unlock->until == UNLOCK_UNTIL_OPEN);
}

static void report(const struct unlock *unlock, const struct unlock_result *result)
{
    if (unlock->sources->report) unlock->sources->report(unlock->sources->arg, result);
}

/* What was given by hand and is wrong says more than that something else was not to be had. */
void unlock_go_on(struct unlock *unlock, const struct unlock_result *result)
{
    report(unlock, result);
    bool by_hand = result->step == UNLOCK_PASSWORD || result->step == UNLOCK_KIT;
    if (by_hand ? result->why->code != ERR_NO_KEY
                : result->step == UNLOCK_KNOWN && result->why->code == ERR_WRONG_KEY)
        unlock->wrong = *result->why;
    bool tried = result->why->code != ERR_NO_KEY || result->wrap || result->step == UNLOCK_KNOWN;
    if (!tried) return;
    buf_printf(&unlock->reasons, "; %s",
               result->step == UNLOCK_KNOWN ? result->name : unlock_step_name(result->step));
    if (result->step == UNLOCK_KMS && result->name) buf_printf(&unlock->reasons, " '%s'", result->name);
    buf_printf(&unlock->reasons, ": %s", result->why->text);
}

bool unlock_fits(const struct unlock *unlock, const struct secret *s, struct err *err)
{
    if (s->len != KEY_SECRET_LEN)
        return err_set(err, ERR_WRONG_KEY, "the key has %zu bytes instead of %d", s->len, KEY_SECRET_LEN);
    uint8_t unlock_pk[32];
    struct hash key_id;
    key_identity(s->data, unlock_pk, &key_id);
    if (hash_eq(&key_id, &unlock->key_id)) return true;
    char wanted[KEY_FINGERPRINT_LEN], found[KEY_FINGERPRINT_LEN];
    key_fingerprint(&unlock->key_id, wanted);
    key_fingerprint(&key_id, found);
    return err_set(err, ERR_WRONG_KEY, "this is key %s, the recovery point needs key '%s' %s", found,
                   unlock->section->label, wanted);
}

void unlock_take(struct unlock *unlock, const struct unlock_result *result, struct secret **candidate)
{
    struct err why = {0};
    struct unlock_result checked = *result;
    if (!unlock_fits(unlock, *candidate, &why)) {
        if (result->step == UNLOCK_KMS) why.code = ERR_NOT_AUTHENTIC;
        checked.why = &why;
        unlock_go_on(unlock, &checked);
        return;
    }
    checked.why = NULL;
    report(unlock, &checked);
    if (unlock->s) return; /* of all steps the first counts */
    unlock->s = *candidate;
    *candidate = NULL;
}

/* --- the steps --- */

static void by_known(struct unlock *unlock)
{
    const struct unlock_sources *sources = unlock->sources;
    for (size_t i = 0; i < sources->known_count && !unlock_is_over(unlock); i++) {
        struct err why = {0};
        AUTO(secret) struct secret *candidate = NULL;
        struct unlock_result result = {.step = UNLOCK_KNOWN, .name = sources->known[i].name, .why = &why};
        if (sources->known[i].get(sources->arg, &unlock->key_id, &candidate, &why))
            unlock_take(unlock, &result, &candidate);
        else
            unlock_go_on(unlock, &result);
    }
}

static void by_kit(struct unlock *unlock)
{
    struct err why = {0};
    AUTO(secret) struct secret *candidate = NULL;
    const struct unlock_result result = {.step = UNLOCK_KIT, .why = &why};
    if (!unlock->sources->kit)
        (void)err_set(&why, ERR_NO_KEY, "no recovery kit was given");
    else if (unlock->sources->kit(unlock->sources->arg, &unlock->key_id, &candidate, &why)) {
        unlock_take(unlock, &result, &candidate);
        return;
    }
    unlock_go_on(unlock, &result);
}

/* Nothing helped: the most telling of the reasons. */
static bool give_up(const struct unlock *unlock, struct err *err)
{
    char fingerprint[KEY_FINGERPRINT_LEN];
    const char *label = unlock->section->label;
    key_fingerprint(&unlock->key_id, fingerprint);
    if (unlock->stopped.code != ERR_NONE) {
        *err = unlock->stopped;
        return false;
    }
    if (unlock->sources->password && unlock_salt_is_gone(unlock))
        return err_set(
            err, ERR_SALT_MISSING,
            "corrupted: the salt of password key '%s' (%s) is missing from the recovery point, and it is "
            "nowhere else",
            label, fingerprint);
    if (unlock->wrong.code != ERR_NONE) {
        *err = unlock->wrong;
        return false;
    }
    const char *next = !unlock->sources->password && unlock_takes_password(unlock->section, unlock->more)
                           ? " (its password does: --password-file)"
                           : "";
    if (unlock->reasons.len == 0)
        return err_set(err, ERR_NO_KEY,
                       "the recovery point is encrypted with key '%s' (%s), and no key for it was given%s",
                       label, fingerprint, next);
    return err_set(
        err, ERR_NO_KEY,
        "the recovery point is encrypted with key '%s' (%s), and nothing that was tried opens it%s%.*s",
        label, fingerprint, next, (int)unlock->reasons.len, (const char *)unlock->reasons.data);
}

static bool take_steps(struct unlock *unlock, struct err *err)
{
    static void (*const steps[])(struct unlock *) = {by_known, unlock_by_kms, unlock_by_password, by_kit};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !unlock_is_over(unlock); i++)
        steps[i](unlock);
    return (unlock->s && unlock->stopped.code == ERR_NONE) || give_up(unlock, err);
}

static struct unlock begin(const Sealift__UnlockSection *section, const struct unlock_more *more,
                           const struct unlock_sources *sources, enum unlock_until until)
{
    static const struct unlock_more nothing = {0};
    return (struct unlock){.section = section,
                           .more = more ? more : &nothing,
                           .key_id = stored_hash(&section->key_id),
                           .sources = sources,
                           .until = until};
}

bool unlock_section(struct span bytes, const struct unlock_more *more, const struct unlock_sources *sources,
                    struct read_half **out, struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    if (!stored_unlock_decode(bytes, &section, err)) return err_wrap(err, "the unlock section");
    AUTO(unlock) struct unlock unlock = begin(section, more, sources, UNLOCK_UNTIL_OPEN);
    if (!take_steps(&unlock, err)) return false;
    struct span keyring = span_of(section->keyring.data, section->keyring.len);
    return read_half_open(unlock.s->data, &unlock.key_id, keyring, out, err) ||
           err_wrap(err, "the keyring of key '%s'", section->label);
}

bool unlock_explain(struct span bytes, const struct unlock_more *more, const struct unlock_sources *sources,
                    struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    if (!stored_unlock_decode(bytes, &section, err)) return err_wrap(err, "the unlock section");
    AUTO(unlock) struct unlock unlock = begin(section, more, sources, UNLOCK_ALL_STEPS);
    return take_steps(&unlock, err);
}
