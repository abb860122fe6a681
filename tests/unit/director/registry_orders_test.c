/* Orders: which are taken, and who takes part in what they ask for. */
#include "registering.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(registry_orders, .init = registering_begin, .fini = registering_end);

static void put_order(const struct order_draft *draft, enum err_code code, const char *text)
{
    AUTO(buf) struct buf bytes = {0};
    signing_order(&signing, draft, &bytes);
    expect(&bytes, code, text);
}

Test(registry_orders, checks_orders_against_placement_expiry_and_roster)
{
    put_order(&(struct order_draft){.id = {{1}}, .repository = store}, ERR_NONE, NULL);
    put_order(&(struct order_draft){.id = {{2}}, .repository = store, .target = NAS}, ERR_POLICY, NULL);
    put_order(&(struct order_draft){.id = {{2}}, .repository = {{99}}}, ERR_NOT_FOUND, NULL);
    put_order(&(struct order_draft){.id = {{2}}, .repository = store, .expiry_s = now_s - 1},
              ERR_NOT_AUTHENTIC, NULL);
    put_order(&(struct order_draft){.id = {{2}}, .repository = store, .expiry_s = now_s}, ERR_NONE, NULL);
    put_order(
        &(struct order_draft){.id = {{3}}, .repository = store, .kind = SEALIFT__ORDER_KIND__ORDER_SHORTEN},
        ERR_USAGE, "orders of this kind are not there in this version");
    put_order(
        &(struct order_draft){
            .id = {{4}}, .repository = store, .kind = SEALIFT__ORDER_KIND__ORDER_BROWSE, .answer_to = EVE},
        ERR_NOT_FOUND, "the operator whom the order answers is not in the current roster");
    put_order(&(struct order_draft){.id = {{5}}, .repository = store, .signer = EVE}, ERR_NOT_AUTHENTIC,
              NULL);
}

Test(registry_orders, plans_an_order_from_the_repository_to_its_target)
{
    AUTO(buf) struct buf bytes = {0};
    signing_order(&signing, &(struct order_draft){.id = {{1}}, .repository = store}, &bytes);
    AUTO(statement) struct statement *order = signing_decode(&bytes);
    struct run_plan plan;
    struct err err;
    cr_assert(registry_plan_order(registry, order, &plan, &err), "%s", err.text);
    cr_assert_eq(plan.kind, RUN_RECOVERY);
    cr_assert_str_eq(plan.source_name, "nas");
    cr_assert_str_eq(plan.target_name, "web");
    cr_assert_eq(plan.subject, SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER);
}

Test(registry_orders, plans_a_wrap_for_one_trusted_host_and_no_repository)
{
    static const Sealift__OrderKind wrap = SEALIFT__ORDER_KIND__ORDER_WRAP;
    AUTO(buf) struct buf bytes = {0};
    signing_order(&signing, &(struct order_draft){.id = {{1}}, .kind = wrap}, &bytes);
    AUTO(statement) struct statement *order = signing_decode(&bytes);
    struct run_plan plan;
    struct err err;
    cr_assert(registry_plan_order(registry, order, &plan, &err), "%s", err.text);
    cr_assert_eq(plan.kind, RUN_WRAP);
    cr_assert_str_eq(plan.source_name, "web");
    cr_assert_str_eq(plan.target_name, "web");
    cr_assert(id_is_zero(&plan.repository));
    cr_assert(registry_concerns(registry, order, signing_key(&signing, WEB)));
    cr_assert_not(registry_concerns(registry, order, signing_key(&signing, NAS)), "S is for one host");
    put_order(&(struct order_draft){.id = {{2}}, .kind = wrap, .target = NAS}, ERR_POLICY,
              "only a transporter in the trusted zone wraps keys: 'nas' is not in it");
    put_order(&(struct order_draft){.id = {{2}}, .kind = wrap, .target = EVE}, ERR_NOT_FOUND, NULL);
    put_order(&(struct order_draft){.id = {{2}}, .kind = wrap, .answer_to = EVE}, ERR_NOT_FOUND,
              "the operator whom the order answers is not in the current roster");
}

Test(registry_orders, plans_a_witness_of_one_trusted_host_and_no_repository)
{
    static const Sealift__OrderKind witness = SEALIFT__ORDER_KIND__ORDER_WITNESS;
    AUTO(buf) struct buf bytes = {0};
    signing_order(&signing, &(struct order_draft){.id = {{1}}, .kind = witness}, &bytes);
    AUTO(statement) struct statement *order = signing_decode(&bytes);
    struct run_plan plan;
    struct err err;
    cr_assert(registry_plan_order(registry, order, &plan, &err), "%s", err.text);
    cr_assert_eq(plan.kind, RUN_WRAP, "begun at once or refused");
    cr_assert_str_eq(plan.target_name, "web");
    cr_assert(id_is_zero(&plan.repository));
    put_order(&(struct order_draft){.id = {{2}}, .kind = witness, .target = NAS}, ERR_POLICY,
              "only a transporter in the trusted zone is asked what it knows of keys: 'nas' is not in it");
    put_order(&(struct order_draft){.id = {{2}}, .kind = witness, .answer_to = EVE}, ERR_NOT_FOUND,
              "the operator whom the order answers is not in the current roster");
}

Test(registry_orders, plans_an_order_about_a_point_for_the_repositorys_owner_alone_whatever_its_zone)
{
    static const Sealift__OrderKind kinds[] = {
        SEALIFT__ORDER_KIND__ORDER_HOLD, SEALIFT__ORDER_KIND__ORDER_RELEASE,
        SEALIFT__ORDER_KIND__ORDER_DELETE, SEALIFT__ORDER_KIND__ORDER_UNDELETE};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        AUTO(buf) struct buf bytes = {0};
        signing_order(
            &signing,
            &(struct order_draft){.id = {{1}}, .repository = store, .kind = kinds[i], .target = NAS}, &bytes);
        AUTO(statement) struct statement *order = signing_decode(&bytes);
        struct run_plan plan;
        struct err err;
        cr_assert(registry_plan_order(registry, order, &plan, &err), "%s", err.text);
        cr_assert_str_eq(plan.source_name, "nas");
        cr_assert_str_eq(plan.target_name, "nas");
        put_order(&(struct order_draft){.id = {{3}}, .repository = store, .kind = kinds[i]}, ERR_PROTOCOL,
                  "an order about a point is for the owner of its repository");
    }
}
