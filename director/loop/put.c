/* What operators put: the claim of the site, statements, unlock sections. */
#include "director/loop/inside.h"

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/wire/stored.h"
#include "director/catalog/claim_code.h"

#include <string.h>

/* A change that the registry has taken and the catalog has not: the director cannot go on. */
static void give_up(struct director *director, const struct err *err)
{
    catalog_rollback(director->catalog);
    director_fail(director, err);
}

/* ---- claiming */

static bool count_wrong_code(struct director *director, struct claim *claim, struct err *err)
{
    claim->tries++;
    bool last = claim->tries >= CATALOG_CLAIM_TRIES;
    if (last ? !catalog_claim_end(director->catalog, err) : !catalog_claim_put(director->catalog, claim, err))
        return false;
    log_event(LOG_WARN, "wrong_claim_code", "next", last ? "the code is void" : "it may be tried again",
              NULL);
    if (last)
        return err_set(err, ERR_POLICY,
                       "the claim code is wrong, and void after %d tries: make another with "
                       "'sealift-director --new-claim-code'",
                       CATALOG_CLAIM_TRIES);
    return err_set(err, ERR_WRONG_KEY, "the claim code is wrong; %u more %s",
                   CATALOG_CLAIM_TRIES - claim->tries,
                   plural(CATALOG_CLAIM_TRIES - claim->tries, "try", "tries"));
}

bool put_check_code(struct director *director, const char *code, struct err *err)
{
    struct claim claim;
    if (!catalog_claim_get(director->catalog, &claim, err)) {
        if (err->code != ERR_NOT_FOUND) return false;
        return err_set(err, ERR_POLICY,
                       "there is no claim code: make one with 'sealift-director --new-claim-code'");
    }
    struct hash hash = claim_code_hash(code);
    return hash_eq(&hash, &claim.code) || count_wrong_code(director, &claim, err);
}

/* The Done got lost on its way: the same claim again is answered as before. */
static bool claimed_by_this(struct director *director, struct span roster)
{
    const struct roster *current = registry_roster(director->registry);
    return current && roster_version(current) == 1 && span_eq(roster_bytes(current), roster);
}

static bool keep_claim(struct director *director, const struct statement *roster, struct err *err)
{
    return catalog_begin(director->catalog, err) &&
           catalog_roster_put(director->catalog, roster->version, buf_span(&roster->bytes), err) &&
           catalog_claim_end(director->catalog, err) && catalog_commit(director->catalog, err);
}

static bool claim(struct director *director, const struct net_peer *peer, const char *code,
                  struct span payload, struct err *err)
{
    if (claimed_by_this(director, payload)) return true;
    if (registry_roster(director->registry)) return err_set(err, ERR_EXISTS, "the site is claimed already");
    AUTO(statement) struct statement *roster = NULL;
    if (!put_check_code(director, code, err) || !statement_decode(payload, &roster, err) ||
        !registry_claim(director->registry, roster, peer->key, err))
        return false;
    if (!keep_claim(director, roster, err)) {
        give_up(director, err);
        return false;
    }
    startup_admit(director);
    log_event(LOG_INFO, "claimed", "admin", roster->body.roster->operators[0]->name, NULL);
    return true;
}

void put_claim(struct director *director, struct operator_link *link, const Sealift__Head *head,
               struct span payload)
{
    struct err err;
    if (claim(director, &link->line.peer, head->claim->code, payload, &err))
        operator_done(link, head->serial, NULL, director->control_port, (struct span){0});
    else if (!director->failed)
        operator_fail(link, head->serial, &err);
}

/* ---- statements */

/* `link` NULL: a transporter gave it back. */
static void say_accepted(struct director *director, const struct operator_link *link,
                         const struct statement *statement)
{
    const Sealift__Member *member = link ? operator_behind(director, link) : NULL;
    char id[ID_TEXT_LEN], version[24];
    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)statement->version);
    log_event(LOG_INFO, "statement", "type", statement_type_name(statement->type), "id",
              id_text(&statement->id, id), "version", version, "by", member ? member->name : "-", NULL);
}

static bool keep_roster(struct director *director, const struct statement *roster, struct err *err)
{
    if (catalog_roster_put(director->catalog, roster->version, buf_span(&roster->bytes), err)) return true;
    give_up(director, err);
    return false;
}

static void spread_roster(struct director *director)
{
    startup_admit(director);
    deliver_roster(director);
    hosts_expel(director);
    operator_expel(director);
    links_expel(director);
}

/* Signed anew, a repository's history counts from here. */
static bool calm(struct director *director, const struct id *repository, struct err *err)
{
    struct catalog_head head;
    if (!catalog_head_get(director->catalog, repository, &head, err)) return err->code == ERR_NOT_FOUND;
    if (head.alarm[0] == '\0') return true;
    struct catalog_head fresh = {.repository = *repository};
    return catalog_points_drop(director->catalog, repository, err) &&
           catalog_head_put(director->catalog, &fresh, err);
}

static bool new_owner(const struct statement *repository, const struct statement *old)
{
    return old && memcmp(old->body.repository->owner.data, repository->body.repository->owner.data,
                         SIGN_PK_LEN) != 0;
}

/* Of another owner than before, or one that has it again, the repository is not open until he says so. */
static bool await_owner(struct director *director, const struct statement *repository,
                        const struct statement *old, struct err *err)
{
    const Sealift__RepositoryBody *new = repository->body.repository;
    struct catalog_head head;
    if (!old || new->deleted) return true;
    if (!new_owner(repository, old) && !old->body.repository->deleted) return true;
    if (!catalog_head_get(director->catalog, &repository->id, &head, err)) return err->code == ERR_NOT_FOUND;
    head.code = ERR_BUSY;
    run_text_set(head.text, sizeof(head.text), "its owner has not said yet that it is open");
    return catalog_head_put(director->catalog, &head, err);
}

static bool keep_statement(struct director *director, const struct statement *statement,
                           const struct statement *old, struct err *err)
{
    bool repository = statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY;
    if (catalog_begin(director->catalog, err) && catalog_statement_put(director->catalog, statement, err) &&
        (!repository ||
         (calm(director, &statement->id, err) && await_owner(director, statement, old, err))) &&
        catalog_commit(director->catalog, err))
        return true;
    give_up(director, err);
    return false;
}

/* Whoever was asked as the owner, and is not (or there is nothing to own), does not answer: nobody shall wait
 * for it. */
static void forget_owner(struct director *director, const struct statement *repository,
                         const struct statement *old)
{
    struct host_link *owner = old ? hosts_find(director, old->body.repository->owner.data) : NULL;
    if (owner && (new_owner(repository, old) || repository->body.repository->deleted))
        logs_forget(owner, &repository->id);
}

static void ask_owner(struct director *director, const struct statement *repository)
{
    if (repository->body.repository->deleted) return;
    struct host_link *owner = hosts_find(director, repository->body.repository->owner.data);
    if (owner && owner->stage == HOST_CONNECTED) logs_ask(director, owner, &repository->id);
}

/* Runs of a job that still wait go by its new version. */
static void replan(struct director *director, const struct id *job)
{
    struct run_plan plan;
    struct err err;
    if (!registry_plan_job(director->registry, job, &plan, &err)) return;
    AUTO(effects) struct effects effects = {0};
    run_table_replan(director->runs, &director->now, &plan, &effects);
    (void)apply(director, &effects);
}

static bool put_plain(struct director *director, struct operator_link *link, struct statement **statement,
                      struct err *err)
{
    const struct statement *new = *statement;
    AUTO(acceptance) struct acceptance acceptance = {0};
    if (link && !links_check_job(director, new, err)) return false;
    if (!registry_accept(director->registry, statement, director->now.wall_ns / 1000000000, &acceptance, err))
        return false;
    if (acceptance.known) return true;
    if (acceptance.roster ? !keep_roster(director, new, err)
                          : !keep_statement(director, new, acceptance.old, err))
        return false;
    say_accepted(director, link, new);
    if (acceptance.roster) {
        spread_roster(director);
        schedules_plan(director);
        return true;
    }
    schedules_plan(director);
    deliver_statement(director, new, acceptance.old);
    if (new->type == SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY) {
        if (new_owner(new, acceptance.old)) deliver_jobs(director, new);
        forget_owner(director, new, acceptance.old);
        ask_owner(director, new);
    }
    if (new->type == SEALIFT__STATEMENT_TYPE__STATEMENT_JOB) replan(director, &new->id);
    return true;
}

bool put_given_back(struct director *director, struct statement **statement, struct err *err)
{
    if ((*statement)->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER)
        return err_set(err, ERR_PROTOCOL, "an order that is given back");
    return put_plain(director, NULL, statement, err);
}

/* ---- orders: accepted, kept, delivered and begun in one */

/* True: it was carried out before, and *run says as which run. */
static bool executed(struct director *director, const struct statement *order, struct id *run, bool *known,
                     struct err *err)
{
    struct hash hash;
    *known = false;
    if (!catalog_executed_get(director->catalog, &order->id, run, &hash, err))
        return err->code == ERR_NOT_FOUND;
    *known = true;
    if (hash_eq(&hash, &order->hash)) return true;
    return err_set(err, ERR_EXISTS, "another order was carried out under this id");
}

static bool keep_order(struct director *director, const struct statement *order, const struct id *run,
                       const struct effects *effects, struct err *err)
{
    return catalog_begin(director->catalog, err) && catalog_statement_put(director->catalog, order, err) &&
           catalog_executed_put(director->catalog, &order->id, run, &order->hash, err) &&
           apply_keep(director, effects, err) && catalog_commit(director->catalog, err);
}

static bool put_order(struct director *director, struct operator_link *link, struct statement **order,
                      struct id *run, struct err *err)
{
    bool known = false;
    struct run_plan plan;
    AUTO(acceptance) struct acceptance acceptance = {0};
    AUTO(effects) struct effects effects = {0};
    if (!executed(director, *order, run, &known, err)) return false;
    if (known) return true;
    if (!registry_accept(director->registry, order, director->now.wall_ns / 1000000000, &acceptance, err) ||
        !registry_plan_order(director->registry, *order, &plan, err))
        return false;
    plan.id = id_random();
    if (!run_table_start(director->runs, &director->now, &plan, &effects, err)) return false;
    if (!keep_order(director, *order, &plan.id, &effects, err)) {
        give_up(director, err);
        return false;
    }
    say_accepted(director, link, *order);
    deliver_statement(director, *order, NULL);
    apply_act(director, &effects);
    *run = plan.id;
    return true;
}

void put_statement(struct director *director, struct operator_link *link, const Sealift__Head *head,
                   struct span payload)
{
    struct err err;
    struct id run;
    AUTO(statement) struct statement *statement = NULL;
    bool ok = statement_decode(payload, &statement, &err);
    bool order = ok && statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER;
    ok = ok && (order ? put_order(director, link, &statement, &run, &err)
                      : put_plain(director, link, &statement, &err));
    if (director->failed) return;
    if (ok)
        operator_done(link, head->serial, order ? &run : NULL, 0, (struct span){0});
    else
        operator_fail(link, head->serial, &err);
}

/* ---- unlock sections */

bool put_unlock_bytes(struct director *director, struct span bytes, struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    if (!stored_unlock_decode(bytes, &section, err)) return false;
    struct hash hash = hash_of(bytes), key_id = stored_hash(&section->key_id);
    if (!registry_accept_unlock(director->registry, &hash, &key_id, err)) return false;
    if (catalog_unlock_put(director->catalog, &hash, &key_id, bytes, err)) return true;
    give_up(director, err);
    return false;
}

void put_unlock(struct director *director, struct operator_link *link, const Sealift__Head *head,
                struct span payload)
{
    struct err err;
    if (put_unlock_bytes(director, payload, &err))
        operator_done(link, head->serial, NULL, 0, (struct span){0});
    else if (!director->failed)
        operator_fail(link, head->serial, &err);
}
