/* Which key a job gets, with a director that says which key is a source's own. */
#include "director/cli/job_keys.h"

#include "common/wire/lent.h"
#include "tests/unit/cli/small_site.h"

#include <criterion/criterion.h>
#include <string.h>

static struct small_site site;
static struct read_half *half;
static struct buf grant; /* anna's, of the key 'main' */
static struct hash told; /* what the director says that web's own key is */
static unsigned grants_put;

static const struct option_spec options[] = {
    {"encrypt", "WHERE", "help"}, {"key", "KEY", "help"}, {"reencrypt", NULL, "help"}, {0}};

static void answer_status(const struct request *request)
{
    Sealift__OwnKey own = SEALIFT__OWN_KEY__INIT;
    Sealift__TransporterStatus host = SEALIFT__TRANSPORTER_STATUS__INIT;
    Sealift__TransporterStatus *hosts[] = {&host};
    Sealift__StatusAnswer status = SEALIFT__STATUS_ANSWER__INIT;
    AUTO(buf) struct buf payload = {0};
    own.key_id = lent_bytes(told.bytes, HASH_LEN);
    own.domain_id = lent_bytes(told.bytes, HASH_LEN);
    host.sign_pk = lent_bytes(site.web->known.sign_pk, SIGN_PK_LEN);
    host.connected = 1;
    host.own_key = &own;
    status.n_transporters = 1;
    status.transporters = hosts;
    payload_status_encode(&status, &payload);
    answer_done(request, 0, buf_span(&payload));
}

static void answers(const struct request *request)
{
    const Sealift__Head *head = request->head;
    if (head->kind_case == SEALIFT__HEAD__KIND_STATUS_GET)
        answer_status(request);
    else if (head->kind_case == SEALIFT__HEAD__KIND_GET)
        small_site_answer_blobs(request, &grant,
                                head->get->type == SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT && grant.len > 0);
    else {
        if (head->kind_case == SEALIFT__HEAD__KIND_PUT) {
            grants_put++;
            buf_clear(&grant);
            buf_put_span(&grant, request->payload);
        }
        answer_done(request, 0, span_of(NULL, 0));
    }
}

static void make_section(const struct hash *earlier, struct buf *out)
{
    struct err err = {0};
    AUTO(buf) struct buf keyring = {0};
    Sealift__UnlockSection section = SEALIFT__UNLOCK_SECTION__INIT;
    ProtobufCBinaryData claims[1];
    keyring_seal(half, &keyring);
    section.version = 1;
    section.key_id = lent_bytes(half->key_id.bytes, HASH_LEN);
    section.unlock_pk = lent_bytes(half->unlock_pk, 32);
    section.label = lent_text("main");
    section.description = lent_text("a test");
    section.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    section.keyring = stored_bytes(buf_span(&keyring));
    if (earlier) {
        claims[0] = lent_bytes(earlier->bytes, HASH_LEN);
        section.earlier = claims;
        section.n_earlier = 1;
    }
    cr_assert(stored_unlock_encode(&section, out, &err), "%s", err.text);
}

/* As whoever makes the section known: the operator's own read grant of it. */
static bool grant_key(const struct hash *earlier, struct err *err)
{
    AUTO(key_entry) struct key_entry key = {.key_id = half->key_id, .label = "main"};
    make_section(earlier, &key.section_bytes);
    key.unlock_hash = hash_of(buf_span(&key.section_bytes));
    cr_assert(stored_unlock_decode(buf_span(&key.section_bytes), &key.section, err), "%s", err->text);
    cr_assert(state_keep_unlock(site.cli.state, buf_span(&key.section_bytes), err), "%s", err->text);
    return keys_grant(&site.cli, &key, half, roster_operator_named(access_roster(&site.cli), "anna"), NULL,
                      err);
}

static void setup(void)
{
    uint8_t s[KEY_SECRET_LEN] = {1};
    struct err err = {0};
    struct client *client = NULL;
    half = read_half_new(s);
    small_site_init(&site, answers);
    grants_put = 0;
    cr_assert(access_director(&site.cli, &client, &err), "%s", err.text);
}

static void teardown(void)
{
    small_site_deinit(&site);
    read_half_free(half);
    buf_deinit(&grant);
}

TestSuite(job_keys, .init = setup, .fini = teardown, .timeout = 60);

static bool place(struct job_keys *keys, Sealift__JobBody *body, struct err *err)
{
    char words[][16] = {"create", "--encrypt", "source"};
    char *argv[] = {words[0], words[1], words[2], NULL};
    AUTO(args) struct args *args = NULL;
    cr_assert(args_parse(3, argv, ARGS_ALL, options, NULL, &args, err), "%s", err->text);
    const Sealift__Member *web = roster_transporter_named(access_roster(&site.cli), "web");
    return job_keys_placement(&site.cli, args, web, body, keys, err);
}

/* Nobody typed --key: a director that could choose one here would choose one that leaked, and was rotated
 * for that. */
Test(job_keys, a_director_cannot_pass_another_key_for_the_sources_own)
{
    struct err err = {0};
    struct job_keys keys = {.entry = NULL};
    Sealift__JobBody body = SEALIFT__JOB_BODY__INIT;
    cr_assert(grant_key(NULL, &err), "%s", err.text);
    told = half->key_id;
    cr_assert_not(place(&keys, &body, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%d: %s", err.code, err.text);
    cr_assert_eq(grants_put, 1, "no write half of it is granted");
    job_keys_deinit(&keys);
}

Test(job_keys, the_own_key_that_was_registered_for_the_source_is_taken)
{
    struct err err = {0};
    struct job_keys keys = {.entry = NULL};
    Sealift__JobBody body = SEALIFT__JOB_BODY__INIT;
    struct state_own_key own = {.key_id = {{5}}, .domain = {{6}}, .label = "webs"};
    told = own.key_id;
    memcpy(own.source, site.vault->known.sign_pk, SIGN_PK_LEN);
    cr_assert(state_keep_own_key(site.cli.state, &own, &err), "%s", err.text);
    cr_assert_not(place(&keys, &body, &err), "of another source");
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%d: %s", err.code, err.text);
    job_keys_deinit(&keys);
    keys = (struct job_keys){.entry = NULL};
    own.key_id = told = (struct hash){{7}};
    (void)snprintf(own.label, sizeof(own.label), "web");
    memcpy(own.source, site.web->known.sign_pk, SIGN_PK_LEN);
    cr_assert(state_keep_own_key(site.cli.state, &own, &err), "%s", err.text);
    cr_assert(place(&keys, &body, &err), "%s", err.text);
    cr_assert_eq(memcmp(body.key_id.data, told.bytes, HASH_LEN), 0);
    job_keys_deinit(&keys);
}

/* A section that comes with a recovery kit or a point says of itself what it is the next generation of. */
Test(job_keys, no_grant_is_made_of_a_key_that_claims_to_come_after_one_that_it_does_not_hold)
{
    struct err err = {0};
    const struct hash other = {{9}};
    cr_assert_not(grant_key(&other, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%d: %s", err.code, err.text);
    cr_assert_eq(grants_put, 0);
}

Test(job_keys, a_true_later_generation_is_granted)
{
    struct err err = {0};
    const uint8_t s[KEY_SECRET_LEN] = {2};
    struct read_half *next = NULL;
    struct hash before = half->key_id;
    cr_assert(read_half_rotate(half, s, ROTATE_KEEP_DEDUP, &next, &err), "%s", err.text);
    read_half_free(half);
    half = next;
    cr_assert(grant_key(&before, &err), "%s", err.text);
    cr_assert_eq(grants_put, 1);
}
