/* A newer unlock section of a key, with a director that stops taking statements at any of them, or hands out
 * another section than was signed. */
#include "common/wire/lent.h"
#include "director/cli/key_subset.h"
#include "tests/unit/base/capture.h"
#include "tests/unit/cli/small_site.h"

#include <criterion/criterion.h>
#include <string.h>

enum { GRANTS = 3, SECTIONS = 32 };

static struct small_site site;
static struct read_half *half;
static struct buf section[2]; /* before, after */
static struct hash hash[2];
static struct key_entry key;

/* What the director has. */
static struct buf grants[GRANTS], handed_out, sections[SECTIONS];
static size_t section_count;
static size_t grant_count;
static unsigned puts_left;

static void take_grant(struct span bytes)
{
    struct err err;
    AUTO(statement) struct statement *new = NULL;
    size_t at = 0;
    cr_assert(statement_decode(bytes, &new, &err), "%s", err.text);
    for (; at < grant_count; at++) {
        AUTO(statement) struct statement *old = NULL;
        cr_assert(statement_decode(buf_span(&grants[at]), &old, &err), "%s", err.text);
        if (!id_eq(&old->id, &new->id)) continue;
        cr_assert_gt(new->version, old->version);
        break;
    }
    if (at == grant_count) grant_count++;
    cr_assert_leq(grant_count, GRANTS);
    buf_clear(&grants[at]);
    buf_put_span(&grants[at], bytes);
}

static void answers(const struct request *request)
{
    const Sealift__Head *head = request->head;
    bool asks = head->kind_case == SEALIFT__HEAD__KIND_GET;
    if (asks && head->get->what == SEALIFT__GET_KIND__GET_UNLOCK)
        small_site_answer_blobs(request, &handed_out, 1);
    else if (asks)
        small_site_answer_blobs(
            request, grants, head->get->type == SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT ? grant_count : 0);
    else if (head->kind_case == SEALIFT__HEAD__KIND_PUT && puts_left == 0)
        answer_fail(request, ERR_FAILED, "no more");
    else {
        if (head->kind_case == SEALIFT__HEAD__KIND_PUT_UNLOCK) {
            cr_assert_lt(section_count, SECTIONS);
            buf_put_span(&sections[section_count++], request->payload);
        }
        if (head->kind_case == SEALIFT__HEAD__KIND_PUT) {
            puts_left--;
            take_grant(request->payload);
        }
        answer_done(request, 0, span_of(NULL, 0));
    }
}

static void make_section(const char *description, struct buf *out)
{
    struct err err = {0};
    AUTO(buf) struct buf keyring = {0};
    Sealift__UnlockSection made = SEALIFT__UNLOCK_SECTION__INIT;
    keyring_seal(half, &keyring);
    made.version = 1;
    made.key_id = lent_bytes(half->key_id.bytes, HASH_LEN);
    made.unlock_pk = lent_bytes(half->unlock_pk, 32);
    made.label = lent_text("main");
    made.description = lent_text(description);
    made.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    made.keyring = stored_bytes(buf_span(&keyring));
    cr_assert(stored_unlock_encode(&made, out, &err), "%s", err.text);
}

static void give(const Sealift__Member *recipient, const char *domain)
{
    struct err err = {0};
    cr_assert(keys_grant(&site.cli, &key, half, recipient, domain, &err), "%s", err.text);
}

/* The read half is anna's and web's, the write half web's. */
static void setup(void)
{
    uint8_t s[KEY_SECRET_LEN] = {1};
    struct err err = {0};
    struct client *client = NULL;
    half = read_half_new(s);
    small_site_init(&site, answers);
    grant_count = section_count = 0;
    puts_left = 100;
    for (int i = 0; i < 2; i++) {
        make_section(i ? "after" : "before", &section[i]);
        hash[i] = hash_of(buf_span(&section[i]));
    }
    key = (struct key_entry){.key_id = half->key_id, .label = "main", .unlock_hash = hash[0]};
    cr_assert(access_director(&site.cli, &client, &err), "%s", err.text);
    cr_assert(state_keep_unlock(site.cli.state, buf_span(&section[0]), &err), "%s", err.text);
    const struct roster *roster = access_roster(&site.cli);
    const Sealift__Member *web = roster_transporter_named(roster, "web");
    give(web, "t:web");
    give(web, NULL);
    give(roster_operator_named(roster, "anna"), NULL);
}

static void teardown(void)
{
    small_site_deinit(&site);
    read_half_free(half);
    for (size_t i = 0; i < GRANTS; i++)
        buf_deinit(&grants[i]);
    buf_deinit(&section[0]);
    buf_deinit(&section[1]);
    buf_deinit(&handed_out);
    for (size_t i = 0; i < SECTIONS; i++)
        buf_deinit(&sections[i]);
}

TestSuite(key_replace, .init = setup, .fini = teardown, .timeout = 60);

/* How many of the director's grants name the newer section; the others name the one before. */
static unsigned grants_of_newer(void)
{
    unsigned count = 0;
    struct err err;
    for (size_t i = 0; i < grant_count; i++) {
        AUTO(statement) struct statement *grant = NULL;
        cr_assert(statement_decode(buf_span(&grants[i]), &grant, &err), "%s", err.text);
        struct hash named = stored_hash(&grant->body.grant->unlock_hash);
        cr_assert(hash_eq(&named, &hash[0]) || hash_eq(&named, &hash[1]));
        count += hash_eq(&named, &hash[1]);
    }
    return count;
}

static const char *newest_description(struct keys *keys)
{
    struct err err = {0};
    const struct key_entry *found = NULL;
    cr_assert(keys_get(&site.cli, keys, &err) && keys_named(keys, "main", &found, &err), "%s", err.text);
    return found->section ? found->description : "none";
}

Test(key_replace, stopped_at_any_grant_the_key_opens_and_the_same_call_completes)
{
    for (unsigned taken = 0; taken < GRANTS; taken++) {
        struct err err = {0};
        AUTO(keys) struct keys between = {0};
        AUTO(keys) struct keys after = {0};
        AUTO(read_half) struct read_half *opened = NULL;
        puts_left = taken;
        cr_assert_not(keys_replace_section(&site.cli, &key, half, buf_span(&section[1]), &err));
        cr_assert_eq(grants_of_newer(), taken);
        /* readers first: one is enough to make it the key's */
        cr_assert_str_eq(newest_description(&between), taken ? "after" : "before");
        cr_assert(keys_open(&site.cli, &between.items[0], &opened, &err), "%s", err.text);
        puts_left = 100;
        err_clear(&err);
        cr_assert(keys_replace_section(&site.cli, &key, half, buf_span(&section[1]), &err), "%s", err.text);
        cr_assert_eq(grants_of_newer(), GRANTS);
        cr_assert_str_eq(newest_description(&after), "after");
        cr_assert_eq(puts_left, 100 - (GRANTS - taken), "what was signed again is left alone");
        /* and back, for the next round */
        cr_assert(keys_replace_section(&site.cli, &key, half, buf_span(&section[0]), &err), "%s", err.text);
        cr_assert_eq(grants_of_newer(), 0);
    }
}

Test(key_replace, grants_that_an_interrupted_call_left_behind_are_settled)
{
    struct err err = {0};
    size_t count = 0;
    AUTO(keys) struct keys keys = {0};
    puts_left = 1;
    cr_assert_not(keys_replace_section(&site.cli, &key, half, buf_span(&section[1]), &err));
    puts_left = 100;
    cr_assert_str_eq(newest_description(&keys), "after");
    cr_assert(keys_settle(&site.cli, &keys.items[0], half, &count, &err), "%s", err.text);
    cr_assert_eq(count, GRANTS - 1);
    cr_assert_eq(grants_of_newer(), GRANTS);
}

Test(key_replace, of_an_own_key_is_refused)
{
    struct err err = {0};
    key.own = true;
    cr_assert_not(keys_replace_section(&site.cli, &key, half, buf_span(&section[1]), &err));
    cr_assert_eq(err.code, ERR_POLICY);
    cr_assert_eq(grants_of_newer(), 0);
}

/* The grants name the newer section, which this machine does not have; the director hands out the one before.
 */
Test(key_replace, a_section_that_the_director_swaps_is_not_taken)
{
    AUTO(keys) struct keys keys = {0};
    AUTO(buf) struct buf said = {0};
    buf_put_span(&handed_out, buf_span(&section[0]));
    key.unlock_hash = hash[1];
    give(roster_operator_named(access_roster(&site.cli), "anna"), NULL);
    site.cli.output.quiet = false;
    struct capture capture = capture_start();
    const char *description = newest_description(&keys);
    const char *words = capture_stop(&capture, &said);
    cr_assert_str_eq(description, "none");
    cr_assert_not_null(strstr(words, "the director hands out another one"), "%s", words);
}

/* --- a writer that is kept to a subset of the protectors --- */

/* The section of the key with these KMS entries, up to NULL, and a further password. */
static void make_protected(char *const *entries, struct buf *out)
{
    struct err err = {0};
    AUTO(stored_unlock) Sealift__UnlockSection *bare = NULL;
    Sealift__KmsWrap wraps[4], *list[4];
    Sealift__PasswordWrap password = SEALIFT__PASSWORD_WRAP__INIT, *passwords[] = {&password};
    Sealift__Kdf kdf = SEALIFT__KDF__INIT;
    uint8_t sealed[72] = {1};
    cr_assert(stored_unlock_decode(buf_span(&section[0]), &bare, &err), "%s", err.text);
    Sealift__UnlockSection made = *bare;
    made.kms = list;
    for (; entries[made.n_kms]; made.n_kms++) {
        Sealift__KmsWrap *wrap = list[made.n_kms] = &wraps[made.n_kms];
        sealift__kms_wrap__init(wrap);
        wrap->entry = entries[made.n_kms];
        wrap->kind = lent_text("file");
        wrap->master_key = lent_text("x");
        wrap->wrapped = lent_bytes(sealed, 1);
    }
    kdf.name = lent_text("argon2id13");
    kdf.salt = lent_bytes(sealed, 16);
    password.kdf = &kdf;
    password.sealed = lent_bytes(sealed, sizeof(sealed));
    password.description = lent_text("safe");
    made.passwords = passwords;
    made.n_passwords = 1;
    buf_clear(out);
    cr_assert(stored_unlock_encode(&made, out, &err), "%s", err.text);
}

/* Makes these the entries of the whole key. */
static void protect_with(char *const *entries)
{
    struct err err = {0};
    AUTO(buf) struct buf whole = {0};
    make_protected(entries, &whole);
    cr_assert(keys_replace_section(&site.cli, &key, half, buf_span(&whole), &err), "%s", err.text);
}

/* The grant in the place of web's write half is kept to these. */
static void keep_writer_to(char **entries, size_t count)
{
    struct err err = {0};
    AUTO(keys) struct keys keys = {0};
    const struct key_subset subset = {.chosen = true, .entries = entries, .count = count};
    const Sealift__Member *web = roster_transporter_named(access_roster(&site.cli), "web");
    cr_assert(keys_get(&site.cli, &keys, &err), "%s", err.text);
    cr_assert(keys_grant_writer(&site.cli, &keys.items[0], half, web, "t:web", &subset, &err), "%s",
              err.text);
}

static struct span put_section(const ProtobufCBinaryData *named)
{
    struct hash wanted = stored_hash(named);
    for (size_t i = 0; i < section_count; i++) {
        struct hash put = hash_of(buf_span(&sections[i]));
        if (hash_eq(&put, &wanted)) return buf_span(&sections[i]);
    }
    cr_assert(false, "a section is put before its grant");
    return span_of(NULL, 0);
}

/* "near vault ; near": what the grant of web's write half lists, and what the section that it names holds. */
static const char *writer_carries(struct buf *out)
{
    struct err err = {0};
    AUTO(statement) struct statement *grant = NULL;
    AUTO(stored_unlock) Sealift__UnlockSection *named = NULL;
    buf_clear(out);
    cr_assert(statement_decode(buf_span(&grants[0]), &grant, &err), "%s", err.text);
    const Sealift__GrantBody *body = grant->body.grant;
    cr_assert_eq(body->half, SEALIFT__HALF__HALF_WRITE);
    cr_assert(body->subset);
    for (size_t i = 0; i < body->n_kms; i++)
        buf_printf(out, "%s ", body->kms[i]);
    cr_assert(stored_unlock_decode(put_section(&body->unlock_hash), &named, &err), "%s", err.text);
    cr_assert_eq(named->n_passwords, 0);
    buf_put_str(out, ";");
    for (size_t i = 0; i < named->n_kms; i++)
        buf_printf(out, " %s", named->kms[i]->entry);
    return buf_cstr(out);
}

static char near[] = "near", vault[] = "vault", later[] = "later";

Test(key_replace, a_writer_kept_to_a_subset_is_not_widened_and_loses_what_the_key_loses)
{
    struct err err = {0};
    AUTO(buf) struct buf said = {0};
    AUTO(keys) struct keys keys = {0};
    protect_with((char *[]){near, vault, NULL});
    keep_writer_to((char *[]){near, vault}, 2);
    cr_assert_str_eq(writer_carries(&said), "near vault ; near vault");
    protect_with((char *[]){near, vault, later, NULL});
    cr_assert(keys_get(&site.cli, &keys, &err), "%s", err.text);
    cr_assert_eq(keys.items[0].section->n_kms, 3, "the key has all");
    cr_assert_eq(keys.items[0].section->n_passwords, 1);
    cr_assert_str_eq(writer_carries(&said) + strlen("near vault "), "; near vault");
    protect_with((char *[]){vault, later, NULL});
    cr_assert_str_eq(writer_carries(&said), "vault ; vault");
    /* what was taken off does not come back by itself */
    protect_with((char *[]){near, vault, later, NULL});
    cr_assert_str_eq(writer_carries(&said), "vault ; vault");
}

Test(key_replace, a_subset_of_which_nothing_is_left_stays_one_and_that_is_said)
{
    AUTO(buf) struct buf said = {0};
    AUTO(buf) struct buf carried = {0};
    protect_with((char *[]){near, vault, NULL});
    keep_writer_to((char *[]){near}, 1);
    site.cli.output.quiet = false;
    struct capture capture = capture_start();
    protect_with((char *[]){vault, NULL});
    const char *words = capture_stop(&capture, &said);
    cr_assert_not_null(strstr(words, "nothing is left of the KMS entries that jobs of 'web' are kept to"),
                       "%s", words);
    cr_assert_str_eq(writer_carries(&carried), ";");
    protect_with((char *[]){near, vault, NULL});
    cr_assert_str_eq(writer_carries(&carried), ";");
}

Test(key_replace, the_section_of_a_subset_is_put_again_by_the_same_call_only_where_it_changed)
{
    protect_with((char *[]){near, vault, NULL});
    keep_writer_to((char *[]){near}, 1);
    puts_left = 100;
    protect_with((char *[]){near, vault, later, NULL});
    cr_assert_eq(puts_left, 98, "two readers; the writer's section is the same");
    protect_with((char *[]){near, vault, later, NULL});
    cr_assert_eq(puts_left, 98);
}

Test(key_replace, a_section_of_a_subset_is_never_taken_for_the_key_s_while_a_whole_one_is_named)
{
    struct err err = {0};
    AUTO(keys) struct keys keys = {0};
    protect_with((char *[]){near, vault, NULL});
    keep_writer_to((char *[]){near}, 1);
    cr_assert(keys_get(&site.cli, &keys, &err), "%s", err.text);
    cr_assert_eq(keys.items[0].section->n_kms, 2);
}
