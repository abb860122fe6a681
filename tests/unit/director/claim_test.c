/* Who gets in: claiming the site, joining, strangers. */
#include "dock.h"

#include "common/wire/lent.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <string.h>

static struct dock dock;
static struct caller anna;

static void setup(void)
{
    dock_init(&dock);
    dock_start(&dock);
    caller_dial(&anna, &dock, OPERATOR_PORT, ANNA);
}

static void teardown(void)
{
    caller_hang_up(&anna);
    dock_deinit(&dock);
}

TestSuite(claim, .init = setup, .fini = teardown, .timeout = 60);
TestSuite(joining, .init = setup, .fini = teardown, .timeout = 60);

static void first_roster(struct buf *out)
{
    dock.signing.roster_version = 0;
    signing_roster(&dock.signing, ANNA, out);
}

static Sealift__Head claim_head(struct caller *caller, Sealift__Claim *claim, const char *code)
{
    sealift__claim__init(claim);
    claim->code = lent_text(code);
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_CLAIM);
    head.claim = claim;
    return head;
}

static void expect_roster(struct caller *caller, uint64_t version)
{
    Sealift__OperatorHello hello = SEALIFT__OPERATOR_HELLO__INIT;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_OPERATOR_HELLO);
    head.operator_hello = &hello;
    AUTO(heard) struct heard heard = {0};
    caller_ask(caller, &head, (struct span){0}, &heard);
    cr_assert_eq(heard.head->done->count, version);
}

/* ---- claiming */

Test(claim, with_the_code_makes_the_site_and_names_the_control_port)
{
    AUTO(buf) struct buf roster = {0};
    first_roster(&roster);
    Sealift__Claim claim;
    Sealift__Head head = claim_head(&anna, &claim, dock.code);
    AUTO(heard) struct heard heard = {0};
    caller_ask(&anna, &head, buf_span(&roster), &heard);
    const char *port = strrchr(director_control_address(dock.director), ':') + 1;
    cr_assert_eq(heard.head->done->count, strtoul(port, NULL, 10));
    expect_roster(&anna, 1);
    cr_assert_not(director_unclaimed(dock.director));
}

Test(claim, whose_answer_was_lost_is_answered_again)
{
    AUTO(buf) struct buf roster = {0};
    first_roster(&roster);
    for (int i = 0; i < 2; i++) {
        Sealift__Claim claim;
        Sealift__Head head = claim_head(&anna, &claim, dock.code);
        AUTO(heard) struct heard heard = {0};
        caller_ask(&anna, &head, buf_span(&roster), &heard);
    }
    AUTO(buf) struct buf other = {0};
    first_roster(&other);
    buf_clear(&other);
    dock.signing.site.bytes[0] ^= 1;
    first_roster(&other);
    Sealift__Claim claim;
    Sealift__Head head = claim_head(&anna, &claim, dock.code);
    caller_ask_fail(&anna, &head, buf_span(&other), ERR_EXISTS, "the site is claimed already");
}

Test(claim, code_may_be_typed_in_any_case_and_grouping)
{
    char typed[CLAIM_CODE_TEXT_LEN];
    size_t at = 0;
    for (const char *c = dock.code; *c; c++)
        if (*c != '-') typed[at++] = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    typed[at] = '\0';
    struct hash a = claim_code_hash(dock.code), b = claim_code_hash(typed), c = claim_code_hash("");
    cr_assert(hash_eq(&a, &b));
    cr_assert_not(hash_eq(&a, &c));
    cr_assert_eq(strlen(dock.code), 19);
}

Test(claim, code_is_void_after_five_wrong_tries_even_across_a_restart)
{
    AUTO(buf) struct buf roster = {0};
    first_roster(&roster);
    Sealift__Claim claim;
    for (int i = 0; i < 3; i++) {
        Sealift__Head head = claim_head(&anna, &claim, "AAAA-AAAA-AAAA-AAAA");
        caller_ask_fail(&anna, &head, buf_span(&roster), ERR_WRONG_KEY, NULL);
    }
    caller_hang_up(&anna);
    dock_stop(&dock);
    dock_start(&dock);
    caller_dial(&anna, &dock, OPERATOR_PORT, ANNA);
    Sealift__Head head = claim_head(&anna, &claim, "AAAA-AAAA-AAAA-AAAA");
    caller_ask_fail(&anna, &head, buf_span(&roster), ERR_WRONG_KEY, "the claim code is wrong; 1 more try");
    head = claim_head(&anna, &claim, "BBBB");
    caller_ask_fail(&anna, &head, buf_span(&roster), ERR_POLICY, NULL);
    head = claim_head(&anna, &claim, dock.code);
    caller_ask_fail(&anna, &head, buf_span(&roster), ERR_POLICY,
                    "there is no claim code: make one with 'sealift-director --new-claim-code'");
    cr_assert(director_unclaimed(dock.director));
}

Test(claim, of_a_roster_that_the_claimer_does_not_lead_is_refused_and_costs_no_try)
{
    AUTO(buf) struct buf roster = {0};
    first_roster(&roster);
    AUTO(caller) struct caller eve = {0};
    caller_dial(&eve, &dock, OPERATOR_PORT, EVE);
    Sealift__Claim claim;
    for (int i = 0; i < CATALOG_CLAIM_TRIES + 1; i++) {
        Sealift__Head head = claim_head(&eve, &claim, dock.code);
        caller_ask_fail(&eve, &head, buf_span(&roster), ERR_NOT_AUTHENTIC, NULL);
    }
    Sealift__Head head = claim_head(&eve, &claim, dock.code);
    caller_ask_fail(&eve, &head, span_str("no roster at all"), ERR_DAMAGED, NULL);
    head = claim_head(&anna, &claim, dock.code);
    AUTO(heard) struct heard heard = {0};
    caller_ask(&anna, &head, buf_span(&roster), &heard);
}

Test(claim, comes_before_everything_else)
{
    Sealift__StatusGet status = SEALIFT__STATUS_GET__INIT;
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_STATUS_GET);
    head.status_get = &status;
    caller_ask_fail(&anna, &head, (struct span){0}, ERR_POLICY,
                    "this director has no site yet: claim it first (sealift operator init)");
    AUTO(caller) struct caller web = {0};
    caller_dial(&web, &dock, CONTROL_PORT, WEB);
    AUTO(buf) struct buf identity = {0};
    identity_public_encode(signing_public(&dock.signing, WEB), &identity);
    Sealift__Join join = SEALIFT__JOIN__INIT;
    head = caller_head(&web, SEALIFT__HEAD__KIND_JOIN);
    head.join = &join;
    caller_ask_fail(&web, &head, buf_span(&identity), ERR_POLICY,
                    "this director has no site yet: an operator must claim it first");
}

Test(claim, shuts_the_operator_port_to_strangers)
{
    AUTO(caller) struct caller early = {0};
    caller_dial(&early, &dock, OPERATOR_PORT, EVE);
    Sealift__StatusGet status = SEALIFT__STATUS_GET__INIT;
    Sealift__Head head = caller_head(&early, SEALIFT__HEAD__KIND_STATUS_GET);
    head.status_get = &status;
    caller_ask_fail(&early, &head, (struct span){0}, ERR_POLICY, NULL);
    caller_claim(&anna);
    AUTO(caller) struct caller late = {0};
    caller_dial(&late, &dock, OPERATOR_PORT, WEB);
    caller_expect_cut(&late);
    head = caller_head(&early, SEALIFT__HEAD__KIND_STATUS_GET);
    head.status_get = &status;
    caller_send(&early, &head, (struct span){0});
    caller_expect_cut(&early);
}

Test(claim, leaves_nonsense_and_foreign_messages_outside)
{
    caller_claim(&anna);
    caller_send_raw(&anna, span_str("\xff\xff nonsense"), (struct span){0});
    caller_expect_cut(&anna);
    caller_expect_up(&anna); /* it may dial again */
    expect_roster(&anna, 1);
    Sealift__Hello hello = SEALIFT__HELLO__INIT;
    struct id process = {{1}};
    hello.incarnation = stored_bytes(span_of(process.bytes, ID_LEN));
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_HELLO);
    head.hello = &hello;
    caller_send(&anna, &head, (struct span){0});
    caller_expect_cut(&anna);
}

/* ---- joining */

static void send_join(struct caller *caller, const struct identity_public *known)
{
    AUTO(buf) struct buf identity = {0};
    identity_public_encode(known, &identity);
    Sealift__Join join = SEALIFT__JOIN__INIT;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_JOIN);
    head.join = &join;
    caller_send(caller, &head, buf_span(&identity));
}

static size_t pending(struct caller *caller, struct identity_public *first)
{
    Sealift__PendingList list = SEALIFT__PENDING_LIST__INIT;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_PENDING_LIST);
    head.pending_list = &list;
    AUTO(heard) struct heard heard = {0};
    caller_ask(caller, &head, (struct span){0}, &heard);
    AUTO(payload_blobs) Sealift__Blobs *blobs = NULL;
    struct err err;
    cr_assert(payload_blobs_decode(buf_span(&heard.payload), &blobs, &err), "%s", err.text);
    if (blobs->n_blob > 0)
        cr_assert(identity_public_decode(stored_span(&blobs->blob[0]), first, &err), "%s", err.text);
    return blobs->n_blob;
}

Test(joining, shows_to_operators_and_ends_with_the_rosters_that_admit)
{
    dock.signing.transporters = 0;
    caller_claim(&anna);
    AUTO(caller) struct caller web = {0};
    AUTO(heard) struct heard heard = {0};
    caller_dial(&web, &dock, CONTROL_PORT, WEB);
    for (int i = 0; i < 3; i++) {
        send_join(&web, signing_public(&dock.signing, WEB));
        caller_expect(&web, SEALIFT__HEAD__KIND_DONE, &heard);
    }
    struct identity_public known;
    cr_assert_eq(pending(&anna, &known), 1);
    cr_assert_str_eq(known.name, "web");

    dock.signing.transporters = 1u << WEB;
    caller_put_roster(&anna);
    send_join(&web, signing_public(&dock.signing, WEB));
    for (uint64_t version = 1; version <= 2; version++) {
        caller_expect(&web, SEALIFT__HEAD__KIND_DELIVER, &heard);
        AUTO(statement) struct statement *roster = signing_decode(&heard.payload);
        cr_assert_eq(roster->version, version);
    }
    caller_expect(&web, SEALIFT__HEAD__KIND_DONE, &heard);
    caller_hello(&web, 1, 2, NULL);
    cr_assert_eq(pending(&anna, &known), 0);
}

Test(joining, is_for_ones_own_identity)
{
    dock.signing.transporters = 0;
    caller_claim(&anna);
    AUTO(caller) struct caller eve = {0};
    AUTO(heard) struct heard heard = {0};
    caller_dial(&eve, &dock, CONTROL_PORT, EVE);
    send_join(&eve, signing_public(&dock.signing, WEB));
    caller_expect(&eve, SEALIFT__HEAD__KIND_FAIL, &heard);
    cr_assert_eq(heard.head->fail->code, ERR_NOT_AUTHENTIC);
    struct identity_public known;
    cr_assert_eq(pending(&anna, &known), 0);
}

Test(joining, is_all_that_an_unknown_key_may_do)
{
    caller_claim(&anna);
    AUTO(caller) struct caller eve = {0};
    caller_dial(&eve, &dock, CONTROL_PORT, EVE);
    struct id process = {{1}};
    Sealift__Hello hello = SEALIFT__HELLO__INIT;
    hello.incarnation = stored_bytes(span_of(process.bytes, ID_LEN));
    Sealift__Head head = caller_head(&eve, SEALIFT__HEAD__KIND_HELLO);
    head.hello = &hello;
    caller_send(&eve, &head, (struct span){0});
    caller_expect_cut(&eve);
}

Test(joining, has_at_most_four_kilobytes)
{
    caller_claim(&anna);
    AUTO(caller) struct caller eve = {0};
    caller_dial(&eve, &dock, CONTROL_PORT, EVE);
    uint8_t big[4097] = {0};
    Sealift__Join join = SEALIFT__JOIN__INIT;
    Sealift__Head head = caller_head(&eve, SEALIFT__HEAD__KIND_JOIN);
    head.join = &join;
    caller_send(&eve, &head, span_of(big, sizeof(big)));
    caller_expect_cut(&eve);
    caller_expect_up(&eve);
    head = caller_head(&eve, SEALIFT__HEAD__KIND_JOIN);
    head.join = &join;
    caller_ask_fail(&eve, &head, span_of(big, 4096), ERR_VERSION, NULL);
}

Test(joining, is_open_to_a_hundred)
{
    caller_claim(&anna);
    dock_stop(&dock);
    struct err err;
    AUTO(catalog) struct catalog *catalog = NULL;
    cr_assert(catalog_open(dock.dir.path, &catalog, &err), "%s", err.text);
    for (uint8_t i = 0; i < CATALOG_PENDING_MAX; i++) {
        uint8_t key[32] = {i};
        cr_assert(catalog_join_put(catalog, key, span_str("x"), (uint64_t)time(NULL), &err), "%s", err.text);
    }
    catalog_close(catalog);
    catalog = NULL;
    dock_start(&dock);
    AUTO(caller) struct caller eve = {0};
    AUTO(heard) struct heard heard = {0};
    caller_dial(&eve, &dock, CONTROL_PORT, EVE);
    send_join(&eve, signing_public(&dock.signing, EVE));
    caller_expect(&eve, SEALIFT__HEAD__KIND_FAIL, &heard);
    cr_assert_eq(heard.head->fail->code, ERR_LIMIT);
    cr_assert_str_eq(heard.head->fail->text, "100 transporters wait for approval already");
}

Test(joining, again_after_a_revocation_is_refused)
{
    caller_claim(&anna);
    dock.signing.transporters = 1u << NAS | 1u << LAB;
    caller_put_roster(&anna);
    AUTO(caller) struct caller web = {0};
    AUTO(heard) struct heard heard = {0};
    caller_dial(&web, &dock, CONTROL_PORT, WEB);
    send_join(&web, signing_public(&dock.signing, WEB));
    caller_expect(&web, SEALIFT__HEAD__KIND_FAIL, &heard);
    cr_assert_str_eq(heard.head->fail->text, "transporter 'web' was revoked");
}
