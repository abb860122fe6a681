#include "common/wire/roster.h"

#include "common/base/alloc.h"
#include "common/wire/statement.h"

#include <string.h>

struct roster {
    struct statement *statement; /* a decoded copy of its own */
};

enum { KEY_LEN = 32 };

void roster_free(struct roster *roster)
{
    if (!roster) return;
    statement_free(roster->statement);
    free(roster);
}

static const Sealift__Member *member_at(const Sealift__RosterBody *body, size_t i)
{
    if (i < body->n_operators) return body->operators[i];
    i -= body->n_operators;
    if (i < body->n_transporters) return body->transporters[i];
    return body->revoked[i - body->n_transporters]->member;
}

/* One key of a member, or its name; `live`: it is not revoked. */
struct use {
    const void *what;
    const Sealift__Member *member;
    size_t at; /* of the member */
    bool live;
};

static int by_member(const struct use *a, const struct use *b)
{
    if (a->live != b->live) return a->live ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static int by_key(const void *a, const void *b)
{
    const struct use *left = a, *right = b;
    int order = memcmp(left->what, right->what, KEY_LEN);
    return order ? order : by_member(left, right);
}

static int by_name(const void *a, const void *b)
{
    const struct use *left = a, *right = b;
    int order = strcmp(left->what, right->what);
    return order ? order : by_member(left, right);
}

/* No key of a live member is anybody else's. Whose keys were revoked may have shared them. */
static bool keys_unambiguous(const Sealift__RosterBody *body, struct err *err)
{
    size_t live = body->n_operators + body->n_transporters, all = live + body->n_revoked;
    AUTO(free) struct use *uses = xcalloc(3 * all, sizeof(*uses));
    for (size_t i = 0; i < all; i++) {
        const Sealift__Member *member = member_at(body, i);
        const void *keys[] = {member->sign_pk.data, member->box_pk.data, member->curve_pk.data};
        for (size_t k = 0; k < 3; k++)
            uses[3 * i + k] = (struct use){keys[k], member, i, i < live};
    }
    qsort(uses, 3 * all, sizeof(*uses), by_key);
    for (size_t i = 1; i < 3 * all; i++) /* of equal ones the live are first */
        if (uses[i - 1].live && uses[i - 1].member != uses[i].member &&
            memcmp(uses[i - 1].what, uses[i].what, KEY_LEN) == 0)
            return err_set(err, ERR_NOT_AUTHENTIC, "the roster uses a key of '%s' twice",
                           uses[i - 1].member->name);
    return true;
}

static bool names_unambiguous(Sealift__Member *const *members, size_t count, struct err *err)
{
    AUTO(free) struct use *uses = xcalloc(count, sizeof(*uses));
    for (size_t i = 0; i < count; i++)
        uses[i] = (struct use){members[i]->name, members[i], i, true};
    qsort(uses, count, sizeof(*uses), by_name);
    for (size_t i = 1; i < count; i++)
        if (strcmp(uses[i - 1].what, uses[i].what) == 0)
            return err_set(err, ERR_NOT_AUTHENTIC, "the roster has the name '%s' twice",
                           uses[i].member->name);
    return true;
}

static const Sealift__Member *find_key(Sealift__Member *const *members, size_t count, const uint8_t *sign_pk)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(members[i]->sign_pk.data, sign_pk, SIGN_PK_LEN) == 0) return members[i];
    return NULL;
}

static const Sealift__Member *find_name(Sealift__Member *const *members, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(members[i]->name, name) == 0) return members[i];
    return NULL;
}

static bool is_admin(const Sealift__RosterBody *body, const uint8_t *sign_pk)
{
    const Sealift__Member *member = find_key(body->operators, body->n_operators, sign_pk);
    return member && member->role == SEALIFT__ROLE__ROLE_ADMIN;
}

static bool has_admin(const Sealift__RosterBody *body)
{
    for (size_t i = 0; i < body->n_operators; i++)
        if (body->operators[i]->role == SEALIFT__ROLE__ROLE_ADMIN) return true;
    return false;
}

static bool is_roster(const struct statement *statement, struct err *err)
{
    if (statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER) return true;
    return err_set(err, ERR_PROTOCOL, "a %s statement where a roster is expected",
                   statement_type_name(statement->type));
}

/* For a roster whose signer may make one: anybody can sign a long one. */
static bool sound(const Sealift__RosterBody *body, struct err *err)
{
    if (!has_admin(body)) return err_set(err, ERR_NOT_AUTHENTIC, "the roster has no admin");
    return keys_unambiguous(body, err) && names_unambiguous(body->operators, body->n_operators, err) &&
           names_unambiguous(body->transporters, body->n_transporters, err);
}

static bool adopt(const struct statement *statement, struct roster **out, struct err *err)
{
    struct statement *copy = NULL;
    if (!statement_decode(buf_span(&statement->bytes), &copy, err)) return false;
    struct roster *roster = xcalloc(1, sizeof(*roster));
    roster->statement = copy;
    *out = roster;
    return true;
}

bool roster_first(const struct statement *statement, const struct id *site, const uint8_t admin[SIGN_PK_LEN],
                  struct roster **out, struct err *err)
{
    if (!is_roster(statement, err)) return false;
    if (!id_eq(&statement->site, site))
        return err_set(err, ERR_NOT_AUTHENTIC, "the roster is of another site");
    if (statement->version != 1)
        return err_set(err, ERR_NOT_AUTHENTIC, "the chain of rosters begins with version %llu instead of 1",
                       (unsigned long long)statement->version);
    if (memcmp(statement->signer, admin, SIGN_PK_LEN) != 0 || !is_admin(statement->body.roster, admin))
        return err_set(err, ERR_NOT_AUTHENTIC, "the first roster is not signed by the site's first admin");
    return sound(statement->body.roster, err) && adopt(statement, out, err);
}

static bool succeeds(const struct roster *current, const struct statement *next, struct err *err)
{
    uint64_t have = current->statement->version;
    if (next->version < have)
        return err_set(err, ERR_NOT_AUTHENTIC, "roster version %llu is older than the known version %llu",
                       (unsigned long long)next->version, (unsigned long long)have);
    if (next->version == have && !hash_eq(&next->hash, &current->statement->hash))
        return err_set(err, ERR_NOT_AUTHENTIC, "two different rosters have version %llu",
                       (unsigned long long)have);
    if (next->version == have) return err_set(err, ERR_EXISTS, "this roster is known already");
    if (next->version != have + 1)
        return err_set(err, ERR_NOT_FOUND, "roster version %llu is missing before version %llu",
                       (unsigned long long)(have + 1), (unsigned long long)next->version);
    return true;
}

bool roster_next(const struct roster *current, const struct statement *statement, struct roster **out,
                 struct err *err)
{
    if (!is_roster(statement, err)) return false;
    if (!id_eq(&statement->site, &current->statement->site))
        return err_set(err, ERR_NOT_AUTHENTIC, "the roster is of another site");
    if (!succeeds(current, statement, err)) return false;
    const Sealift__RosterBody *body = statement->body.roster;
    if (body->previous.len != HASH_LEN ||
        memcmp(body->previous.data, current->statement->hash.bytes, HASH_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "roster version %llu does not follow the known one",
                       (unsigned long long)statement->version);
    if (!is_admin(current->statement->body.roster, statement->signer))
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "roster version %llu is not signed by an admin of the one before it",
                       (unsigned long long)statement->version);
    return sound(body, err) && adopt(statement, out, err);
}

uint64_t roster_version(const struct roster *roster)
{
    return roster->statement->version;
}

struct span roster_bytes(const struct roster *roster)
{
    return buf_span(&roster->statement->bytes);
}

const struct id *roster_site(const struct roster *roster)
{
    return &roster->statement->site;
}

const Sealift__RosterBody *roster_body(const struct roster *roster)
{
    return roster->statement->body.roster;
}

const Sealift__Member *roster_transporter(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN])
{
    const Sealift__RosterBody *body = roster_body(roster);
    return find_key(body->transporters, body->n_transporters, sign_pk);
}

const Sealift__Member *roster_transporter_named(const struct roster *roster, const char *name)
{
    const Sealift__RosterBody *body = roster_body(roster);
    return find_name(body->transporters, body->n_transporters, name);
}

const Sealift__Member *roster_operator(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN])
{
    const Sealift__RosterBody *body = roster_body(roster);
    return find_key(body->operators, body->n_operators, sign_pk);
}

const Sealift__Member *roster_operator_named(const struct roster *roster, const char *name)
{
    const Sealift__RosterBody *body = roster_body(roster);
    return find_name(body->operators, body->n_operators, name);
}

const Sealift__Member *roster_by_curve(const struct roster *roster, const uint8_t curve_pk[32])
{
    const Sealift__RosterBody *body = roster_body(roster);
    for (size_t i = 0; i < body->n_operators + body->n_transporters; i++) {
        const Sealift__Member *member = member_at(body, i);
        if (memcmp(member->curve_pk.data, curve_pk, KEY_LEN) == 0) return member;
    }
    return NULL;
}

bool roster_ever_admitted(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN], uint64_t *since_ns)
{
    const Sealift__RosterBody *body = roster_body(roster);
    const Sealift__Member *live = find_key(body->transporters, body->n_transporters, sign_pk);
    if (live) {
        *since_ns = UINT64_MAX;
        return live->zone == SEALIFT__ZONE__ZONE_TRUSTED;
    }
    for (size_t i = 0; i < body->n_revoked; i++)
        if (memcmp(body->revoked[i]->member->sign_pk.data, sign_pk, SIGN_PK_LEN) == 0) {
            *since_ns = body->revoked[i]->since_ns;
            return body->revoked[i]->member->zone == SEALIFT__ZONE__ZONE_TRUSTED;
        }
    return false;
}

const Sealift__Member *roster_ever_transporter(const struct roster *roster,
                                               const uint8_t sign_pk[SIGN_PK_LEN])
{
    const Sealift__RosterBody *body = roster_body(roster);
    const Sealift__Member *live = find_key(body->transporters, body->n_transporters, sign_pk);
    for (size_t i = 0; !live && i < body->n_revoked; i++) {
        const Sealift__Member *member = body->revoked[i]->member;
        bool same = memcmp(member->sign_pk.data, sign_pk, SIGN_PK_LEN) == 0;
        if (same && member->zone != SEALIFT__ZONE__ZONE_NONE) return member;
    }
    return live;
}

const Sealift__Member *roster_successor(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN])
{
    const Sealift__RosterBody *body = roster_body(roster);
    if (find_key(body->transporters, body->n_transporters, sign_pk)) return NULL;
    const Sealift__Member *revoked = roster_ever_transporter(roster, sign_pk);
    return revoked ? find_name(body->transporters, body->n_transporters, revoked->name) : NULL;
}

bool roster_ever_operator(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN])
{
    const Sealift__RosterBody *body = roster_body(roster);
    if (find_key(body->operators, body->n_operators, sign_pk)) return true;
    for (size_t i = 0; i < body->n_revoked; i++)
        if (memcmp(body->revoked[i]->member->sign_pk.data, sign_pk, SIGN_PK_LEN) == 0)
            return body->revoked[i]->member->role != SEALIFT__ROLE__ROLE_NONE;
    return false;
}
