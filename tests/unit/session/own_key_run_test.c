#include "common/base/alloc.h"
#include "common/base/file.h"
#include "errand.h"
#include "transporter/session/own_key.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* web seals with the key in its own file, and vault keeps it. */
static struct hosts *hosts;
static struct errand errand;
static struct read_half *own;
static struct write_half *half;

static void put_key(uint8_t first, size_t len)
{
    uint8_t s[64] = {first};
    struct err err = {0};
    cr_assert(file_replace(AT_FDCWD, hosts->web.own_key_file, span_of(s, len), 0600, &err), "%s", err.text);
}

static void setup(void)
{
    struct err err = {0};
    hosts = hosts_new();
    hosts->web.own_key_file = xasprintf("%s/own.key", hosts->dir);
    put_key(1, KEY_SECRET_LEN);
    cr_assert(own_key_load(hosts->web.own_key_file, &own, &err), "%s", err.text);
    half = write_half_of(own, "t:web");
    errand_init(&errand, &hosts->web, &hosts->vault, half, hosts);
}

static void teardown(void)
{
    write_half_free(half);
    read_half_free(own);
    errand_deinit(&errand);
    hosts_free(hosts);
}

TestSuite(own_key_run, .init = setup, .fini = teardown, .timeout = 60);

static void back_up(enum err_code code, const char *why)
{
    AUTO(trip) struct trip trip = {.relay = NULL};
    errand_back_up(&errand, &trip);
    cr_assert_eq(trip.source.code, (uint32_t)code, "%u: %s", trip.source.code, trip.source.text);
    cr_assert(leg_explains(hosts, &trip.source, why), "no word of '%s'", why);
}

static void restore(uint8_t number, enum err_code code, const char *why)
{
    AUTO(trip) struct trip trip = {.relay = NULL};
    errand_order(&errand, number, &hosts->web, 0);
    const struct assignment assignment = errand_recovery(&errand, number, &hosts->web);
    trip_run(hosts, &assignment, &trip);
    cr_assert_eq(trip.target.code, (uint32_t)code, "%u: %s", trip.target.code, trip.target.text);
    if (why) cr_assert(leg_explains(hosts, &trip.target, why), "no word of '%s'", why);
}

Test(own_key_run, the_file_alone_seals_and_opens)
{
    errand_make_point(&errand);
    restore(1, ERR_NONE, NULL);
    errand_assert_restored(&errand, 1);
}

/* Never another key in its place, and never plain. */
Test(own_key_run, of_an_exchanged_file_seals_nothing_and_opens_nothing)
{
    hosts->lease_ms = 300;
    put_key(2, KEY_SECRET_LEN);
    back_up(ERR_NO_KEY, "this transporter has no write grant of the key");
    put_key(1, KEY_SECRET_LEN);
    errand_make_point(&errand);
    put_key(2, KEY_SECRET_LEN);
    restore(1, ERR_NO_KEY, "own key: it is another key; read grant: ");
}

Test(own_key_run, of_a_missing_or_cut_file_says_so)
{
    hosts->lease_ms = 300;
    errand_make_point(&errand);
    put_key(1, KEY_SECRET_LEN - 1);
    back_up(ERR_CONFIG, "own.key' has 31 bytes instead of 32");
    cr_assert_eq(unlink(hosts->web.own_key_file), 0);
    back_up(ERR_NOT_FOUND, "own.key'");
    restore(1, ERR_NO_KEY, "own key: cannot open the own key");
}
