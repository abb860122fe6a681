/* A repository comes to another owner by an operator's statement, and by nothing else. */
#include "builder.h"

#include "common/base/alloc.h"
#include "common/crypto/box.h"
#include "common/wire/statement.h"

#include <criterion/criterion.h>
#include <string.h>

static struct err err;

static bool knows_anybody(void *arg, const uint8_t operator_pk[SIGN_PK_LEN])
{
    return true;
}

static const struct repository_operators anybody = {.known = knows_anybody};

/* A repository statement that names an owner. */
static void sign_statement(const struct place *place, const struct sign_pair *operator_pair, uint64_t version,
                           const struct sign_pair *owner, struct buf *out)
{
    Sealift__RepositoryBody body = SEALIFT__REPOSITORY_BODY__INIT;
    Sealift__SealedCopy copy = SEALIFT__SEALED_COPY__INIT, *copies[] = {&copy};
    uint8_t sealed[BOX_OVERHEAD + 1] = {1};
    AUTO(buf) struct buf encoded = {0};
    copy.recipient = stored_bytes(span_of(owner->pk, SIGN_PK_LEN));
    copy.sealed = stored_bytes(span_of(sealed, sizeof(sealed)));
    body.name = stored_lent("offsite");
    body.owner = stored_bytes(span_of(owner->pk, SIGN_PK_LEN));
    body.kind = SEALIFT__STORE_KIND__STORE_ENCRYPTED;
    body.path = copies;
    body.n_path = 1;
    statement_body_encode(&body, &encoded);
    const struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                                          .site = place->site,
                                          .id = place->id,
                                          .version = version,
                                          .body = buf_span(&encoded)};
    cr_assert(statement_sign(operator_pair, &draft, out, &err), "%s", err.text);
}

/* Made by a founder's statement of version 5, with one point, and closed. */
static struct place *founded(const struct sign_pair *founder)
{
    struct place *place = place_empty();
    AUTO(buf) struct buf statement = {0};
    sign_statement(place, founder, 5, place->owner, &statement);
    cr_assert(repository_create(place->path, &place->site, &place->id, REPOSITORY_ENCRYPTED,
                                buf_span(&statement), place->owner, &err),
              "%s", err.text);
    return place;
}

/* The code that opening it as `owner` ends with, with a local state of its own. */
static enum err_code open_as(const struct place *place, const struct sign_pair *owner, struct span statement,
                             const struct repository_operators *operators)
{
    AUTO(free) char *state = xasprintf("%s-%02x", place->state, owner->pk[0]);
    const struct repository_options options = {.path = place->path,
                                               .state_dir = state,
                                               .owner = owner,
                                               .statement = statement,
                                               .operators = operators};
    AUTO(repository) struct repository *repository = NULL;
    if (!repository_open(&options, &repository, &err)) return err.code;
    struct repository_info info;
    repository_info(repository, &info);
    cr_assert_arr_eq(info.owner, owner->pk, SIGN_PK_LEN);
    return ERR_NONE;
}

static struct sign_pair *pair_of(uint8_t seed)
{
    uint8_t bytes[SIGN_SEED_LEN];
    memset(bytes, seed, sizeof(bytes));
    return sign_pair_new(bytes);
}

Test(owner, the_founder_gives_a_repository_to_another_who_writes_on_and_reads_it_again)
{
    AUTO(sign_pair) struct sign_pair *founder = pair_of(50), *heir = pair_of(51);
    AUTO(place) struct place *place = founded(founder);
    AUTO(buf) struct buf statement = {0};
    sign_statement(place, founder, 6, heir, &statement);
    cr_assert_eq(open_as(place, heir, (struct span){0}, NULL), ERR_NOT_AUTHENTIC);
    cr_assert_eq(open_as(place, heir, buf_span(&statement), NULL), ERR_NONE, "%s", err.text);
    cr_assert_eq(open_as(place, heir, buf_span(&statement), NULL), ERR_NONE, "again: %s", err.text);
    cr_assert_eq(open_as(place, heir, (struct span){0}, NULL), ERR_NONE, "%s", err.text);

    /* a reader without rosters and without an index */
    const struct repository_options reading = {.path = place->path};
    AUTO(repository) struct repository *repository = NULL;
    struct repository_info info;
    cr_assert(repository_open(&reading, &repository, &err), "%s", err.text);
    repository_info(repository, &info);
    cr_assert_eq(info.head_number, 2);
    cr_assert_arr_eq(info.owner, heir->pk, SIGN_PK_LEN);
}

Test(owner, the_old_owner_does_not_come_back_by_his_old_statement)
{
    AUTO(sign_pair) struct sign_pair *founder = pair_of(50), *heir = pair_of(51);
    AUTO(place) struct place *place = founded(founder);
    AUTO(buf) struct buf before = {0}, after = {0}, back = {0};
    sign_statement(place, founder, 5, place->owner, &before);
    sign_statement(place, founder, 6, heir, &after);
    cr_assert_eq(open_as(place, place->owner, buf_span(&before), NULL), ERR_NONE, "%s", err.text);
    cr_assert_eq(open_as(place, heir, buf_span(&after), NULL), ERR_NONE, "%s", err.text);
    cr_assert_eq(open_as(place, place->owner, buf_span(&before), NULL), ERR_NOT_AUTHENTIC);
    cr_assert(strstr(err.text, "it was attached elsewhere"), "%s", err.text);
    sign_statement(place, founder, 7, place->owner, &back);
    cr_assert_eq(open_as(place, place->owner, buf_span(&back), NULL), ERR_NONE, "%s", err.text);
}

Test(owner, a_stranger_s_statement_gives_nothing_away)
{
    AUTO(sign_pair) struct sign_pair *founder = pair_of(50), *stranger = pair_of(60), *thief = pair_of(61);
    AUTO(place) struct place *place = founded(founder);
    AUTO(buf) struct buf statement = {0}, other = {0};
    sign_statement(place, stranger, 9, thief, &statement);
    cr_assert_eq(open_as(place, thief, buf_span(&statement), NULL), ERR_NOT_AUTHENTIC);
    cr_assert(strstr(err.text, "is not the one who made the repository"), "%s", err.text);
    sign_statement(place, founder, 9, stranger, &other);
    cr_assert_eq(open_as(place, thief, buf_span(&other), NULL), ERR_NOT_AUTHENTIC,
                 "one that names somebody else");
    cr_assert_eq(open_as(place, place->owner, (struct span){0}, NULL), ERR_NONE, "%s", err.text);
}

/* What another operator's statement says counts for who knows him, and for nobody else. */
Test(owner, another_operator_s_statement_counts_where_he_is_known)
{
    AUTO(sign_pair) struct sign_pair *founder = pair_of(50), *second = pair_of(52), *heir = pair_of(51);
    AUTO(place) struct place *place = founded(founder);
    AUTO(buf) struct buf statement = {0};
    sign_statement(place, second, 6, heir, &statement);
    cr_assert_eq(open_as(place, heir, buf_span(&statement), NULL), ERR_NOT_AUTHENTIC);
    cr_assert_eq(open_as(place, heir, buf_span(&statement), &anybody), ERR_NONE, "%s", err.text);
    const struct repository_options reading = {.path = place->path};
    struct repository *repository = NULL;
    cr_assert_not(repository_open(&reading, &repository, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
}

Test(owner, a_statement_of_another_repository_names_the_one_that_is_there)
{
    AUTO(sign_pair) struct sign_pair *founder = pair_of(50), *heir = pair_of(51);
    AUTO(place) struct place *place = founded(founder);
    AUTO(buf) struct buf statement = {0};
    struct place wrong = *place;
    wrong.id.bytes[0] ^= 1;
    sign_statement(&wrong, founder, 6, heir, &statement);
    cr_assert_eq(open_as(place, heir, buf_span(&statement), NULL), ERR_POLICY);
    cr_assert(strstr(err.text, "the directory holds another repository, "), "%s", err.text);
}

/* Also where its founder signs for another site now: who reads it there could not tell its writers from
 * strangers. */
Test(owner, a_statement_of_another_site_is_told_what_reads_it)
{
    AUTO(sign_pair) struct sign_pair *founder = pair_of(50), *heir = pair_of(51);
    AUTO(place) struct place *place = founded(founder);
    AUTO(buf) struct buf statement = {0};
    struct place elsewhere = *place;
    elsewhere.site.bytes[0] ^= 1;
    sign_statement(&elsewhere, founder, 6, heir, &statement);
    cr_assert_eq(open_as(place, heir, buf_span(&statement), &anybody), ERR_POLICY);
    cr_assert(strstr(err.text, " of another site: "), "%s", err.text);
    cr_assert(strstr(err.text, "'sealift offline'"), "%s", err.text);
}
