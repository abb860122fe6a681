/* What a transporter believes, as it is held. Private to authority*.c: authority.c keeps it, authority_keys.c
 * opens what grants give. */
#ifndef SEALIFT_SESSION_AUTHORITY_INSIDE_H
#define SEALIFT_SESSION_AUTHORITY_INSIDE_H

#include "common/base/alloc.h"
#include "transporter/session/authority.h"
#include "transporter/session/roster_chain.h"

#include <pthread.h>

#define uthash_malloc(size) xmalloc(size)
#define HASH_FUNCTION HASH_FNV /* the default one falls through in a switch, which clang warns of */
#include <uthash.h>

enum { LOOSE_MAX = 64, REFUSALS_MAX = 8 };

struct statement_key {
    uint32_t type; /* as Sealift__StatementType; no bytes lie between it and the id */
    struct id id;
};

/* The newest statement under its key. */
struct kept {
    struct statement_key key;
    struct statement *statement;
    UT_hash_handle hh;
};

/* Why a statement was not taken: for the run that then asks for it. */
struct refusal {
    Sealift__StatementType type;
    struct id id;
    struct err why;
};

/* local state: rosters/ statements/TYPE-ID unlock/HASH executed/ORDER */
struct authority {
    const struct identity *self; /* borrowed */
    struct id site;
    pthread_mutex_t lock; /* everything below */
    struct roster_chain *rosters;
    struct kept *statements; /* a hash table, in the order in which they came */
    int statement_dir, unlock_dir, executed_dir;
    size_t executed_count;
    struct hash loose[LOOSE_MAX]; /* unlock sections that no grant named when they came; the oldest first */
    size_t loose_count;
    struct refusal refusals[REFUSALS_MAX]; /* the latest */
    size_t refusal_count;                  /* of all */
};

/* Under the lock; NULL: there is none. */
const struct statement *authority_find(const struct authority *authority, Sealift__StatementType type,
                                       const struct id *id);

#endif
