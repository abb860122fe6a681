/* A newer unlock section of a key, with a director that stops taking statements at any of them, or hands out
 * another section than was signed. */
#include "common/wire/lent.h"
#include "director/cli/keys.h"
#include "tests/unit/base/capture.h"
#include "tests/unit/cli/small_site.h"

#include <criterion/criterion.h>
#include <string.h>

enum { GRANTS = 3 };

static struct small_site site;
static struct read_half *half;
static struct buf section[2]; /* before, after */
static struct hash hash[2];
static struct key_entry key;

/* What the director has. */
static struct buf grants[GRANTS], handed_out;
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
    grant_count = 0;
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
