/* Keys as this operator holds them. The director keeps grants (sealed, signed) and unlock sections; S leaves
 * this program only inside a box to a recipient that a grant or an order names. */
#ifndef SEALIFT_CLI_KEYS_H
#define SEALIFT_CLI_KEYS_H

#include "common/crypto/seal/key.h"
#include "common/wire/stored.h"
#include "director/cli/statements.h"

/* A key with a name: one that was made here, or the own key of a source that was registered. */
struct key_entry {
    struct hash key_id;
    char label[IDENTITY_NAME_MAX + 1];
    bool own;                    /* of a source: there is no S and no section here */
    uint8_t source[SIGN_PK_LEN]; /* own */
    struct hash domain;          /* own */
    struct hash unlock_hash;
    struct buf section_bytes;        /* exact */
    Sealift__UnlockSection *section; /* NULL: own */
    const char *description;         /* borrowed from here or from the state */
    struct id read_grant;            /* to this operator; zeros: there is none */
};
void key_entry_deinit(struct key_entry *key);
DEFINE_AUTO_IN_PLACE(key_entry, struct key_entry, key_entry_deinit)

struct keys {
    struct statements grants;
    struct key_entry *items;
    size_t count;
};
void keys_deinit(struct keys *keys);
DEFINE_AUTO_IN_PLACE(keys, struct keys, keys_deinit)

/* All keys that a grant names or that are registered here. `out` must be empty. */
bool keys_get(struct cli *cli, struct keys *out, struct err *err) MUST_CHECK;
/* By label: its newest generation; also by a fingerprint or hex key id, or at least 8 characters of the start
 * of one. ERR_NOT_FOUND. */
bool keys_named(const struct keys *keys, const char *name, const struct key_entry **out,
                struct err *err) MUST_CHECK;
const struct key_entry *keys_with_id(const struct keys *keys, const struct hash *key_id);

/* This operator's own copy of S, from the director's grants or from local state; where there is none, of a
 * later generation of the key, whose keyring has it. Asks for the identity's password if need be. Checked
 * against the key id. ERR_NO_KEY: there is none for this operator; ERR_WRONG_KEY. */
bool keys_own_secret(struct cli *cli, const struct hash *key_id, struct secret **s,
                     struct err *err) MUST_CHECK;
/* The copy of this very generation alone. */
bool keys_own_copy(struct cli *cli, const struct hash *key_id, struct secret **s, struct err *err) MUST_CHECK;
/* The same from local state alone: no director is asked, and nothing is written. */
bool keys_local_secret(struct cli *cli, const struct hash *key_id, struct secret **s,
                       struct err *err) MUST_CHECK;
/* And all that goes with it. */
bool keys_open(struct cli *cli, const struct key_entry *key, struct read_half **out,
               struct err *err) MUST_CHECK;

/* The grant in force (neither withdrawn nor expired) or NULL. `domain` NULL: the read half. */
const struct statement *keys_grant_of(const struct keys *keys, const struct hash *key_id,
                                      const uint8_t recipient[SIGN_PK_LEN], const struct hash *domain);

/* Signs and puts a grant: the read half (`domain` NULL) or the write half of one domain. Policy (trusted zone
 * for transporters) is checked, and that the section claims no generation that the half does not hold. The
 * read grant to this operator is kept in local state too. */
bool keys_grant(struct cli *cli, const struct key_entry *key, const struct read_half *half,
                const Sealift__Member *recipient, const char *domain, struct err *err) MUST_CHECK;
struct key_subset;
/* The same of a write half, whose section holds only this subset of the key's protectors (key_subset.h). */
bool keys_grant_writer(struct cli *cli, const struct key_entry *key, const struct read_half *half,
                       const Sealift__Member *recipient, const char *domain, const struct key_subset *subset,
                       struct err *err) MUST_CHECK;
/* The same half to the same recipient, with another unlock section, which has been put, and the subset that
 * it is of. Policy is checked. */
bool keys_grant_again(struct cli *cli, const struct statement *grant, const struct read_half *half,
                      const struct hash *unlock_hash, const struct key_subset *subset,
                      const Sealift__Member *recipient, struct err *err) MUST_CHECK;
/* key_replace.c. Makes this section, whose key id and secret are the half's, the newest of its key: puts it,
 * and signs every grant in force of the key again under its statement id with the section's hash. Every step
 * leaves a site that works, as both sections open the key: stopped half way, some grants name the old one
 * still, and the same call again, or keys_settle, brings them along. Readers come first, since it is their
 * grants that say which section is the newest. A writer that is kept to a subset of the key's protectors gets
 * what the new section still has of it, and no more. A recipient that may not have its half any more is left
 * out with a warning. */
bool keys_replace_section(struct cli *cli, const struct key_entry *key, const struct read_half *half,
                          struct span section, struct err *err) MUST_CHECK;
/* Grants in force of the key that still name an earlier section are signed again with the key's; *count: how
 * many. */
bool keys_settle(struct cli *cli, const struct key_entry *key, const struct read_half *half, size_t *count,
                 struct err *err) MUST_CHECK;
bool keys_withdraw(struct cli *cli, const struct statement *grant, struct err *err) MUST_CHECK;

/* The dedup domain of a source under this key: the key's shared one, or "t:NAME". */
void keys_domain_of(const struct key_entry *key, const char *source, char out[static IDENTITY_NAME_MAX + 3]);

/* "password", "file", "generated", "own" */
const char *key_origin_name(Sealift__KeyOrigin origin);

#endif
