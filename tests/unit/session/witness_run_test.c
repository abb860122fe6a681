/* Orders to witness: a host says which grants it has, and which own key, in a way that no director makes up.
 */
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/wire/stored.h"
#include "common/wire/witness.h"
#include "hosts.h"
#include "transporter/session/own_key.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

static struct hosts *hosts;
static const struct id order_id = {{7}};

static void setup(void)
{
    hosts = hosts_new();
}

static void teardown(void)
{
    hosts_free(hosts);
}

TestSuite(witness_run, .init = setup, .fini = teardown, .timeout = 60);

static void ask(struct host *host, const struct identity *named, enum err_code code, struct trip *trip)
{
    AUTO(statement) struct statement *order = site_witness(&hosts->site, &order_id, named);
    const struct assignment assignment = {
        .subject = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER, .id = order_id, .source = host, .target = host};
    host_tell(host, order);
    trip_run(hosts, &assignment, trip);
    cr_assert_eq(trip_end(trip)->code, (uint32_t)code, "%u: %s", trip_end(trip)->code, trip_end(trip)->text);
}

/* What web says, whose signature and place are checked. */
static Sealift__Witness *answer_of(struct trip *trip)
{
    struct err err = {0};
    AUTO(secret) struct secret *plain = NULL;
    AUTO(buf) struct buf context = {0};
    const struct witness_place place = {.order = order_id, .number = 1, .last = true}; /* the only answer */
    uint8_t extra[9] = {1, 0, 0, 0, 0, 0, 0, 0, 1};
    Sealift__Witness *witness = NULL;
    statement_box_context("answer", &hosts->site.id, &order_id, span_of(extra, sizeof(extra)), &context);
    cr_assert(
        box_open(hosts->site.admin->box, buf_span(&context), buf_span(&trip_end(trip)->answer), &plain, &err),
        "%s", err.text);
    cr_assert(witness_open(span_of(plain->data, plain->len), hosts->web.self->known.sign_pk, &place, &witness,
                           &err),
              "%s", err.text);
    return witness;
}

Test(witness_run, says_which_grants_the_host_has_byte_for_byte)
{
    static const uint8_t s[KEY_SECRET_LEN] = {1};
    static const struct hash section = {{3}};
    AUTO(trip) struct trip trip = {.relay = NULL};
    AUTO(read_half) struct read_half *read = read_half_new(s);
    AUTO(write_half) struct write_half *half = write_half_of(read, "t:web");
    AUTO(statement)
    struct statement *grant = site_write_grant(&hosts->site, hosts->web.self, half, "t:web", &section);
    host_tell(&hosts->web, grant);
    ask(&hosts->web, hosts->web.self, ERR_NONE, &trip);
    AUTO(payload_witness) Sealift__Witness *witness = answer_of(&trip);
    cr_assert_eq(witness->roster_version, hosts->roster_version);
    cr_assert_eq(witness->n_grants, 1);
    cr_assert(span_eq(stored_span(&witness->grants[0]), buf_span(&grant->bytes)));
    cr_assert_null(witness->own_key);
}

Test(witness_run, proves_which_own_key_the_host_has)
{
    static const uint8_t s[KEY_SECRET_LEN] = {5};
    struct err err = {0};
    AUTO(trip) struct trip trip = {.relay = NULL};
    AUTO(read_half) struct read_half *own = NULL;
    hosts->web.own_key_file = xasprintf("%s/own.key", hosts->dir);
    cr_assert(file_create(AT_FDCWD, hosts->web.own_key_file, span_of(s, sizeof(s)), 0600, &err));
    cr_assert(own_key_load(hosts->web.own_key_file, &own, &err));
    ask(&hosts->web, hosts->web.self, ERR_NONE, &trip);
    AUTO(payload_witness) Sealift__Witness *witness = answer_of(&trip);
    cr_assert_not_null(witness->own_key);
    cr_assert_eq(witness->n_grants, 0);
    cr_assert_eq(memcmp(witness->own_key->key_id.data, own->key_id.bytes, HASH_LEN), 0);
}

Test(witness_run, of_another_host_than_the_order_names_is_refused)
{
    AUTO(trip) struct trip trip = {.relay = NULL};
    ask(&hosts->vault, hosts->web.self, ERR_POLICY, &trip);
    cr_assert_eq(trip_end(&trip)->answer.len, 0);
}
