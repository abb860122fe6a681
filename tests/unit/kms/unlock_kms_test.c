#include "common/base/file.h"
#include "common/wire/lent.h"
#include "tests/unit/base/scratch.h"
#include "transporter/kms/unlock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

/* Step 2 of the unlock order against protectors that do as they are told. */

enum answer { OPENS, LIES, IS_AWAY, REFUSES };

struct entry_script {
    const char *name;
    enum answer answer;
};

/* One key of random origin, the wraps of its section, and who answers what. */
static struct {
    struct scratch scratch;
    struct kms_set *set;
    struct read_half *half;
    const struct entry_script *entries;
    char asked[256]; /* "entry<wrap entry<wrap" */
    char told[256];  /* "step:name=code" of each result */
    unsigned going_on;
} rig;

static void read_entries(void)
{
    static const char text[] = "kms = ( { name = \"a\"; uri = \"file:///a\"; },\n"
                               "        { name = \"b\"; uri = \"file:///b\"; },\n"
                               "        { name = \"k\"; uri = \"kmip://h/1?cert=/c&key=/k&ca=/r\"; } );\n";
    struct err err = {0};
    char path[512];
    rig.scratch = scratch_make();
    (void)snprintf(path, sizeof(path), "%s/kms", rig.scratch.path);
    cr_assert(file_replace(AT_FDCWD, path, span_str(text), 0600, &err), "%s", err.text);
    cr_assert(kms_set_load(path, &rig.set, &err), "%s", err.text);
}

static void setup(void)
{
    uint8_t s[KEY_SECRET_LEN] = {7};
    memset(&rig, 0, sizeof(rig));
    read_entries();
    rig.half = read_half_new(s);
    rig.going_on = 1000;
}

static void teardown(void)
{
    read_half_free(rig.half);
    kms_set_free(rig.set);
    scratch_remove(&rig.scratch);
}

TestSuite(unlock_kms, .init = setup, .fini = teardown);

static void add(char *list, size_t size, const char *a, char between, const char *b)
{
    size_t len = strlen(list);
    (void)snprintf(list + len, size - len, "%s%c%s ", a, between, b);
}

static bool scripted_unwrap(const struct kms_entry *entry, struct span wrap, const struct hash *key_id,
                            struct secret **s, struct err *err)
{
    char name[16] = "";
    memcpy(name, wrap.data, wrap.len < sizeof(name) ? wrap.len : sizeof(name) - 1);
    add(rig.asked, sizeof(rig.asked), entry->name, '<', name);
    cr_assert(hash_eq(key_id, &rig.half->key_id));
    const struct entry_script *script = rig.entries;
    while (strcmp(script->name, entry->name) != 0)
        script++;
    switch (script->answer) {
    case OPENS:
        *s = secret_copy(rig.half->s->data, KEY_SECRET_LEN);
        return true;
    case LIES:
        *s = secret_new(KEY_SECRET_LEN);
        return true;
    case IS_AWAY:
        return err_set(err, ERR_UNREACHABLE, "it is away");
    default:
        return err_set(err, ERR_POLICY, "it refuses");
    }
}

static void note(void *arg, const struct unlock_result *result)
{
    char code[16];
    (void)arg;
    if (result->step != UNLOCK_KMS) return;
    (void)snprintf(code, sizeof(code), "%d", result->why ? (int)result->why->code : 0);
    add(rig.told, sizeof(rig.told), result->name ? result->name : "-", '=', code);
}

static bool going_on(void *arg, struct err *err)
{
    (void)arg;
    if (rig.going_on-- > 0) return true;
    return err_set(err, ERR_CANCELLED, "cancelled: by a test");
}

static Sealift__KmsWrap *wrap_of(Sealift__KmsWrap *wrap, const char *entry, const char *kind,
                                 const char *bytes)
{
    sealift__kms_wrap__init(wrap);
    wrap->entry = lent_text(entry);
    wrap->kind = lent_text(kind);
    wrap->wrapped = lent_bytes(bytes, strlen(bytes));
    return wrap;
}

static void section_of(Sealift__KmsWrap **wraps, size_t count, struct buf *out)
{
    struct err err = {0};
    AUTO(buf) struct buf keyring = {0};
    Sealift__UnlockSection section = SEALIFT__UNLOCK_SECTION__INIT;
    keyring_seal(rig.half, &keyring);
    section.version = 1;
    section.key_id = lent_bytes(rig.half->key_id.bytes, HASH_LEN);
    section.unlock_pk = lent_bytes(rig.half->unlock_pk, 32);
    section.label = lent_text("main");
    section.description = lent_text("a test");
    section.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    section.keyring = stored_bytes(buf_span(&keyring));
    section.n_kms = count;
    section.kms = wraps;
    cr_assert(stored_unlock_encode(&section, out, &err), "%s", err.text);
}

static struct unlock_sources sources(const struct entry_script *entries)
{
    rig.entries = entries;
    return (struct unlock_sources){
        .kms = rig.set, .unwrap = scripted_unwrap, .going_on = going_on, .report = note};
}

/* By a wrap of a and one of b, in this order. */
static enum err_code unlock(const struct entry_script *entries, struct err *err)
{
    Sealift__KmsWrap wraps[2];
    Sealift__KmsWrap *list[] = {wrap_of(&wraps[0], "a", "file", "wa"), wrap_of(&wraps[1], "b", "file", "wb")};
    const struct unlock_sources from = sources(entries);
    AUTO(buf) struct buf section = {0};
    AUTO(read_half) struct read_half *half = NULL;
    section_of(list, 2, &section);
    *err = (struct err){0};
    if (!unlock_section(buf_span(&section), NULL, &from, &half, err)) return err->code;
    cr_assert(hash_eq(&half->key_id, &rig.half->key_id));
    return ERR_NONE;
}

Test(unlock_kms, the_first_that_opens_ends_it)
{
    struct err err;
    static const struct entry_script all[] = {{"a", OPENS}, {"b", OPENS}};
    cr_assert_eq(unlock(all, &err), ERR_NONE, "%s", err.text);
    cr_assert_str_eq(rig.asked, "a<wa ");
    cr_assert_str_eq(rig.told, "a=0 ");
}

Test(unlock_kms, each_wrap_goes_to_the_entry_of_its_name_before_it_goes_to_others_of_its_kind)
{
    struct err err;
    static const struct entry_script none[] = {{"a", IS_AWAY}, {"b", REFUSES}};
    cr_assert_eq(unlock(none, &err), ERR_NO_KEY);
    cr_assert_str_eq(rig.asked, "a<wa b<wb b<wa a<wb ");
    cr_assert_str_eq(rig.told, "a=7 b=5 b=5 a=7 ");
    cr_assert_not_null(strstr(err.text, "KMS 'a': it is away"), "%s", err.text);
    cr_assert_not_null(strstr(err.text, "KMS 'b': it refuses"), "%s", err.text);
}

Test(unlock_kms, one_that_lies_is_told_and_passed_over)
{
    struct err err;
    static const struct entry_script liar[] = {{"a", LIES}, {"b", OPENS}};
    cr_assert_eq(unlock(liar, &err), ERR_NONE, "%s", err.text);
    cr_assert_str_eq(rig.told, "a=26 b=0 ");
    static const struct entry_script liars[] = {{"a", LIES}, {"b", LIES}};
    cr_assert_eq(unlock(liars, &err), ERR_NO_KEY, "a lie is no wrong key of the user's");
}

Test(unlock_kms, a_renamed_entry_of_the_kind_is_asked_too)
{
    struct err err = {0};
    Sealift__KmsWrap wrap;
    Sealift__KmsWrap *list[] = {wrap_of(&wrap, "gone", "file", "wg")};
    static const struct entry_script second[] = {{"a", REFUSES}, {"b", OPENS}};
    const struct unlock_sources from = sources(second);
    AUTO(buf) struct buf section = {0};
    AUTO(read_half) struct read_half *half = NULL;
    section_of(list, 1, &section);
    cr_assert(unlock_section(buf_span(&section), NULL, &from, &half, &err), "%s", err.text);
    cr_assert_str_eq(rig.asked, "a<wg b<wg ");
}

Test(unlock_kms, a_wrap_that_no_entry_fits_is_named_and_goes_nowhere)
{
    struct err err = {0};
    Sealift__KmsWrap wrap;
    Sealift__KmsWrap *list[] = {wrap_of(&wrap, "eu", "aws", "we")};
    static const struct entry_script nobody[] = {{"a", OPENS}};
    const struct unlock_sources from = sources(nobody);
    AUTO(buf) struct buf section = {0};
    AUTO(read_half) struct read_half *half = NULL;
    section_of(list, 1, &section);
    cr_assert_not(unlock_section(buf_span(&section), NULL, &from, &half, &err));
    cr_assert_eq(err.code, ERR_NO_KEY);
    cr_assert_str_eq(rig.asked, "");
    cr_assert_not_null(strstr(err.text, "no entry here fits the wrap by 'eu' (aws)"), "%s", err.text);
}

Test(unlock_kms, wraps_from_elsewhere_come_after_the_points_own_and_each_once)
{
    struct err err = {0};
    Sealift__KmsWrap wraps[3];
    Sealift__KmsWrap *own[] = {wrap_of(&wraps[0], "a", "file", "wa")};
    Sealift__KmsWrap *more_wraps[] = {wrap_of(&wraps[1], "a", "file", "wa"),
                                      wrap_of(&wraps[2], "k", "kmip", "wk")};
    const struct unlock_more more = {.wraps = more_wraps, .wrap_count = 2};
    static const struct entry_script last[] = {{"a", IS_AWAY}, {"b", IS_AWAY}, {"k", OPENS}};
    const struct unlock_sources from = sources(last);
    AUTO(buf) struct buf section = {0};
    AUTO(read_half) struct read_half *half = NULL;
    section_of(own, 1, &section);
    cr_assert(unlock_section(buf_span(&section), &more, &from, &half, &err), "%s", err.text);
    cr_assert_str_eq(rig.asked, "a<wa k<wk ");
}

Test(unlock_kms, sections_of_another_key_are_passed_over)
{
    struct err err = {0};
    uint8_t s[KEY_SECRET_LEN] = {8};
    Sealift__KmsWrap wrap;
    Sealift__KmsWrap *list[] = {wrap_of(&wrap, "a", "file", "wa")};
    Sealift__UnlockSection other = SEALIFT__UNLOCK_SECTION__INIT;
    AUTO(read_half) struct read_half *stranger = read_half_new(s), *half = NULL;
    other.key_id = lent_bytes(stranger->key_id.bytes, HASH_LEN);
    other.n_kms = 1;
    other.kms = list;
    const Sealift__UnlockSection *sections[] = {&other};
    const struct unlock_more more = {.sections = sections, .section_count = 1};
    static const struct entry_script all[] = {{"a", OPENS}};
    const struct unlock_sources from = sources(all);
    AUTO(buf) struct buf section = {0};
    section_of(NULL, 0, &section);
    cr_assert_not(unlock_section(buf_span(&section), &more, &from, &half, &err));
    cr_assert_str_eq(rig.asked, "");
}

Test(unlock_kms, ends_at_once_when_the_run_is_cancelled)
{
    struct err err;
    static const struct entry_script none[] = {{"a", IS_AWAY}, {"b", IS_AWAY}};
    rig.going_on = 1;
    cr_assert_eq(unlock(none, &err), ERR_CANCELLED, "%s", err.text);
    cr_assert_str_eq(rig.asked, "a<wa ");
}

Test(unlock_kms, explaining_asks_everybody_though_the_first_opens)
{
    struct err err = {0};
    Sealift__KmsWrap wraps[2];
    Sealift__KmsWrap *list[] = {wrap_of(&wraps[0], "a", "file", "wa"), wrap_of(&wraps[1], "k", "kmip", "wk")};
    static const struct entry_script script[] = {{"a", OPENS}, {"b", REFUSES}, {"k", IS_AWAY}};
    const struct unlock_sources from = sources(script);
    AUTO(buf) struct buf section = {0};
    section_of(list, 2, &section);
    cr_assert(unlock_explain(buf_span(&section), NULL, &from, &err), "%s", err.text);
    cr_assert_str_eq(rig.told, "a=0 k=7 b=5 ");
}

Test(unlock_kms, no_more_is_asked_than_a_hostile_section_is_worth)
{
    struct err err = {0};
    enum { MANY = 300 };
    Sealift__KmsWrap wraps[MANY];
    Sealift__KmsWrap *list[MANY];
    char bytes[MANY][16];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(bytes[i], sizeof(bytes[i]), "w%d", i);
        list[i] = wrap_of(&wraps[i], "a", "file", bytes[i]);
    }
    const struct unlock_more more = {.wraps = list, .wrap_count = MANY};
    static const struct entry_script none[] = {{"a", REFUSES}, {"b", REFUSES}};
    const struct unlock_sources from = sources(none);
    AUTO(buf) struct buf section = {0};
    AUTO(read_half) struct read_half *half = NULL;
    section_of(NULL, 0, &section);
    cr_assert_not(unlock_section(buf_span(&section), &more, &from, &half, &err));
    cr_assert_eq(1000 - rig.going_on, UNLOCK_ASKED_MOST);
}

Test(unlock_kms, an_entry_that_is_away_is_not_waited_for_with_every_wrap)
{
    static const struct entry_script script[] = {{"a", IS_AWAY}, {"b", REFUSES}, {"k", REFUSES}};
    static const char *const bytes[] = {"1", "2", "3", "4"};
    Sealift__KmsWrap wraps[4], *list[4];
    AUTO(buf) struct buf section = {0};
    AUTO(read_half) struct read_half *half = NULL;
    struct err err = {0};
    for (size_t i = 0; i < 4; i++)
        list[i] = wrap_of(&wraps[i], "a", "file", bytes[i]);
    section_of(list, 4, &section);
    const struct unlock_sources from = sources(script);
    cr_assert_not(unlock_section(buf_span(&section), NULL, &from, &half, &err));
    cr_assert_str_eq(rig.asked, "a<1 a<2 b<1 b<2 b<3 b<4 ");
}
