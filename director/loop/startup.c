/* What the catalog kept becomes what the director knows again. Everything signed is verified once more. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"

#include <string.h>

static bool load_roster(void *arg, struct span bytes, struct err *err)
{
    struct director *director = arg;
    AUTO(statement) struct statement *statement = NULL;
    if (!statement_decode(bytes, &statement, err) ||
        !registry_load_roster(director->registry, statement, err))
        return err_wrap(err, "a roster of the catalog");
    return true;
}

static bool load_statement(void *arg, struct span bytes, struct err *err)
{
    struct director *director = arg;
    AUTO(statement) struct statement *statement = NULL;
    if (!statement_decode(bytes, &statement, err)) return err_wrap(err, "a statement of the catalog");
    registry_load(director->registry, &statement);
    return true;
}

static bool load_seen(void *arg, Sealift__StatementType type, const struct id *id, uint64_t version,
                      const struct hash *hash, struct err *err)
{
    struct director *director = arg;
    registry_remember(director->registry, type, id, version, hash);
    return true;
}

static bool load_unlock(void *arg, const struct hash *hash, const struct hash *key_id, struct err *err)
{
    struct director *director = arg;
    registry_load_unlock(director->registry, hash, key_id);
    return true;
}

static bool load_run(void *arg, const struct run *run, struct err *err)
{
    struct director *director = arg;
    run_table_load(director->runs, &director->now, run);
    return true;
}

bool startup_load(struct director *director, struct err *err)
{
    static const Sealift__StatementType kept[] = {SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                                                  SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                                  SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT};
    struct catalog *catalog = director->catalog;
    if (!catalog_rosters(catalog, 0, load_roster, director, err)) return false;
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (!catalog_statements(catalog, kept[i], load_statement, director, err)) return false;
    return catalog_seen(catalog, load_seen, director, err) &&
           catalog_unlocks(catalog, load_unlock, director, err) && links_load(director, err) &&
           catalog_runs_open(catalog, load_run, director, err) && schedules_load(director, err);
}

static void admit(struct director *director, const char *domain, Sealift__Member *const *members,
                  size_t count)
{
    AUTO(free) uint8_t(*keys)[NET_KEY_LEN] = xcalloc(count ? count : 1, NET_KEY_LEN);
    for (size_t i = 0; i < count; i++)
        memcpy(keys[i], members[i]->curve_pk.data, NET_KEY_LEN);
    net_zap_replace_all(director->zap, domain, (const uint8_t(*)[NET_KEY_LEN])keys, count);
}

void startup_admit(struct director *director)
{
    const struct roster *roster = registry_roster(director->registry);
    net_zap_set_domain(director->zap, OPERATOR_DOMAIN, roster ? NET_UNKNOWN_REFUSE : NET_UNKNOWN_PENDING);
    net_zap_set_domain(director->zap, CONTROL_DOMAIN, NET_UNKNOWN_PENDING);
    if (!roster) return;
    const Sealift__RosterBody *body = roster_body(roster);
    admit(director, OPERATOR_DOMAIN, body->operators, body->n_operators);
    admit(director, CONTROL_DOMAIN, body->transporters, body->n_transporters);
}
