/* Orders to wrap a key: whom they make wrap what, and what a director cannot make of them. */
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/wire/grant.h"
#include "common/wire/stored.h"
#include "hosts.h"
#include "transporter/kms/kms_set.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

static struct hosts *hosts;
static struct kms_set *kms;
static uint8_t s[KEY_SECRET_LEN] = {1, 2, 3};
static struct hash key_id;

static void write_file(const char *name, struct span bytes)
{
    struct err err;
    AUTO(free) char *path = xasprintf("%s/%s", hosts->dir, name);
    cr_assert(file_create(AT_FDCWD, path, bytes, 0600, &err), "%s", err.text);
}

static void setup(void)
{
    static const uint8_t wrapping[32] = {7};
    uint8_t unlock_pk[32];
    struct err err;
    hosts = hosts_new();
    write_file("wrapping", span_of(wrapping, sizeof(wrapping)));
    AUTO(free)
    char *text = xasprintf("kms = ( { name = \"here\"; uri = \"file://%s/wrapping\"; } );\n", hosts->dir);
    write_file("kms", span_str(text));
    AUTO(free) char *path = xasprintf("%s/kms", hosts->dir);
    cr_assert(kms_set_load(path, &kms, &err), "%s", err.text);
    hosts->web.kms = kms;
    key_identity(s, unlock_pk, &key_id);
}

static void teardown(void)
{
    hosts_free(hosts);
    kms_set_free(kms);
}

TestSuite(wrap_run, .init = setup, .fini = teardown, .timeout = 60);

static struct wrap_draft draft_of(uint8_t number)
{
    return (struct wrap_draft){.id = {{number}},
                               .target = hosts->web.self,
                               .sealed_to = hosts->web.self,
                               .key_id = &key_id,
                               .secret = s,
                               .entry = "here"};
}

/* What a run of the order at this host comes to. */
static void carry_out(const struct wrap_draft *draft, struct host *host, enum err_code code,
                      struct trip *trip)
{
    const struct assignment assignment = {
        .subject = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER, .id = draft->id, .source = host, .target = host};
    trip_run(hosts, &assignment, trip);
    cr_assert_eq(trip_end(trip)->code, (uint32_t)code, "%u: %s", trip_end(trip)->code, trip_end(trip)->text);
}

static struct secret *opened(const struct wrap_draft *draft, struct span sealed)
{
    struct err err;
    struct secret *bytes = NULL;
    AUTO(buf) struct buf context = {0};
    uint8_t extra[9] = {1, 0, 0, 0, 0, 0, 0, 0, 1};
    statement_box_context("answer", &hosts->site.id, &draft->id, span_of(extra, sizeof(extra)), &context);
    cr_assert(box_open(hosts->site.admin->box, buf_span(&context), sealed, &bytes, &err), "%s", err.text);
    cr_assert_gt(bytes->len, WRAP_PROOF_LEN);
    return bytes;
}

Test(wrap_run, answers_with_a_wrap_that_opens_and_proves_where_it_comes_from)
{
    const struct wrap_draft draft = draft_of(1);
    struct err err;
    uint8_t proof[WRAP_PROOF_LEN];
    struct id other = {{9}};
    AUTO(trip) struct trip trip = {.relay = NULL};
    AUTO(statement) struct statement *order = site_wrap(&hosts->site, &draft);
    host_tell(&hosts->web, order);
    carry_out(&draft, &hosts->web, ERR_NONE, &trip);
    AUTO(secret) struct secret *bytes = opened(&draft, buf_span(&trip_end(&trip)->answer));
    AUTO(secret) struct secret *secret = secret_copy(s, sizeof(s));
    struct span wrap = span_of(bytes->data + WRAP_PROOF_LEN, bytes->len - WRAP_PROOF_LEN);
    order_wrap_proof(secret, &draft.id, wrap, proof);
    cr_assert_eq(memcmp(proof, bytes->data, WRAP_PROOF_LEN), 0);
    order_wrap_proof(secret, &other, wrap, proof);
    cr_assert_neq(memcmp(proof, bytes->data, WRAP_PROOF_LEN), 0, "of another order it proves nothing");
    AUTO(stored_kms) Sealift__KmsWrap *decoded = NULL;
    AUTO(secret) struct secret *back = NULL;
    cr_assert(stored_kms_decode(wrap, &decoded, &err), "%s", err.text);
    cr_assert_str_eq(decoded->entry, "here");
    cr_assert_str_eq(decoded->kind, "file");
    cr_assert_eq(strlen(decoded->master_key), 32);
    cr_assert(kms_unwrap(kms_set_find(kms, "here"), stored_span(&decoded->wrapped), &key_id, &back, &err),
              "%s", err.text);
    cr_assert_eq(memcmp(back->data, s, sizeof(s)), 0);
}

Test(wrap_run, is_carried_out_at_most_once)
{
    const struct wrap_draft draft = draft_of(1);
    AUTO(trip) struct trip first = {.relay = NULL};
    AUTO(trip) struct trip again = {.relay = NULL};
    AUTO(statement) struct statement *order = site_wrap(&hosts->site, &draft);
    host_tell(&hosts->web, order);
    carry_out(&draft, &hosts->web, ERR_NONE, &first);
    carry_out(&draft, &hosts->web, ERR_EXISTS, &again);
    cr_assert_eq(trip_end(&again)->answer.len, 0);
}

/* The order is for one host; a director hands it to another, whose box key S is not sealed to. */
Test(wrap_run, at_another_host_than_the_order_names_is_refused)
{
    const struct wrap_draft draft = draft_of(1);
    AUTO(trip) struct trip trip = {.relay = NULL};
    AUTO(statement) struct statement *order = site_wrap(&hosts->site, &draft);
    host_tell(&hosts->vault, order);
    hosts->vault.kms = kms;
    carry_out(&draft, &hosts->vault, ERR_POLICY, &trip);
}

Test(wrap_run, outside_the_trusted_zone_is_refused)
{
    struct wrap_draft draft = draft_of(1);
    draft.target = draft.sealed_to = hosts->vault.self;
    AUTO(trip) struct trip trip = {.relay = NULL};
    AUTO(statement) struct statement *order = site_wrap(&hosts->site, &draft);
    hosts_next_roster(hosts, (struct roster_draft){.target_zone = SEALIFT__ZONE__ZONE_UNTRUSTED});
    host_tell(&hosts->vault, order);
    hosts->vault.kms = kms;
    carry_out(&draft, &hosts->vault, ERR_POLICY, &trip);
    cr_assert_eq(trip_end(&trip)->answer.len, 0);
}

Test(wrap_run, of_a_secret_that_is_not_ours_or_not_of_the_key_is_refused)
{
    static const uint8_t another[KEY_SECRET_LEN] = {99};
    struct wrap_draft sealed_elsewhere = draft_of(1), wrong = draft_of(2), nowhere = draft_of(3);
    sealed_elsewhere.sealed_to = hosts->vault.self;
    wrong.secret = another;
    nowhere.entry = "nowhere";
    AUTO(statement) struct statement *one = site_wrap(&hosts->site, &sealed_elsewhere);
    AUTO(statement) struct statement *two = site_wrap(&hosts->site, &wrong);
    AUTO(statement) struct statement *three = site_wrap(&hosts->site, &nowhere);
    host_tell(&hosts->web, one);
    host_tell(&hosts->web, two);
    host_tell(&hosts->web, three);
    AUTO(trip) struct trip first = {.relay = NULL};
    AUTO(trip) struct trip second = {.relay = NULL};
    AUTO(trip) struct trip third = {.relay = NULL};
    carry_out(&sealed_elsewhere, &hosts->web, ERR_WRONG_KEY, &first);
    carry_out(&wrong, &hosts->web, ERR_WRONG_KEY, &second);
    carry_out(&nowhere, &hosts->web, ERR_NOT_FOUND, &third);
}
