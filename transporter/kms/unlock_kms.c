/* Step 2 of the unlock order. Which entry made a wrap is said in the wrap, but entries are renamed, and a
 * master key may be reached through another one: first each wrap goes to the entry of its name, then to all
 * others of its kind. Nothing but a wrap goes anywhere, and only to what this host's own configuration names.
 */
#include "transporter/kms/unlock_inside.h"

#include <string.h>

enum { AWAY_MOST = 2 }; /* questions in a row that an entry leaves unanswered: then it is asked no more */

struct asking {
    struct unlock *unlock;
    Sealift__KmsWrap **wraps; /* each once; borrowed */
    size_t count, asked;
    bool *fits;                  /* of each wrap: some entry was asked */
    unsigned away[KMS_SET_MOST]; /* of each entry: how often it did not answer in a row */
};

static bool is_there(const struct asking *asking, const Sealift__KmsWrap *wrap)
{
    for (size_t i = 0; i < asking->count; i++) {
        const Sealift__KmsWrap *other = asking->wraps[i];
        if (strcmp(other->kind, wrap->kind) == 0 &&
            span_eq(stored_span(&other->wrapped), stored_span(&wrap->wrapped)))
            return true;
    }
    return false;
}

static void add_wraps(struct asking *asking, Sealift__KmsWrap *const *wraps, size_t count)
{
    for (size_t i = 0; i < count && asking->count < UNLOCK_ASKED_MOST; i++)
        if (!is_there(asking, wraps[i])) asking->wraps[asking->count++] = wraps[i];
}

static void gather(struct asking *asking)
{
    const struct unlock *unlock = asking->unlock;
    const Sealift__UnlockSection *section;
    for (size_t i = 0; (section = unlock_section_at(unlock, i)); i++)
        add_wraps(asking, section->kms, section->n_kms);
    add_wraps(asking, unlock->more->wraps, unlock->more->wrap_count);
}

static bool is_of_kind(const struct kms_entry *entry, const Sealift__KmsWrap *wrap)
{
    return strcmp(kms_kind_name(entry->uri->kind), wrap->kind) == 0;
}

static void ask(struct asking *asking, size_t at, const Sealift__KmsWrap *wrap)
{
    const struct kms_entry *entry = kms_set_at(asking->unlock->sources->kms, at);
    struct unlock *unlock = asking->unlock;
    const struct unlock_sources *sources = unlock->sources;
    struct err why = {0};
    AUTO(secret) struct secret *candidate = NULL;
    const struct unlock_result result = {.step = UNLOCK_KMS, .name = entry->name, .wrap = wrap, .why = &why};
    if (sources->going_on && !sources->going_on(sources->arg, &unlock->stopped)) return;
    asking->asked++;
    bool given = (sources->unwrap ? sources->unwrap : kms_unwrap)(entry, stored_span(&wrap->wrapped),
                                                                  &unlock->key_id, &candidate, &why);
    asking->away[at] = !given && why.code == ERR_UNREACHABLE ? asking->away[at] + 1 : 0;
    if (given)
        unlock_take(unlock, &result, &candidate);
    else
        unlock_go_on(unlock, &result);
}

enum which { OF_ITS_NAME, THE_OTHERS };

static void ask_all(struct asking *asking, enum which which)
{
    const struct kms_set *set = asking->unlock->sources->kms;
    for (size_t w = 0; w < asking->count; w++)
        for (size_t e = 0; e < kms_set_count(set); e++) {
            const struct kms_entry *entry = kms_set_at(set, e);
            bool same_name = strcmp(entry->name, asking->wraps[w]->entry) == 0;
            if (!is_of_kind(entry, asking->wraps[w]) || same_name != (which == OF_ITS_NAME)) continue;
            if (unlock_is_over(asking->unlock) || asking->asked >= UNLOCK_ASKED_MOST) return;
            asking->fits[w] = true;
            if (asking->away[e] < AWAY_MOST) ask(asking, e, asking->wraps[w]);
        }
}

static void tell_no_entry(struct unlock *unlock, const Sealift__KmsWrap *wrap)
{
    struct err why = {0};
    const struct unlock_result result = {.step = UNLOCK_KMS, .wrap = wrap, .why = &why};
    (void)err_set(&why, ERR_NO_KEY, "no entry here fits the wrap by '%s' (%s)", wrap->entry, wrap->kind);
    unlock_go_on(unlock, &result);
}

void unlock_by_kms(struct unlock *unlock)
{
    Sealift__KmsWrap *wraps[UNLOCK_ASKED_MOST];
    bool fits[UNLOCK_ASKED_MOST] = {0};
    struct asking asking = {.unlock = unlock, .wraps = wraps, .fits = fits};
    gather(&asking);
    if (asking.count == 0) {
        struct err why = {0};
        (void)err_set(&why, ERR_NO_KEY, "the recovery point carries no KMS wrap");
        unlock_go_on(unlock, &(struct unlock_result){.step = UNLOCK_KMS, .why = &why});
        return;
    }
    ask_all(&asking, OF_ITS_NAME);
    ask_all(&asking, THE_OTHERS);
    for (size_t i = 0; i < asking.count && !unlock_is_over(unlock); i++)
        if (!fits[i]) tell_no_entry(unlock, wraps[i]);
}

bool unlock_wraps_fit(Sealift__KmsWrap *const *wraps, size_t count, const char *kind)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(wraps[i]->kind, kind) == 0) return true;
    return false;
}
