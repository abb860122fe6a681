/* What this operator's machine keeps: identity, the pinned site, the chain of rosters, the highest versions
 * seen, its own sealed copies of keys, and the newest log heads of repositories. None of it ever steps
 * back. The directory has mode 0700; a second program may use it at the same time.
 *
 *   identity        key file (docs/format.md section 2), under a password unless it was made without one
 *   transport       32 bytes: the CURVE secret alone, so that listing needs no password
 *   site            two lines: the site line, and the director's operator address
 *   claim           roster 1, between `operator init` and the director's answer
 *   rosters/N       the chain, verified from the pinned admin
 *   versions        a line each: type id version hash
 *   heads           a line each: repository number hash
 *   grants/ID       read grants to this operator: signed statements, as received
 *   unlock/HASH     the unlock sections that they name
 *   kits/KEY        empty: a recovery kit of the key was made here
 *   own/KEY         a line each: facts of own keys of sources that were registered here
 *   rewraps/KEY     empty: a rotation to this generation has begun that rewraps, and is not finished
 *   risks/KEY       there is no protector of this key outside, and the warning was dismissed
 *   exported        there is an exported copy of the identity */
#ifndef SEALIFT_CLI_STATE_H
#define SEALIFT_CLI_STATE_H

#include "common/crypto/identity.h"
#include "common/wire/site_line.h"
#include "common/wire/statement.h"

struct state;

/* Makes the directory if it is not there; loads and verifies what is in it. ERR_DAMAGED and
 * ERR_NOT_AUTHENTIC name the file. */
bool state_open(const char *dir, struct state **out, struct err *err) MUST_CHECK;
void state_close(struct state *state);
DEFINE_AUTO(state, struct state *, state_close)

/* --- identity --- */

enum state_identity { STATE_NO_IDENTITY, STATE_IDENTITY_PLAIN, STATE_IDENTITY_UNDER_PASSWORD };
/* `known` is filled in unless there is none. */
enum state_identity state_identity(const struct state *state, struct identity_public *known);
/* Keeps a new identity: `file` is its key file. ERR_EXISTS if there is one. */
bool state_keep_identity(struct state *state, const struct identity *identity, const struct secret *file,
                         struct err *err) MUST_CHECK;
/* password NULL: a plain key file. As identity_open. */
bool state_open_identity(const struct state *state, const struct secret *password, struct identity **out,
                         struct err *err) MUST_CHECK;
/* 32 bytes, borrowed; NULL without an identity */
const struct secret *state_transport(const struct state *state);
bool state_exported(const struct state *state);
bool state_mark_exported(struct state *state, struct err *err) MUST_CHECK;

/* --- the site --- */

struct state_site {
    struct site_line line;
    struct director_address director; /* operator port */
};
/* NULL before one was claimed or joined */
const struct state_site *state_site(const struct state *state);
/* ERR_EXISTS if another one is pinned. */
bool state_pin_site(struct state *state, const struct state_site *site, struct err *err) MUST_CHECK;
/* Roster 1 of a claim under way; ERR_NOT_FOUND. */
bool state_claim(const struct state *state, struct buf *roster, struct err *err) MUST_CHECK;
bool state_keep_claim(struct state *state, struct span roster, struct err *err) MUST_CHECK;

/* --- rosters --- */

/* The newest; NULL before the first. Good until the next state_add_roster. */
const struct roster *state_roster(const struct state *state);
/* Verifies that it is the next one and keeps it. ERR_EXISTS: known; else as roster_first, roster_next. */
bool state_add_roster(struct state *state, struct span bytes, struct err *err) MUST_CHECK;
bool state_roster_bytes(const struct state *state, uint64_t version, struct buf *out,
                        struct err *err) MUST_CHECK;
/* Had any roster this operator? */
bool state_had_operator(const struct state *state, const uint8_t sign_pk[SIGN_PK_LEN]);

/* --- statements --- */

/* For statement_check; kept by state_save_versions, which writes only if something is new. */
struct version_memory *state_versions(struct state *state);
bool state_save_versions(struct state *state, struct err *err) MUST_CHECK;
/* 0: none is known. `hash` may be NULL. */
uint64_t state_version(const struct state *state, Sealift__StatementType type, const struct id *id,
                       struct hash *hash);

/* --- heads of repositories' logs --- */

/* Remembers the head. ERR_NOT_AUTHENTIC: the log stepped back, or has another entry under the same number
 * than the one that was seen. */
bool state_witness_head(struct state *state, const struct id *repository, uint64_t number,
                        const struct hash *hash, struct err *err) MUST_CHECK;
/* Calls for each repository whose head is known, until it returns false. */
typedef bool state_head_fn(void *arg, const struct id *repository, uint64_t number, const struct hash *hash);
void state_each_head(const struct state *state, state_head_fn *each, void *arg);

/* --- own copies of keys --- */

bool state_keep_grant(struct state *state, const struct id *id, struct span statement,
                      struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND. The bytes are as they were kept: verify them. */
bool state_grant(const struct state *state, const struct id *id, struct buf *statement,
                 struct err *err) MUST_CHECK;
/* Calls for each that is kept until it returns false. */
typedef bool state_grant_fn(void *arg, struct span statement, struct err *err);
bool state_each_grant(const struct state *state, state_grant_fn *each, void *arg, struct err *err) MUST_CHECK;
bool state_keep_unlock(struct state *state, struct span section, struct err *err) MUST_CHECK;
/* Checks the hash. ERR_NOT_FOUND, ERR_DAMAGED. */
bool state_unlock(const struct state *state, const struct hash *hash, struct buf *section,
                  struct err *err) MUST_CHECK;

/* A recovery kit of this generation of a key was made here once. */
bool state_has_kit(const struct state *state, const struct hash *key_id);
bool state_mark_kit(struct state *state, const struct hash *key_id, struct err *err) MUST_CHECK;
/* A rotation that was to rewrap what the repositories hold has made this generation. What cannot be forgotten
 * only costs the next rotation a look at what is done already. */
bool state_begin_rewrap(struct state *state, const struct hash *key_id, struct err *err) MUST_CHECK;
bool state_rewrap_begun(const struct state *state, const struct hash *key_id);
void state_end_rewrap(struct state *state, const struct hash *key_id);
/* This operator does without a protector of the key outside: nobody warns of it here again. */
bool state_accept_risk(struct state *state, const struct hash *key_id, struct err *err) MUST_CHECK;
bool state_risk_accepted(const struct state *state, const struct hash *key_id);

/* --- own keys of sources, as registered here --- */

struct state_own_key {
    struct hash key_id, domain;
    uint8_t source[SIGN_PK_LEN];
    char label[IDENTITY_NAME_MAX + 1];
    char description[256];
};
bool state_keep_own_key(struct state *state, const struct state_own_key *key, struct err *err) MUST_CHECK;
size_t state_own_key_count(const struct state *state);
const struct state_own_key *state_own_key(const struct state *state, size_t index);

#endif
