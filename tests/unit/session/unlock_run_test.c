#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/wire/grant.h"
#include "common/wire/lent.h"
#include "errand.h"
#include "transporter/kms/kms_set.h"
#include "transporter/session/own_key.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

/* web seals with its own key; vault, where the point lies, has no key, and an entry of a KMS. */
static struct hosts *hosts;
static struct errand errand;
static struct read_half *own;
static struct write_half *half;
static struct kms_set *kms;
static char *wrapping_key;
static struct buf wrapped;

static void put(const char *path, struct span bytes)
{
    struct err err = {0};
    cr_assert(file_replace(AT_FDCWD, path, bytes, 0600, &err), "%s", err.text);
}

static void put_wrapping_key(uint8_t first)
{
    uint8_t bytes[32] = {first};
    put(wrapping_key, span_of(bytes, sizeof(bytes)));
}

static void make_kms(void)
{
    struct err err = {0};
    wrapping_key = xasprintf("%s/wrapping.key", hosts->dir);
    AUTO(free) char *list = xasprintf("%s/kms.conf", hosts->dir);
    AUTO(free) char *text = xasprintf("kms = ( { name = \"near\"; uri = \"file://%s\"; } );\n", wrapping_key);
    put_wrapping_key(5);
    put(list, span_str(text));
    cr_assert(kms_set_load(list, &kms, &err), "%s", err.text);
    cr_assert(kms_wrap(kms_set_at(kms, 0), own->s->data, &own->key_id, &wrapped, &err), "%s", err.text);
    hosts->vault.kms = kms;
}

static void setup(void)
{
    struct err err = {0};
    uint8_t s[KEY_SECRET_LEN] = {1};
    hosts = hosts_new();
    hosts->web.own_key_file = xasprintf("%s/own.key", hosts->dir);
    put(hosts->web.own_key_file, span_of(s, sizeof(s)));
    cr_assert(own_key_load(hosts->web.own_key_file, &own, &err), "%s", err.text);
    half = write_half_of(own, "t:web");
    make_kms();
    errand_init(&errand, &hosts->web, &hosts->vault, half, hosts);
    errand_make_point(&errand);
}

static void teardown(void)
{
    buf_deinit(&wrapped);
    free(wrapping_key);
    write_half_free(half);
    read_half_free(own);
    errand_deinit(&errand);
    hosts_free(hosts);
    kms_set_free(kms);
}

TestSuite(unlock_run, .init = setup, .fini = teardown, .timeout = 60);

/* An order to vault that carries a wrap, and maybe some S. */
static void order(uint8_t number, const uint8_t *secret)
{
    Sealift__KmsWrap wrap = SEALIFT__KMS_WRAP__INIT;
    Sealift__KmsWrap *list[] = {&wrap};
    AUTO(free) char *destination = errand_destination(&errand, number);
    wrap.entry = lent_text("near");
    wrap.kind = lent_text("file");
    wrap.wrapped = stored_bytes(buf_span(&wrapped));
    hosts_tell(hosts, site_restore(&hosts->site, &(struct restore_draft){.id = {{number}},
                                                                         .repository = {{4}},
                                                                         .point = errand.point,
                                                                         .point_hash = errand.point_hash,
                                                                         .target = hosts->vault.self,
                                                                         .key_id = &errand.key_id,
                                                                         .secret = secret,
                                                                         .destination = destination,
                                                                         .kms = list,
                                                                         .kms_count = 1}));
}

static void restore(uint8_t number, enum err_code code, struct trip *trip)
{
    const struct assignment assignment = errand_recovery(&errand, number, &hosts->vault);
    trip_run(hosts, &assignment, trip);
    cr_assert_eq(trip_end(trip)->code, (uint32_t)code, "%u: %s", trip_end(trip)->code, trip_end(trip)->text);
    if (code == ERR_NONE) errand_assert_restored(&errand, number);
}

static Sealift__Warnings *warnings_of(const struct trip *trip)
{
    struct err err = {0};
    Sealift__Warnings *warnings = NULL;
    cr_assert(payload_warnings_decode(buf_span(&trip_end(trip)->warnings), &warnings, &err), "%s", err.text);
    return warnings;
}

static bool comes_back_for(const Sealift__Warnings *warnings, uint8_t number, struct secret **s)
{
    struct err err;
    const struct id order_id = {{number}};
    AUTO(buf) struct buf context = {0};
    order_key_back_context(&hosts->site.id, &order_id, &errand.key_id, &context);
    return box_open(hosts->site.admin->box, buf_span(&context), stored_span(&warnings->keys_back[0]->sealed),
                    s, &err);
}

Test(unlock_run, a_kms_of_the_opener_gives_the_key_and_it_comes_back_for_this_order_alone)
{
    AUTO(trip) struct trip trip = {.relay = NULL};
    AUTO(secret) struct secret *s = NULL;
    order(1, NULL);
    restore(1, ERR_NONE, &trip);
    AUTO(payload_warnings) Sealift__Warnings *warnings = warnings_of(&trip);
    cr_assert_eq(warnings->n_keys_back, 1);
    cr_assert_eq(
        memcmp(warnings->keys_back[0]->recipient.data, hosts->site.admin->known.sign_pk, SIGN_PK_LEN), 0);
    cr_assert_not(comes_back_for(warnings, 2, &s));
    cr_assert(comes_back_for(warnings, 1, &s));
    cr_assert_eq(s->len, KEY_SECRET_LEN);
    cr_assert_eq(memcmp(s->data, own->s->data, KEY_SECRET_LEN), 0);
}

Test(unlock_run, a_wrong_secret_in_the_order_goes_on_to_the_kms)
{
    AUTO(trip) struct trip trip = {.relay = NULL};
    uint8_t wrong[KEY_SECRET_LEN] = {9};
    order(1, wrong);
    restore(1, ERR_NONE, &trip);
}

Test(unlock_run, a_right_secret_in_the_order_asks_no_kms)
{
    AUTO(trip) struct trip trip = {.relay = NULL};
    order(1, own->s->data);
    put_wrapping_key(6);
    restore(1, ERR_NONE, &trip);
    AUTO(payload_warnings) Sealift__Warnings *warnings = NULL;
    if (trip_end(&trip)->warnings.len) warnings = warnings_of(&trip);
    cr_assert(!warnings || (warnings->n_keys_back == 0 && warnings->n_copies == 0),
              "nothing is worth telling");
}

Test(unlock_run, without_an_entry_that_opens_says_what_was_tried)
{
    AUTO(trip) struct trip changed = {.relay = NULL};
    AUTO(trip) struct trip gone = {.relay = NULL};
    put_wrapping_key(6);
    order(1, NULL);
    restore(1, ERR_NO_KEY, &changed);
    cr_assert(leg_explains(hosts, trip_end(&changed), "the wrap was made by the wrapping key"));
    AUTO(payload_warnings) Sealift__Warnings *warnings = warnings_of(&changed);
    cr_assert_eq(warnings->n_keys_back, 0);
    hosts->vault.kms = NULL;
    order(2, NULL);
    restore(2, ERR_NO_KEY, &gone);
    cr_assert(leg_explains(hosts, trip_end(&gone), "no entry here fits the wrap by 'near' (file)"));
}
