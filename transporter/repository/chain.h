/* The log: numbered, signed entries, each with the hash of the one before (docs/format.md section 7).
 * A struct chain is a verified position in it: a value. Callers serialise appending. */
#ifndef SEALIFT_REPOSITORY_CHAIN_H
#define SEALIFT_REPOSITORY_CHAIN_H

#include "common/wire/stored.h"
#include "transporter/repository/repository.h"
#include "transporter/repository/storage.h"

#define CHAIN_NAME_LEN 15 /* "log/0000000001" and NUL */

enum chain_state {
    CHAIN_SOUND,
    CHAIN_DOUBTFUL, /* an entry of ours may be there without our knowing, or the index may not have followed:
                       opening the repository anew tells */
    CHAIN_TAKEN     /* another owner writes: somebody must end one of us */
};

struct chain {
    struct id site;
    struct id repository;
    enum repository_kind kind;
    /* the operator who signed the statement that `created` quotes; zeros: none */
    uint8_t founder[SIGN_PK_LEN];
    /* the signer of every entry from here on, until an `owner` entry names another */
    uint8_t owner[SIGN_PK_LEN];
    uint64_t owner_version; /* of the statement that made it the owner */
    /* whose statements count besides the founder's; NULL: nobody's */
    const struct repository_operators *operators;
    uint64_t number;  /* of the last verified entry; 0: none, and nothing above is known */
    struct hash hash; /* of its file */
    uint64_t time_ns;
    enum chain_state state;
};

void chain_name(uint64_t number, char out[static CHAIN_NAME_LEN]);
/* false: no name of a log entry */
bool chain_parse_name(const char *name, uint64_t *number);

/* The highest entry that is there, 0 for none. */
bool chain_highest(const struct storage *storage, uint64_t *last, struct err *err) MUST_CHECK;
/* The same; ERR_DAMAGED if an entry above `from` and below the highest is not. */
bool chain_last(const struct storage *storage, uint64_t from, uint64_t *last, struct err *err) MUST_CHECK;

/* Reads the entry after the last one, verifies it and moves on: signature, signer, repository, number,
 * previous hash, time. The first must be `created`. An `owner` entry is signed by the new owner and quotes
 * the statement of this repository that names it: of a higher version than the one before, signed by the
 * founder or another operator that is known. ERR_NOT_AUTHENTIC, ERR_DAMAGED, ERR_VERSION, ERR_LIMIT. */
bool chain_next(struct chain *chain, const struct storage *storage, Sealift__LogEntry **entry,
                struct err *err) MUST_CHECK;

/* Steps over an entry that is not right, or over all that are missing up to the next that is there, behind
 * the first: the next one's previous hash is then taken as that one says. */
void chain_skip(struct chain *chain, const struct storage *storage);

/* Fills in everything of `entry` but what its kind carries, signs it, stores it durably and moves on.
 * The time is the clock's, never below the previous entry's. ERR_BUSY: the number is taken by another
 * owner's entry. After a failure that leaves it open whether the entry is there, and where another owner
 * writes, every further append fails: ERR_FAILED. */
bool chain_append(struct chain *chain, const struct storage *storage, const struct sign_pair *owner,
                  Sealift__LogEntry *entry, struct err *err) MUST_CHECK;

/* The last position that this machine has seen, kept in its own state. */
struct chain_head {
    struct id repository;
    uint64_t number; /* 0: nothing remembered */
    struct hash hash;
};
bool chain_recall(const char *state_dir, struct chain_head *out, struct err *err) MUST_CHECK;
bool chain_remember(const char *state_dir, const struct chain *chain, struct err *err) MUST_CHECK;
/* Once the chain has come to the remembered number: ERR_NOT_AUTHENTIC if it is another entry. */
bool chain_matches(const struct chain *chain, const struct chain_head *head, struct err *err) MUST_CHECK;

#endif
