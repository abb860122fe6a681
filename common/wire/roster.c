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

/* The struct fields of a member's keys, for comparing all with all. */
static void keys_of(const Sealift__Member *member, const uint8_t *out[3])
{
    out[0] = member->sign_pk.data;
    out[1] = member->box_pk.data;
    out[2] = member->curve_pk.data;
}

static bool share_a_key(const Sealift__Member *a, const Sealift__Member *b)
{
    const uint8_t *left[3], *right[3];
    keys_of(a, left);
    keys_of(b, right);
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++)
            if (memcmp(left[i], right[j], KEY_LEN) == 0) return true;
    return false;
}

static const Sealift__Member *member_at(const Sealift__RosterBody *body, size_t i)
{
    if (i < body->n_operators) return body->operators[i];
    i -= body->n_operators;
    if (i < body->n_transporters) return body->transporters[i];
    return body->revoked[i - body->n_transporters]->member;
}

static bool unambiguous(const Sealift__RosterBody *body, struct err *err)
{
    size_t live = body->n_operators + body->n_transporters;
    size_t all = live + body->n_revoked;
    for (size_t i = 0; i < live; i++)
        for (size_t j = i + 1; j < all; j++) {
            const Sealift__Member *a = member_at(body, i), *b = member_at(body, j);
            if (share_a_key(a, b))
                return err_set(err, ERR_NOT_AUTHENTIC, "the roster uses a key of '%s' twice", a->name);
            bool same_kind = (i < body->n_operators) == (j < body->n_operators);
            if (j < live && same_kind && strcmp(a->name, b->name) == 0)
                return err_set(err, ERR_NOT_AUTHENTIC, "the roster has the name '%s' twice", a->name);
        }
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

static bool sound(const struct statement *statement, struct err *err)
{
    if (statement->type != SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER)
        return err_set(err, ERR_PROTOCOL, "a %s statement where a roster is expected",
                       statement_type_name(statement->type));
    if (!has_admin(statement->body.roster)) return err_set(err, ERR_NOT_AUTHENTIC, "the roster has no admin");
    return unambiguous(statement->body.roster, err);
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
    if (!sound(statement, err)) return false;
    if (!id_eq(&statement->site, site))
        return err_set(err, ERR_NOT_AUTHENTIC, "the roster is of another site");
    if (statement->version != 1)
        return err_set(err, ERR_NOT_AUTHENTIC, "the chain of rosters begins with version %llu instead of 1",
                       (unsigned long long)statement->version);
    if (memcmp(statement->signer, admin, SIGN_PK_LEN) != 0 || !is_admin(statement->body.roster, admin))
        return err_set(err, ERR_NOT_AUTHENTIC, "the first roster is not signed by the site's first admin");
    return adopt(statement, out, err);
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
    if (!sound(statement, err)) return false;
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
    return adopt(statement, out, err);
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
