/* The chain of rosters in the state directory. */
#include "common/base/alloc.h"
#include "director/cli/state_inside.h"

#include <stdio.h>
#include <string.h>

enum { CHAIN_MAX = 100000 };

bool state_had_operator(const struct state *state, const uint8_t sign_pk[SIGN_PK_LEN])
{
    for (size_t i = 0; i < state->operator_count; i++)
        if (memcmp(state->operators[i].sign_pk, sign_pk, SIGN_PK_LEN) == 0) return true;
    return false;
}

static void make_current(struct state *state, struct roster *roster)
{
    const Sealift__RosterBody *body = roster_body(roster);
    for (size_t i = 0; i < body->n_operators; i++) {
        const uint8_t *sign_pk = body->operators[i]->sign_pk.data;
        if (state_had_operator(state, sign_pk)) continue;
        size_t at = state->operator_count++;
        state->operators = xreallocarray(state->operators, at + 1, sizeof(*state->operators));
        memcpy(state->operators[at].sign_pk, sign_pk, SIGN_PK_LEN);
    }
    roster_free(state->roster);
    state->roster = roster;
}

static bool verify(const struct state *state, struct span bytes, struct roster **out, struct err *err)
{
    AUTO(statement) struct statement *statement = NULL;
    if (!statement_decode(bytes, &statement, err)) return false;
    if (state->roster) return roster_next(state->roster, statement, out, err);
    if (!state->pinned) return err_set(err, ERR_NOT_FOUND, "no site is known here");
    return roster_first(statement, &state->site.line.site, state->site.line.admin, out, err);
}

static void file_name(uint64_t version, char out[static STATE_PATH_LEN])
{
    (void)snprintf(out, STATE_PATH_LEN, "rosters/%010llu", (unsigned long long)version);
}

const struct roster *state_roster(const struct state *state)
{
    return state->roster;
}

bool state_add_roster(struct state *state, struct span bytes, struct err *err)
{
    AUTO(roster) struct roster *roster = NULL;
    if (!verify(state, bytes, &roster, err)) return false;
    if (roster_version(roster) > CHAIN_MAX) return err_set(err, ERR_LIMIT, "more than %d rosters", CHAIN_MAX);
    char name[STATE_PATH_LEN];
    file_name(roster_version(roster), name);
    if (!state_make_dir(state, "rosters", err) || !state_write(state, name, bytes, err)) return false;
    make_current(state, roster);
    roster = NULL;
    return true;
}

bool state_roster_bytes(const struct state *state, uint64_t version, struct buf *out, struct err *err)
{
    char name[STATE_PATH_LEN];
    file_name(version, name);
    return state_read(state, name, STATEMENT_MAX, out, err);
}

/* Version after version until one is not there. */
bool state_load_rosters(struct state *state, struct err *err)
{
    for (uint64_t version = 1; version <= CHAIN_MAX; version++) {
        AUTO(buf) struct buf bytes = {0};
        AUTO(roster) struct roster *roster = NULL;
        if (!state_roster_bytes(state, version, &bytes, err)) {
            if (err->code != ERR_NOT_FOUND) return false;
            err_clear(err);
            return true;
        }
        if (!verify(state, buf_span(&bytes), &roster, err))
            return err_wrap(err, "roster %llu in '%s'", (unsigned long long)version, state->dir);
        make_current(state, roster);
        roster = NULL;
    }
    return true;
}
