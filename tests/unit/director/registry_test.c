#include "registering.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(registry, .init = registering_begin, .fini = registering_end);

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
