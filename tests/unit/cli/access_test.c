/* The first words with a director: rosters in step, and what if they are not. */
#include "director/cli/access.h"

#include "tests/unit/cli/small_site.h"

#include <criterion/criterion.h>
#include <string.h>

static struct buf chain[4]; /* what the director has */
static size_t chain_count;
static struct buf given; /* what it was given back */

static void has_a_chain(const struct request *request)
{
    const Sealift__Head *head = request->head;
    if (head->kind_case == SEALIFT__HEAD__KIND_OPERATOR_HELLO) {
        answer_done(request, chain_count, span_of(NULL, 0));
    } else if (head->kind_case == SEALIFT__HEAD__KIND_GET) {
        size_t from = head->get->from < chain_count ? head->get->from : chain_count;
        small_site_answer_blobs(request, chain + from, chain_count - from);
    } else {
        buf_put_span(&given, request->payload);
        answer_done(request, 0, span_of(NULL, 0));
    }
}

/* access_director makes the client itself: the site's own is taken away. */
static bool enter(struct small_site *site, struct err *err)
{
    struct client *client = NULL;
    client_free(site->cli.client);
    site->cli.client = NULL;
    return access_director(&site->cli, &client, err);
}

static void forget_chain(void)
{
    for (size_t i = 0; i < chain_count; i++)
        buf_deinit(&chain[i]);
    memset(chain, 0, sizeof(chain));
    chain_count = 0;
    buf_deinit(&given);
    given = (struct buf){0};
}

static struct hash hash_of_roster(const struct buf *roster)
{
    return hash_of(buf_span(roster));
}

Test(access, newer_rosters_are_verified_and_kept)
{
    AUTO(small_site) struct small_site site;
    struct err err = {0};
    small_site_init(&site, has_a_chain);
    buf_put_span(&chain[0], buf_span(&site.roster));
    for (chain_count = 1; chain_count < 3; chain_count++) {
        struct hash previous = hash_of_roster(&chain[chain_count - 1]);
        small_site_roster(&site, chain_count + 1, &previous, site.anna, &chain[chain_count]);
    }
    cr_assert(enter(&site, &err), "%s", err.text);
    cr_assert_eq(roster_version(access_roster(&site.cli)), 3);
    forget_chain();
}

Test(access, a_roster_that_no_admin_signed_ends_it)
{
    AUTO(small_site) struct small_site site;
    struct err err = {0};
    small_site_init(&site, has_a_chain);
    struct hash previous = hash_of_roster(&site.roster);
    buf_put_span(&chain[0], buf_span(&site.roster));
    small_site_roster(&site, 2, &previous, site.web, &chain[1]);
    chain_count = 2;
    cr_assert_not(enter(&site, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
    cr_assert_eq(roster_version(state_roster(site.cli.state)), 1);
    forget_chain();
}

Test(access, a_director_that_forgot_rosters_is_given_them_back)
{
    AUTO(small_site) struct small_site site;
    struct err err = {0};
    AUTO(buf) struct buf second = {0};
    small_site_init(&site, has_a_chain);
    struct hash previous = hash_of_roster(&site.roster);
    small_site_roster(&site, 2, &previous, site.anna, &second);
    cr_assert(state_add_roster(site.cli.state, buf_span(&second), &err));
    buf_put_span(&chain[0], buf_span(&site.roster));
    chain_count = 1;
    cr_assert(enter(&site, &err), "%s", err.text);
    cr_assert(span_eq(buf_span(&given), buf_span(&second)));
    cr_assert_eq(roster_version(access_roster(&site.cli)), 2, "it is not stepped back");
    forget_chain();
}

static void claims_a_second(const struct request *request)
{
    if (request->head->kind_case == SEALIFT__HEAD__KIND_OPERATOR_HELLO)
        answer_done(request, 2, span_of(NULL, 0));
    else
        small_site_answer_blobs(request, NULL, 0);
}

Test(access, a_director_that_withholds_a_roster_it_claims_to_have_is_named)
{
    AUTO(small_site) struct small_site site;
    struct err err = {0};
    small_site_init(&site, claims_a_second);
    cr_assert_not(enter(&site, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL);
    cr_assert_not_null(strstr(err.text, "does not hand out roster 2"), "%s", err.text);
}

Test(access, without_a_site_it_says_how_one_gets_there)
{
    struct err err = {0};
    struct scratch scratch = scratch_make();
    struct cli cli = {.state_dir = scratch.path, .identity_password = SECRET_FROM_TERMINAL};
    struct client *client = NULL;
    cr_assert_not(access_director(&cli, &client, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert_not_null(strstr(err.text, "sealift operator init"), "%s", err.text);
    access_close(&cli);
    scratch_remove(&scratch);
}
