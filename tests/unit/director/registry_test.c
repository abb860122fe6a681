#include "director/core/registry.h"

#include "signing.h"

#include <criterion/criterion.h>
#include <string.h>

static struct signing signing;
static struct registry *registry;
static const uint64_t now_s = 1000;
static const struct id store = {{1}}, plain = {{2}}, second = {{3}};

static enum err_code accept(struct buf *bytes, struct err *err)
{
    AUTO(statement) struct statement *statement = signing_decode(bytes);
    AUTO(acceptance) struct acceptance acceptance = {0};
    *err = (struct err){0};
    buf_clear(bytes);
    if (!registry_accept(registry, &statement, now_s, &acceptance, err)) return err->code;
    cr_assert(acceptance.known || statement == NULL ||
              statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER ||
              statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER);
    return acceptance.known ? ERR_EXISTS : ERR_NONE;
}

static void expect(struct buf *bytes, enum err_code code, const char *text)
{
    struct err err;
    enum err_code got = accept(bytes, &err);
    cr_assert_eq(got, code, "%d instead of %d: %s", got, code, err.text);
    if (text) cr_assert_str_eq(err.text, text);
}

static void put_repository(const struct id *id, uint64_t version, const char *name, enum signing_member owner,
                           Sealift__StoreKind kind, enum err_code code, const char *text)
{
    AUTO(buf) struct buf bytes = {0};
    signing_repository(&signing, id, version, name, owner, kind, &bytes);
    expect(&bytes, code, text);
}

static void setup(void)
{
    signing_init(&signing);
    registry = registry_new(signing.director_pk);
    AUTO(buf) struct buf bytes = {0};
    signing_roster(&signing, ANNA, &bytes);
    AUTO(statement) struct statement *roster = signing_decode(&bytes);
    struct err err;
    cr_assert(registry_claim(registry, roster, signing_public(&signing, ANNA)->transport_pk, &err), "%s",
              err.text);
    put_repository(&store, 1, "main", NAS, SEALIFT__STORE_KIND__STORE_ENCRYPTED, ERR_NONE, NULL);
    put_repository(&plain, 1, "plain", LAB, SEALIFT__STORE_KIND__STORE_PLAINTEXT, ERR_NONE, NULL);
    put_repository(&second, 1, "second", LAB, SEALIFT__STORE_KIND__STORE_ENCRYPTED, ERR_NONE, NULL);
}

static void teardown(void)
{
    registry_free(registry);
    signing_deinit(&signing);
}

TestSuite(registry, .init = setup, .fini = teardown);

static void put_job(const struct job_draft *draft, enum err_code code, const char *text)
{
    AUTO(buf) struct buf bytes = {0};
    signing_job(&signing, draft, &bytes);
    expect(&bytes, code, text);
}

/* ---- claiming */

Test(registry, is_claimed_once_by_the_admin_who_signs_the_first_roster)
{
    AUTO(registry) struct registry *fresh = registry_new(signing.director_pk);
    signing.roster_version = 0;
    AUTO(buf) struct buf bytes = {0};
    signing_roster(&signing, ANNA, &bytes);
    AUTO(statement) struct statement *roster = signing_decode(&bytes);
    struct err err;
    cr_assert_null(registry_roster(fresh));
    cr_assert_not(registry_claim(fresh, roster, signing_public(&signing, BEN)->transport_pk, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
    cr_assert_not(registry_claim(fresh, roster, signing_public(&signing, EVE)->transport_pk, &err));
    cr_assert(registry_claim(fresh, roster, signing_public(&signing, ANNA)->transport_pk, &err), "%s",
              err.text);
    cr_assert_not(registry_claim(fresh, roster, signing_public(&signing, ANNA)->transport_pk, &err));
    cr_assert_eq(err.code, ERR_EXISTS);
}

Test(registry, refuses_a_roster_that_names_another_director)
{
    uint8_t other[32] = {1};
    AUTO(registry) struct registry *fresh = registry_new(other);
    signing.roster_version = 0;
    AUTO(buf) struct buf bytes = {0};
    signing_roster(&signing, ANNA, &bytes);
    AUTO(statement) struct statement *roster = signing_decode(&bytes);
    struct err err;
    cr_assert_not(registry_claim(fresh, roster, signing_public(&signing, ANNA)->transport_pk, &err));
    cr_assert_eq(err.code, ERR_POLICY);
}

Test(registry, takes_the_next_roster_of_an_admin_only)
{
    AUTO(buf) struct buf bytes = {0};
    signing_roster(&signing, BEN, &bytes);
    expect(&bytes, ERR_NOT_AUTHENTIC, NULL);
    signing.roster_version = 1;
    AUTO(statement) struct statement *first = NULL;
    signing.roster_hash = hash_of(roster_bytes(registry_roster(registry)));
    signing_roster(&signing, ANNA, &bytes);
    AUTO(buf) struct buf again = {0};
    buf_put_span(&again, buf_span(&bytes));
    expect(&bytes, ERR_NONE, NULL);
    cr_assert_eq(roster_version(registry_roster(registry)), 2);
    expect(&again, ERR_EXISTS, NULL);
    (void)first;
}

/* ---- repositories */

Test(registry, gives_each_repository_a_name_of_its_own)
{
    put_repository(&(struct id){{9}}, 1, "main", NAS, SEALIFT__STORE_KIND__STORE_ENCRYPTED, ERR_EXISTS,
                   "there is a repository 'main' already");
    put_repository(&store, 2, "main", NAS, SEALIFT__STORE_KIND__STORE_ENCRYPTED, ERR_NONE, NULL);
}

Test(registry, keeps_the_kind_of_a_repository_whose_owner_may_change)
{
    put_repository(&store, 2, "main", NAS, SEALIFT__STORE_KIND__STORE_PLAINTEXT, ERR_POLICY, NULL);
    put_repository(&store, 2, "main", LAB, SEALIFT__STORE_KIND__STORE_ENCRYPTED, ERR_NONE, NULL);
}

Test(registry, wants_the_owner_of_a_repository_in_the_roster)
{
    put_repository(&(struct id){{9}}, 1, "new", EVE, SEALIFT__STORE_KIND__STORE_ENCRYPTED, ERR_NOT_FOUND,
                   "the owner of repository 'new' is no transporter of the current roster");
}

/* ---- jobs */

Test(registry, keeps_the_newest_version_of_a_job_and_refuses_older_ones)
{
    struct job_draft draft = {.id = {{1}}, .version = 5, .name = "web-daily", .repository = store};
    put_job(&draft, ERR_NONE, NULL);
    draft.version = 4;
    put_job(&draft, ERR_NOT_AUTHENTIC, NULL);
    draft.version = 6;
    draft.name = "web-nightly";
    put_job(&draft, ERR_NONE, NULL);
    const struct statement *found =
        registry_find(registry, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &draft.id);
    cr_assert_str_eq(found->body.job->name, "web-nightly");
    cr_assert_eq(registry_count(registry, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB), 1);
}

Test(registry, answers_the_same_bytes_again_as_known)
{
    struct job_draft draft = {.id = {{1}}, .name = "web", .repository = store};
    AUTO(buf) struct buf bytes = {0};
    signing_job(&signing, &draft, &bytes);
    AUTO(buf) struct buf again = {0};
    buf_put_span(&again, buf_span(&bytes));
    expect(&bytes, ERR_NONE, NULL);
    expect(&again, ERR_EXISTS, NULL);
}

Test(registry, refuses_other_bytes_under_a_known_version)
{
    struct job_draft draft = {.id = {{1}}, .name = "web", .repository = store};
    put_job(&draft, ERR_NONE, NULL);
    draft.name = "bew";
    put_job(&draft, ERR_NOT_AUTHENTIC, NULL);
}

Test(registry, believes_no_signer_outside_the_roster)
{
    put_job(&(struct job_draft){.id = {{1}}, .name = "web", .repository = store, .signer = EVE},
            ERR_NOT_AUTHENTIC, NULL);
    put_job(&(struct job_draft){.id = {{1}}, .name = "web", .repository = store, .signer = WEB},
            ERR_NOT_AUTHENTIC, NULL);
    put_job(&(struct job_draft){.id = {{1}}, .name = "web", .repository = store, .signer = BEN}, ERR_NONE,
            NULL);
}

Test(registry, asks_the_placement_table)
{
    put_job(
        &(struct job_draft){
            .id = {{1}}, .name = "a", .repository = store, .placement = SEALIFT__PLACEMENT__PLACE_TARGET},
        ERR_POLICY, "job 'a': encryption on the target needs a target in the trusted zone");
    put_job(
        &(struct job_draft){
            .id = {{1}}, .name = "a", .repository = store, .placement = SEALIFT__PLACEMENT__PLACE_PLAIN},
        ERR_POLICY, NULL);
    put_job(&(struct job_draft){.id = {{1}}, .name = "a", .repository = store, .source = NAS}, ERR_POLICY,
            NULL);
    put_job(&(struct job_draft){.id = {{1}}, .name = "a", .repository = plain}, ERR_POLICY, NULL);
    put_job(
        &(struct job_draft){
            .id = {{1}}, .name = "a", .repository = plain, .placement = SEALIFT__PLACEMENT__PLACE_PLAIN},
        ERR_NONE, NULL);
    put_job(
        &(struct job_draft){
            .id = {{2}}, .name = "b", .repository = second, .placement = SEALIFT__PLACEMENT__PLACE_TARGET},
        ERR_NONE, NULL);
}

Test(registry, names_what_this_version_cannot_do)
{
    put_job(
        &(struct job_draft){.id = {{1}}, .name = "a", .repository = store, .schedule = "now and then"},
        ERR_USAGE,
        "job 'a': 'now and then' is no schedule: hourly, daily [02:30], weekly [sun] [03:00], every 6h or "
        "none (UTC)");
    put_job(&(struct job_draft){.id = {{9}}, .name = "b", .repository = store, .schedule = "daily"}, ERR_NONE,
            NULL);
}

Test(registry, takes_a_job_with_a_connection_and_a_proxy_that_goes_with_it)
{
    struct run_plan plan;
    struct err err;
    struct job_draft job = {.id = {{1}},
                            .name = "a",
                            .repository = store,
                            .connection = SEALIFT__CONNECTION__CONNECTION_DIRECT,
                            .proxy = "socks"};
    put_job(&job, ERR_USAGE, "job 'a': the proxy: 'socks' has no port: HOST:PORT");
    job.proxy = "socks:1080";
    put_job(&job, ERR_NONE, NULL);
    cr_assert(registry_plan_job(registry, &job.id, &plan, &err), "%s", err.text);
    cr_assert_eq(plan.own_way.connection, SEALIFT__CONNECTION__CONNECTION_DIRECT);
    cr_assert_str_eq(plan.own_way.proxy, "socks:1080");
    /* the link may know where */
    put_job(&(struct job_draft){.id = {{9}},
                                .name = "b",
                                .repository = store,
                                .connection = SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS},
            ERR_NONE, NULL);
}

Test(registry, wants_what_a_job_names_to_exist)
{
    put_job(&(struct job_draft){.id = {{1}}, .name = "a", .repository = {{99}}}, ERR_NOT_FOUND,
            "job 'a': the repository that the job writes to is unknown");
    put_job(&(struct job_draft){.id = {{1}}, .name = "a", .repository = store, .source = EVE}, ERR_NOT_FOUND,
            NULL);
    struct id nowhere = {{98}};
    put_job(
        &(struct job_draft){.id = {{1}}, .name = "a", .repository = second, .source = NAS, .from = &nowhere},
        ERR_NOT_FOUND, NULL);
}

Test(registry, frees_the_name_of_a_deleted_job)
{
    put_job(&(struct job_draft){.id = {{1}}, .name = "a", .repository = store}, ERR_NONE, NULL);
    put_job(&(struct job_draft){.id = {{2}}, .name = "a", .repository = store}, ERR_EXISTS,
            "there is a job 'a' already");
    put_job(&(struct job_draft){.id = {{1}}, .version = 2, .name = "a", .repository = store, .deleted = true},
            ERR_NONE, NULL);
    put_job(&(struct job_draft){.id = {{2}}, .name = "a", .repository = store}, ERR_NONE, NULL);
    struct run_plan plan;
    struct err err;
    cr_assert_not(registry_plan_job(registry, &(struct id){{1}}, &plan, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "job 'a' was deleted");
}

Test(registry, plans_who_takes_part_in_a_backup_and_in_a_copy)
{
    put_job(&(struct job_draft){.id = {{1}}, .version = 3, .name = "a", .repository = store}, ERR_NONE, NULL);
    put_job(
        &(struct job_draft){.id = {{2}}, .name = "b", .repository = second, .source = NAS, .from = &store},
        ERR_NONE, NULL);
    struct run_plan plan;
    struct err err;
    cr_assert(registry_plan_job(registry, &(struct id){{1}}, &plan, &err), "%s", err.text);
    cr_assert_eq(plan.kind, RUN_BACKUP);
    cr_assert_eq(plan.subject_version, 3);
    cr_assert_eq(memcmp(plan.source, signing_key(&signing, WEB), SIGN_PK_LEN), 0);
    cr_assert_eq(memcmp(plan.target, signing_key(&signing, NAS), SIGN_PK_LEN), 0);
    cr_assert_str_eq(plan.target_name, "nas");
    cr_assert(registry_plan_job(registry, &(struct id){{2}}, &plan, &err), "%s", err.text);
    cr_assert_eq(plan.kind, RUN_COPY);
    cr_assert_str_eq(plan.source_name, "nas");
    cr_assert_str_eq(plan.target_name, "lab");
    cr_assert_eq(plan.repository.bytes[0], second.bytes[0]);
}

Test(registry, plans_maintenance_for_the_repositorys_owner_alone)
{
    struct run_work work = {.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE, .about = {{1}}};
    struct run_plan plan;
    struct err err;
    put_job(&(struct job_draft){.id = {{1}}, .name = "a", .repository = second}, ERR_NONE, NULL);
    cr_assert(registry_plan_maintenance(registry, &second, &work, &plan, &err), "%s", err.text);
    cr_assert_eq(plan.kind, RUN_MAINTENANCE);
    cr_assert_str_eq(plan.source_name, "lab");
    cr_assert_str_eq(plan.target_name, "lab");
    cr_assert(id_eq(&plan.work.about, &work.about));
    cr_assert_not(registry_plan_maintenance(registry, &store, &work, &plan, &err));
    cr_assert_str_eq(err.text, "job 'a' does not write to this repository");
    work.about = (struct id){{77}};
    cr_assert_not(registry_plan_maintenance(registry, &second, &work, &plan, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    work.about = (struct id){{0}};
    cr_assert_not(registry_plan_maintenance(registry, &(struct id){{98}}, &work, &plan, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
}

Test(registry, checks_a_job_again_when_it_is_to_run)
{
    put_job(&(struct job_draft){.id = {{1}}, .name = "a", .repository = store}, ERR_NONE, NULL);
    signing.transporters = 1u << NAS | 1u << LAB;
    AUTO(buf) struct buf bytes = {0};
    signing_roster(&signing, ANNA, &bytes);
    expect(&bytes, ERR_NONE, NULL);
    struct run_plan plan;
    struct err err;
    cr_assert_not(registry_plan_job(registry, &(struct id){{1}}, &plan, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
}

/* ---- grants */

Test(registry, wants_the_unlock_section_before_its_grants)
{
    AUTO(buf) struct buf unlock = {0}, grant = {0};
    signing_unlock(4, &unlock);
    signing_grant(&signing, &(struct id){{1}}, 1, 4, buf_span(&unlock), WEB, &grant);
    expect(&grant, ERR_NOT_FOUND, "the unlock section of key 'main' must be put before its grants");
    struct hash hash = hash_of(buf_span(&unlock)), key, other;
    memset(key.bytes, 4, HASH_LEN);
    memset(other.bytes, 5, HASH_LEN);
    struct err err;
    cr_assert(registry_accept_unlock(registry, &hash, &other, &err));
    signing_grant(&signing, &(struct id){{1}}, 1, 4, buf_span(&unlock), WEB, &grant);
    expect(&grant, ERR_PROTOCOL, "a grant of key 'main' names the unlock section of another key");
}

Test(registry, grants_to_members_of_the_roster_only)
{
    AUTO(buf) struct buf unlock = {0}, grant = {0};
    signing_unlock(4, &unlock);
    struct hash hash = hash_of(buf_span(&unlock)), key;
    memset(key.bytes, 4, HASH_LEN);
    struct err err;
    cr_assert(registry_accept_unlock(registry, &hash, &key, &err));
    signing_grant(&signing, &(struct id){{1}}, 1, 4, buf_span(&unlock), EVE, &grant);
    expect(&grant, ERR_NOT_FOUND, NULL);
    signing_grant(&signing, &(struct id){{1}}, 1, 4, buf_span(&unlock), WEB, &grant);
    expect(&grant, ERR_NONE, NULL);
    signing_grant(&signing, &(struct id){{2}}, 1, 4, buf_span(&unlock), BEN, &grant);
    expect(&grant, ERR_NONE, NULL);
}

Test(registry, has_room_for_a_bounded_number_of_unlock_sections)
{
    struct hash hash = {{0}}, key = {{0}};
    struct err err;
    for (uint32_t i = 0; i < REGISTRY_UNLOCKS_MAX; i++) {
        le32_put(hash.bytes, i);
        registry_load_unlock(registry, &hash, &key);
    }
    cr_assert(registry_accept_unlock(registry, &hash, &key, &err), "a known one is fine");
    hash.bytes[8] = 1;
    cr_assert_not(registry_accept_unlock(registry, &hash, &key, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
}

/* ---- orders */

static void put_order(const struct order_draft *draft, enum err_code code, const char *text)
{
    AUTO(buf) struct buf bytes = {0};
    signing_order(&signing, draft, &bytes);
    expect(&bytes, code, text);
}

Test(registry, checks_orders_against_placement_expiry_and_roster)
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

Test(registry, plans_an_order_from_the_repository_to_its_target)
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

Test(registry, plans_a_wrap_for_one_trusted_host_and_no_repository)
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

Test(registry, plans_a_witness_of_one_trusted_host_and_no_repository)
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

Test(registry, plans_an_order_about_a_point_for_the_repositorys_owner_alone_whatever_its_zone)
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

/* ---- whom it concerns */

Test(registry, knows_whom_a_statement_concerns)
{
    AUTO(buf) struct buf bytes = {0};
    signing_job(&signing, &(struct job_draft){.id = {{1}}, .name = "a", .repository = store}, &bytes);
    AUTO(statement) struct statement *job = signing_decode(&bytes);
    cr_assert(registry_concerns(registry, job, signing_key(&signing, WEB)));
    cr_assert(registry_concerns(registry, job, signing_key(&signing, NAS)));
    cr_assert_not(registry_concerns(registry, job, signing_key(&signing, LAB)));

    buf_clear(&bytes);
    signing_order(&signing, &(struct order_draft){.id = {{1}}, .repository = store, .target = LAB}, &bytes);
    AUTO(statement) struct statement *order = signing_decode(&bytes);
    cr_assert(registry_concerns(registry, order, signing_key(&signing, LAB)));
    cr_assert(registry_concerns(registry, order, signing_key(&signing, NAS)));
    cr_assert_not(registry_concerns(registry, order, signing_key(&signing, WEB)));

    buf_clear(&bytes);
    AUTO(buf) struct buf unlock = {0};
    signing_unlock(4, &unlock);
    signing_grant(&signing, &(struct id){{1}}, 1, 4, buf_span(&unlock), WEB, &bytes);
    AUTO(statement) struct statement *grant = signing_decode(&bytes);
    cr_assert(registry_concerns(registry, grant, signing_key(&signing, WEB)));
    cr_assert_not(registry_concerns(registry, grant, signing_key(&signing, NAS)));
}
