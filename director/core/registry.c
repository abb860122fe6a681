#include "director/core/registry_rules.h"

#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

struct registry *registry_new(const uint8_t director_pk[32])
{
    struct registry *registry = xcalloc(1, sizeof(*registry));
    memcpy(registry->director_pk, director_pk, 32);
    registry->memory = version_memory_new();
    return registry;
}

static void shelf_deinit(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++)
        statement_free(shelf->items[i]);
    free(shelf->items);
}

void registry_free(struct registry *registry)
{
    if (!registry) return;
    for (size_t i = 0; i < SHELVES; i++)
        shelf_deinit(&registry->shelves[i]);
    roster_free(registry->roster);
    version_memory_free(registry->memory);
    free(registry->unlocks);
    free(registry);
}

void acceptance_deinit(struct acceptance *acceptance)
{
    statement_free(acceptance->old);
    acceptance->old = NULL;
}

/* ---- shelves */

/* -1: this type has none */
static int shelf_index(Sealift__StatementType type)
{
    switch (type) {
    case SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY:
        return 0;
    case SEALIFT__STATEMENT_TYPE__STATEMENT_JOB:
        return 1;
    case SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT:
        return 2;
    default:
        return -1;
    }
}

static struct statement **slot_of(const struct registry *registry, Sealift__StatementType type,
                                  const struct id *id)
{
    int index = shelf_index(type);
    if (index < 0) return NULL;
    const struct shelf *shelf = &registry->shelves[index];
    for (size_t i = 0; i < shelf->count; i++)
        if (id_eq(&shelf->items[i]->id, id)) return &shelf->items[i];
    return NULL;
}

const struct statement *registry_find(const struct registry *registry, Sealift__StatementType type,
                                      const struct id *id)
{
    struct statement **slot = slot_of(registry, type, id);
    return slot ? *slot : NULL;
}

size_t registry_count(const struct registry *registry, Sealift__StatementType type)
{
    int index = shelf_index(type);
    return index < 0 ? 0 : registry->shelves[index].count;
}

const struct statement *registry_at(const struct registry *registry, Sealift__StatementType type,
                                    size_t index)
{
    return registry->shelves[shelf_index(type)].items[index];
}

/* Takes the statement, which has a shelf, and returns the one that it replaces, or NULL. */
static struct statement *put(struct registry *registry, struct statement **statement)
{
    struct statement *new = *statement;
    int index = shelf_index(new->type);
    assert(index >= 0);
    *statement = NULL;
    registry->bytes += new->bytes.len;
    struct statement **slot = slot_of(registry, new->type, &new->id);
    if (slot) {
        struct statement *old = *slot;
        assert(old);
        registry->bytes -= old->bytes.len;
        *slot = new;
        return old;
    }
    struct shelf *shelf = &registry->shelves[index];
    if (shelf->count == shelf->cap) {
        shelf->cap = shelf->cap ? shelf->cap * 2 : 16;
        shelf->items = xreallocarray(shelf->items, shelf->cap, sizeof(struct statement *));
    }
    shelf->items[shelf->count++] = new;
    return NULL;
}

void registry_load(struct registry *registry, struct statement **statement)
{
    if (shelf_index((*statement)->type) >= 0) statement_free(put(registry, statement));
}

void registry_remember(struct registry *registry, Sealift__StatementType type, const struct id *id,
                       uint64_t version, const struct hash *hash)
{
    version_memory_put(registry->memory, type, id, version, hash);
}

/* ---- unlock sections */

const struct unlock_fact *registry_unlock(const struct registry *registry, const uint8_t hash[HASH_LEN])
{
    for (size_t i = 0; i < registry->unlock_count; i++)
        if (memcmp(registry->unlocks[i].hash.bytes, hash, HASH_LEN) == 0) return &registry->unlocks[i];
    return NULL;
}

void registry_load_unlock(struct registry *registry, const struct hash *hash, const struct hash *key_id)
{
    if (registry_unlock(registry, hash->bytes)) return;
    if (registry->unlock_count == registry->unlock_cap) {
        registry->unlock_cap = registry->unlock_cap ? registry->unlock_cap * 2 : 16;
        registry->unlocks =
            xreallocarray(registry->unlocks, registry->unlock_cap, sizeof(*registry->unlocks));
    }
    registry->unlocks[registry->unlock_count++] = (struct unlock_fact){.hash = *hash, .key_id = *key_id};
}

bool registry_accept_unlock(struct registry *registry, const struct hash *hash, const struct hash *key_id,
                            struct err *err)
{
    if (!registry_unlock(registry, hash->bytes) && registry->unlock_count >= REGISTRY_UNLOCKS_MAX)
        return err_set(err, ERR_LIMIT, "the director holds %zu unlock sections, and no room for more",
                       registry->unlock_count);
    registry_load_unlock(registry, hash, key_id);
    return true;
}

bool registry_wants_unlock(const struct registry *registry, const struct hash *hash)
{
    return !registry_unlock(registry, hash->bytes) && registry->unlock_count < REGISTRY_UNLOCKS_MAX / 2;
}

/* ---- rosters */

const struct roster *registry_roster(const struct registry *registry)
{
    return registry->roster;
}

bool registry_load_roster(struct registry *registry, const struct statement *statement, struct err *err)
{
    struct roster *next = NULL;
    if (registry->roster ? !roster_next(registry->roster, statement, &next, err)
                         : !roster_first(statement, &statement->site, statement->signer, &next, err))
        return false;
    roster_free(registry->roster);
    registry->roster = next;
    return true;
}

static bool names_us(const struct registry *registry, const struct statement *roster, struct err *err)
{
    if (memcmp(roster->body.roster->director_curve_pk.data, registry->director_pk, 32) == 0) return true;
    return err_set(err, ERR_POLICY, "the roster names the key of another director");
}

static bool is_roster(const struct statement *statement)
{
    return statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER;
}

static const Sealift__Member *admin_of(const Sealift__RosterBody *body, const uint8_t curve_pk[32])
{
    for (size_t i = 0; i < body->n_operators; i++)
        if (body->operators[i]->role == SEALIFT__ROLE__ROLE_ADMIN &&
            memcmp(body->operators[i]->curve_pk.data, curve_pk, 32) == 0)
            return body->operators[i];
    return NULL;
}

bool registry_claim(struct registry *registry, const struct statement *statement, const uint8_t peer_pk[32],
                    struct err *err)
{
    if (registry->roster) return err_set(err, ERR_EXISTS, "the site is claimed already");
    if (!is_roster(statement))
        return err_set(err, ERR_PROTOCOL, "a site is claimed by a roster, not by a %s statement",
                       statement_type_name(statement->type));
    if (!names_us(registry, statement, err)) return false;
    const Sealift__Member *admin = admin_of(statement->body.roster, peer_pk);
    if (!admin || memcmp(admin->sign_pk.data, statement->signer, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "a site is claimed by the admin who signs its first roster");
    return registry_load_roster(registry, statement, err);
}

static bool adopt_chain(struct registry *registry, struct statement *const *chain, size_t count,
                        const uint8_t peer_pk[32], struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (!is_roster(chain[i]) || !registry_load_roster(registry, chain[i], err))
            return is_roster(chain[i]) ? err_wrap(err, "roster %zu", i + 1)
                                       : err_set(err, ERR_PROTOCOL, "a site is claimed by its rosters alone");
    const struct statement *last = chain[count - 1];
    const Sealift__Member *admin = admin_of(last->body.roster, peer_pk);
    if (!names_us(registry, last, err)) return false;
    if (admin && memcmp(admin->sign_pk.data, last->signer, SIGN_PK_LEN) == 0) return true;
    return err_set(err, ERR_NOT_AUTHENTIC, "a site gets another director from the admin who signs for it");
}

bool registry_adopt(struct registry *registry, struct statement *const *chain, size_t count,
                    const uint8_t peer_pk[32], struct err *err)
{
    if (registry->roster) return err_set(err, ERR_EXISTS, "the site is claimed already");
    if (count == 0) return err_set(err, ERR_PROTOCOL, "a claim without rosters");
    if (adopt_chain(registry, chain, count, peer_pk, err)) return true;
    roster_free(registry->roster);
    registry->roster = NULL;
    return false;
}

/* ---- accepting */

static bool accept_roster(struct registry *registry, const struct statement *statement,
                          struct acceptance *out, struct err *err)
{
    struct span current = roster_bytes(registry->roster);
    if (span_eq(current, buf_span(&statement->bytes))) {
        out->known = true;
        return true;
    }
    if (!names_us(registry, statement, err) || !registry_load_roster(registry, statement, err)) return false;
    out->roster = true;
    return true;
}

/* Signer, site and expiry alone: what is not authentic gets no other answer. */
static bool authentic(const struct registry *registry, const struct statement *statement, uint64_t now_s,
                      struct err *err)
{
    AUTO(version_memory) struct version_memory *none = version_memory_new();
    return statement_check(statement, registry->roster, NULL, now_s, none, err);
}

static bool has_room(const struct registry *registry, const struct statement *statement, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < SHELVES; i++)
        count += registry->shelves[i].count;
    if (count < REGISTRY_STATEMENTS_MAX && registry->bytes + statement->bytes.len <= REGISTRY_BYTES_MAX)
        return true;
    return err_set(err, ERR_LIMIT, "the director holds %zu statements of %zu bytes, and no room for more",
                   count, registry->bytes);
}

bool registry_accept(struct registry *registry, struct statement **statement, uint64_t now_s,
                     struct acceptance *out, struct err *err)
{
    const struct statement *new = *statement;
    struct acceptance acceptance = {0};
    if (is_roster(new)) {
        if (!accept_roster(registry, new, &acceptance, err)) return false;
        *out = acceptance;
        return true;
    }
    const struct statement *old = registry_find(registry, new->type, &new->id);
    if (old && hash_eq(&old->hash, &new->hash)) {
        *out = (struct acceptance){.known = true};
        return true;
    }
    if (!authentic(registry, new, now_s, err) || !registry_rules_check(registry, new, old, err) ||
        (old && !statement_keeps_promises(new, old, err)))
        return false;
    bool kept = shelf_index(new->type) >= 0;
    if (kept && !has_room(registry, new, err)) return false;
    if (!statement_check(new, registry->roster, NULL, now_s, registry->memory, err)) return false;
    if (kept) acceptance.old = put(registry, statement);
    *out = acceptance;
    return true;
}
