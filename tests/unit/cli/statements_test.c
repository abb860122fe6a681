/* A director that lies about what operators signed. */
#include "director/cli/statements.h"

#include "tests/unit/cli/small_site.h"

#include <criterion/criterion.h>
#include <string.h>

#define REPOSITORY SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY

/* What the director hands out; set before it is asked. */
static struct buf shelf[16];
static size_t shelf_count;

static void hands_out(const struct request *request)
{
    small_site_answer_blobs(request, shelf, shelf_count);
}

static void clear_shelf(void)
{
    for (size_t i = 0; i < shelf_count; i++)
        buf_deinit(&shelf[i]);
    memset(shelf, 0, sizeof(shelf));
    shelf_count = 0;
}

static void put(const struct small_site *site, const struct identity *signer, uint8_t id, uint64_t version,
                const char *name)
{
    small_site_repository(site, signer, id, version, name, &shelf[shelf_count++]);
}

static void get(struct small_site *site, struct statements *out)
{
    struct err err = {0};
    cr_assert(statements_get(&site->cli, REPOSITORY, out, &err), "%s", err.text);
}

Test(statements, what_operators_signed_is_believed_and_found_by_name)
{
    AUTO(small_site) struct small_site site;
    AUTO(statements) struct statements list = {0};
    const struct statement *found = NULL;
    struct err err = {0};
    small_site_init(&site, hands_out);
    put(&site, site.anna, 1, 10, "offsite");
    put(&site, site.anna, 2, 11, "local");
    get(&site, &list);
    cr_assert_eq(list.count, 2);
    cr_assert(statements_believed(&list, &err));
    cr_assert(statements_named(&list, "local", &found, &err));
    cr_assert_eq(found->version, 11);
    cr_assert_not(statements_named(&list, "ofsite", &found, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert_not_null(strstr(err.text, "did you mean 'offsite'"), "%s", err.text);
    clear_shelf();
}

/* One lie after the truth was seen: it is left out, and looking it up ends as not authentic. */
static void is_left_out(struct small_site *site, const char *name)
{
    AUTO(statements) struct statements list = {0};
    const struct statement *found = NULL;
    struct err err = {0};
    get(site, &list);
    cr_assert_eq(list.count, 0);
    cr_assert_not(statements_believed(&list, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
    cr_assert_not(statements_named(&list, name, &found, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
}

Test(statements, one_that_a_stranger_signed_is_left_out)
{
    AUTO(small_site) struct small_site site;
    small_site_init(&site, hands_out);
    put(&site, site.stranger, 1, 10, "offsite");
    is_left_out(&site, "offsite");
    clear_shelf();
}

Test(statements, one_that_a_transporter_signed_is_left_out)
{
    AUTO(small_site) struct small_site site;
    small_site_init(&site, hands_out);
    put(&site, site.web, 1, 10, "offsite");
    is_left_out(&site, "offsite");
    clear_shelf();
}

static void see(struct small_site *site)
{
    AUTO(statements) struct statements list = {0};
    get(site, &list);
    cr_assert_eq(list.count, shelf_count);
}

Test(statements, an_older_version_than_was_seen_is_left_out_also_by_the_next_program)
{
    AUTO(small_site) struct small_site site;
    struct err err = {0};
    small_site_init(&site, hands_out);
    put(&site, site.anna, 1, 11, "offsite");
    see(&site);
    clear_shelf();
    put(&site, site.anna, 1, 10, "offsite");
    is_left_out(&site, "offsite");
    /* what was seen is on disk */
    state_close(site.cli.state);
    site.cli.state = NULL;
    struct state *state = NULL;
    cr_assert(access_state(&site.cli, &state, &err), "%s", err.text);
    is_left_out(&site, "offsite");
    clear_shelf();
}

Test(statements, other_bytes_under_a_version_that_was_seen_are_left_out)
{
    AUTO(small_site) struct small_site site;
    small_site_init(&site, hands_out);
    put(&site, site.anna, 1, 10, "offsite");
    see(&site);
    clear_shelf();
    put(&site, site.anna, 1, 10, "elsewhere");
    is_left_out(&site, "elsewhere");
    clear_shelf();
}

Test(statements, one_of_another_site_is_left_out)
{
    AUTO(small_site) struct small_site site;
    small_site_init(&site, hands_out);
    struct id own = site.id;
    site.id = id_random();
    put(&site, site.anna, 1, 10, "offsite");
    site.id = own;
    is_left_out(&site, "offsite");
    clear_shelf();
}

Test(statements, a_flipped_bit_anywhere_is_left_out)
{
    AUTO(small_site) struct small_site site;
    small_site_init(&site, hands_out);
    put(&site, site.anna, 1, 10, "offsite");
    for (size_t i = 0; i < shelf[0].len; i += 7) {
        shelf[0].data[i] ^= 0x10;
        is_left_out(&site, "offsite");
        shelf[0].data[i] ^= 0x10;
    }
    see(&site);
    clear_shelf();
}

Test(statements, two_of_the_same_name_are_not_chosen_between)
{
    AUTO(small_site) struct small_site site;
    AUTO(statements) struct statements list = {0};
    const struct statement *found = NULL;
    struct err err = {0};
    small_site_init(&site, hands_out);
    put(&site, site.anna, 1, 10, "offsite");
    put(&site, site.anna, 2, 10, "offsite");
    get(&site, &list);
    cr_assert_not(statements_named(&list, "offsite", &found, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
    clear_shelf();
}

static void promises_more(const struct request *request)
{
    Sealift__Blobs none = SEALIFT__BLOBS__INIT;
    AUTO(buf) struct buf payload = {0};
    payload_blobs_encode(&none, &payload);
    answer_done(request, 1000, buf_span(&payload));
}

Test(statements, a_director_that_promises_more_and_gives_nothing_does_not_hold_us)
{
    AUTO(small_site) struct small_site site;
    AUTO(statements) struct statements list = {0};
    small_site_init(&site, promises_more);
    get(&site, &list);
    cr_assert_eq(list.count, 0);
}
