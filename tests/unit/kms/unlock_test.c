#include "transporter/kms/unlock.h"

#include "common/crypto/password.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t salt[PASSWORD_SALT_LEN] = {1, 2, 3};

/* A password key "main" whose password is "correct horse", and its unlock section. */
struct key {
    struct read_half *half;
    struct buf section;
};

enum parts { PARTS_ALL, PARTS_NO_SALT, PARTS_BAD_KEYRING };

static struct secret *password_of(const char *text)
{
    struct err err = {0};
    struct secret *password = NULL;
    enum password_strength strength;
    cr_assert(password_normalise(span_str(text), &password, &strength, &err), "%s", err.text);
    return password;
}

static void key_init(struct key *key, enum parts parts)
{
    struct err err = {0};
    AUTO(secret) struct secret *password = password_of("correct horse"), *s = NULL;
    struct pwhash_limits limits = PWHASH_INTERACTIVE;
    cr_assert(password_hash(password, salt, &limits, &s, &err), "%s", err.text);
    key->half = read_half_new(s->data);
    key->section = (struct buf){0};
    AUTO(buf) struct buf keyring = {0};
    keyring_seal(key->half, &keyring);
    if (parts == PARTS_BAD_KEYRING) keyring.data[keyring.len - 1] ^= 1;
    Sealift__Kdf kdf = SEALIFT__KDF__INIT;
    kdf.name = (char *)(uintptr_t) "argon2id13";
    kdf.passes = limits.passes;
    kdf.memory_bytes = limits.memory_bytes;
    if (parts != PARTS_NO_SALT) kdf.salt = stored_bytes(span_of(salt, sizeof(salt)));
    Sealift__UnlockSection section = SEALIFT__UNLOCK_SECTION__INIT;
    section.version = 1;
    section.key_id = stored_bytes(span_of(key->half->key_id.bytes, HASH_LEN));
    section.label = (char *)(uintptr_t) "main";
    section.description = (char *)(uintptr_t) "a test";
    section.origin = SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD;
    section.kdf = &kdf;
    section.keyring = stored_bytes(buf_span(&keyring));
    section.unlock_pk = stored_bytes(span_of(key->half->unlock_pk, 32));
    cr_assert(stored_unlock_encode(&section, &key->section, &err), "%s", err.text);
}

static void key_deinit(struct key *key)
{
    read_half_free(key->half);
    buf_deinit(&key->section);
}

/* What is offered, and what was reported. */
struct offer {
    const struct secret *s;
    const char *password;
    enum err_code reports[5];
};

static bool give_known(void *arg, const struct hash *key_id, struct secret **s, struct err *err)
{
    struct offer *offer = arg;
    if (!offer->s) return err_set(err, ERR_NO_KEY, "none");
    *s = secret_copy(offer->s->data, offer->s->len);
    return true;
}

static bool give_password(void *arg, const char *label, struct secret **password, struct err *err)
{
    struct offer *offer = arg;
    cr_assert_str_eq(label, "main");
    if (!offer->password) return err_set(err, ERR_NO_KEY, "none");
    *password = password_of(offer->password);
    return true;
}

static void note(void *arg, const struct unlock_result *result)
{
    ((struct offer *)arg)->reports[result->step] = result->why ? result->why->code : ERR_NONE;
}

static enum err_code unlock(const struct key *key, struct offer *offer, struct err *err)
{
    static const struct unlock_known known[] = {{"test", give_known}};
    struct unlock_sources sources = {
        .known = known, .known_count = 1, .password = give_password, .report = note, .arg = offer};
    AUTO(read_half) struct read_half *out = NULL;
    memset(offer->reports, 99, sizeof(offer->reports));
    *err = (struct err){0};
    if (!unlock_section(buf_span(&key->section), NULL, &sources, &out, err)) return err->code;
    cr_assert(hash_eq(&out->key_id, &key->half->key_id));
    cr_assert_eq(memcmp(out->dedup_secret->data, key->half->dedup_secret->data, 32), 0);
    return ERR_NONE;
}

Test(unlock, by_a_known_key_asks_nobody)
{
    struct key key;
    struct err err;
    key_init(&key, PARTS_ALL);
    struct offer offer = {.s = key.half->s, .password = "never asked for"};
    cr_assert_eq(unlock(&key, &offer, &err), ERR_NONE, "%s", err.text);
    cr_assert_eq(offer.reports[UNLOCK_KNOWN], ERR_NONE);
    cr_assert_neq(offer.reports[UNLOCK_PASSWORD], ERR_NONE);
    key_deinit(&key);
}

Test(unlock, by_the_password_when_no_key_is_known)
{
    struct key key;
    struct err err;
    key_init(&key, PARTS_ALL);
    struct offer offer = {.password = "correct horse"};
    cr_assert_eq(unlock(&key, &offer, &err), ERR_NONE, "%s", err.text);
    cr_assert_eq(offer.reports[UNLOCK_KNOWN], ERR_NO_KEY);
    cr_assert_eq(offer.reports[UNLOCK_KMS], ERR_NO_KEY);
    cr_assert_eq(offer.reports[UNLOCK_PASSWORD], ERR_NONE);
    key_deinit(&key);
}

Test(unlock, by_the_password_when_the_known_key_is_another)
{
    struct key key, other;
    struct err err;
    key_init(&key, PARTS_ALL);
    uint8_t s[32] = {9};
    other.half = read_half_new(s);
    struct offer offer = {.s = other.half->s, .password = "correct horse"};
    cr_assert_eq(unlock(&key, &offer, &err), ERR_NONE, "%s", err.text);
    cr_assert_eq(offer.reports[UNLOCK_KNOWN], ERR_WRONG_KEY);
    read_half_free(other.half);
    key_deinit(&key);
}

Test(unlock, with_a_wrong_password_is_a_wrong_key)
{
    struct key key;
    struct err err;
    key_init(&key, PARTS_ALL);
    struct offer offer = {.password = "battery staple"};
    cr_assert_eq(unlock(&key, &offer, &err), ERR_WRONG_KEY);
    cr_assert_str_eq(err.text, "wrong password for key 'main'");
    key_deinit(&key);
}

Test(unlock, without_anything_names_the_key_that_is_wanted)
{
    struct key key;
    struct err err;
    key_init(&key, PARTS_ALL);
    struct offer offer = {0};
    cr_assert_eq(unlock(&key, &offer, &err), ERR_NO_KEY);
    char fingerprint[KEY_FINGERPRINT_LEN];
    key_fingerprint(&key.half->key_id, fingerprint);
    cr_assert_not_null(strstr(err.text, fingerprint));
    cr_assert_not_null(strstr(err.text, "'main'"));
    key_deinit(&key);
}

Test(unlock, of_a_password_key_without_its_salt_is_corrupted)
{
    struct key key;
    struct err err;
    key_init(&key, PARTS_NO_SALT);
    struct offer offer = {.password = "correct horse"};
    cr_assert_eq(unlock(&key, &offer, &err), ERR_SALT_MISSING, "%s", err.text);
    struct offer known = {.s = key.half->s};
    cr_assert_eq(unlock(&key, &known, &err), ERR_NONE, "a known key needs no salt");
    key_deinit(&key);
}

Test(unlock, with_an_altered_keyring_is_damaged)
{
    struct key key;
    struct err err;
    key_init(&key, PARTS_BAD_KEYRING);
    struct offer offer = {.s = key.half->s};
    cr_assert_eq(unlock(&key, &offer, &err), ERR_DAMAGED, "%s", err.text);
    key_deinit(&key);
}

/* --- sections that somebody planted --- */

/* Of the same key, with a salt of its own that costs this much. */
static Sealift__UnlockSection *planted(const struct key *key, const struct pwhash_limits *limits)
{
    struct err err = {0};
    Sealift__UnlockSection *section = NULL;
    cr_assert(stored_unlock_decode(buf_span(&key->section), &section, &err), "%s", err.text);
    section->kdf->salt.data[0] ^= 1;
    section->kdf->passes = limits->passes;
    section->kdf->memory_bytes = limits->memory_bytes;
    return section;
}

static enum err_code unlock_beside(const struct key *key, const struct pwhash_limits *limits,
                                   const char *password, struct err *err)
{
    struct offer offer = {.password = password};
    const struct unlock_sources sources = {.password = give_password, .arg = &offer};
    AUTO(stored_unlock) Sealift__UnlockSection *section = planted(key, limits);
    const Sealift__UnlockSection *list[] = {section};
    const struct unlock_more more = {.sections = list, .section_count = 1};
    AUTO(read_half) struct read_half *out = NULL;
    *err = (struct err){0};
    return unlock_section(buf_span(&key->section), &more, &sources, &out, err) ? ERR_NONE : err->code;
}

/* Minutes and 4 GiB for each of them, if they were derived. */
Test(unlock, derives_no_more_than_one_salt_of_the_highest_limits_costs, .timeout = 60)
{
    struct key key;
    struct err err;
    const struct pwhash_limits highest = {PWHASH_MAX_PASSES, PWHASH_MAX_MEMORY};
    key_init(&key, PARTS_ALL);
    cr_assert_eq(unlock_beside(&key, &highest, "wrong horse", &err), ERR_WRONG_KEY, "%s", err.text);
    cr_assert_not_null(strstr(err.text, "of 1 more salts"), "%s", err.text);
    cr_assert_eq(unlock_beside(&key, &highest, "correct horse", &err), ERR_NONE, "%s", err.text);
    key_deinit(&key);
}

/* Not the highest limits, but far above the usual ones: in a section that is not the point's. */
Test(unlock, a_salt_that_was_found_elsewhere_costs_no_more_than_sixteen_usual_ones, .timeout = 60)
{
    struct key key;
    struct err err;
    const struct pwhash_limits long_ = {64, UINT64_C(256) << 20};
    key_init(&key, PARTS_ALL);
    cr_assert_eq(unlock_beside(&key, &long_, "wrong horse", &err), ERR_WRONG_KEY, "%s", err.text);
    cr_assert_not_null(strstr(err.text, "of 1 more salts"), "%s", err.text);
    key_deinit(&key);
}

Test(unlock, a_planted_salt_that_cannot_be_derived_hides_no_wrong_password)
{
    struct key key;
    struct err err;
    const struct pwhash_limits refused = {1, PWHASH_MAX_MEMORY + 1};
    key_init(&key, PARTS_ALL);
    cr_assert_eq(unlock_beside(&key, &refused, "wrong horse", &err), ERR_WRONG_KEY, "%s", err.text);
    key_deinit(&key);
}
