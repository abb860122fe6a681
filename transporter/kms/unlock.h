/* The unlock order: the steps by which S comes back for a recovery point, each reported, each candidate
 * checked against the key id; a step that does not help goes on to the next.
 *
 *   1 known      a grant, the operator's own copy, or a key file that was given
 *   2 KMS        a wrap of the key, by every entry here that fits it, in turn
 *   3 password   of the key, or a further one
 *   4 kit        a recovery kit file
 *   5            a password key whose salt is nowhere is corrupted
 *
 * The opener of a run has the first two steps, the command line the first and the last ones, an offline verb
 * all of them. Any thread; blocks for as long as what it asks. */
#ifndef SEALIFT_KMS_UNLOCK_H
#define SEALIFT_KMS_UNLOCK_H

#include "common/crypto/password.h"
#include "common/crypto/seal/key.h"
#include "common/wire/stored.h"
#include "transporter/kms/kms_set.h"

enum {
    UNLOCK_ASKED_MOST = 256, /* wraps times entries: what is asked in all */
    UNLOCK_DERIVED_MOST = 16 /* a password is derived so often at most */
};
/* Passes times bytes of memory that deriving costs at most in all: as much as one salt with the highest
 * limits, or some 340 with the usual ones. */
#define UNLOCK_DERIVED_WORK (PWHASH_MAX_PASSES * PWHASH_MAX_MEMORY)
/* Of that, what salts cost that are not in the point itself: 16 with the usual limits. Nobody vouches for
 * them. */
#define UNLOCK_FOUND_WORK (UNLOCK_DERIVED_MOST * PWHASH_MODERATE.passes * PWHASH_MODERATE.memory_bytes)

enum unlock_step { UNLOCK_KNOWN = 1, UNLOCK_KMS = 2, UNLOCK_PASSWORD = 3, UNLOCK_KIT = 4 };
const char *unlock_step_name(enum unlock_step step);

/* What a step came to; of steps 1 and 2 there may be several. Borrowed for the time of the call. */
struct unlock_result {
    enum unlock_step step;
    const char *name;             /* known: its source; KMS: the entry that was asked; NULL: there is none */
    const Sealift__KmsWrap *wrap; /* KMS: NULL if there is none */
    const struct err *why;        /* NULL: it opens. ERR_NO_KEY: there is nothing here */
};

/* A place where a key may be known: gives a new secret of 32 bytes, or fails; ERR_NO_KEY: nothing here. */
struct unlock_known {
    const char *name;
    bool (*get)(void *arg, const struct hash *key_id, struct secret **s, struct err *err);
};

/* Where candidates come from. What is NULL has nothing to offer. */
struct unlock_sources {
    const struct unlock_known *known;
    size_t known_count;
    const struct kms_set *kms;
    /* as kms_unwrap, which it is when NULL: for tests */
    bool (*unwrap)(const struct kms_entry *entry, struct span wrap, const struct hash *key_id,
                   struct secret **s, struct err *err);
    /* a normalised password; ERR_NO_KEY: none was given */
    bool (*password)(void *arg, const char *label, struct secret **password, struct err *err);
    /* as known */
    bool (*kit)(void *arg, const struct hash *key_id, struct secret **s, struct err *err);
    /* asked before each question to a KMS: false with *err ends it all */
    bool (*going_on)(void *arg, struct err *err);
    void (*report)(void *arg, const struct unlock_result *result);
    void *arg;
};

/* What is known of the key beside the section that the point carries: its protectors are tried after those.
 * Nobody vouches for it, and nobody needs to: what it leads to is checked against the key id. */
struct unlock_more {
    bool found; /* the section itself is not the point's: its salts cost no more than those of the others */
    const Sealift__UnlockSection *const *sections; /* those of other keys are passed over */
    size_t section_count;
    Sealift__KmsWrap *const *wraps;
    size_t wrap_count;
};

/* `section` is the exact unlock section whose hash the signed body names (checked by whoever decoded the
 * point); `more` may be NULL. On success *out is the opened read half. ERR_NO_KEY (nothing that was tried
 * opens it; the text names the key, its fingerprint, and each step's reason), ERR_WRONG_KEY (a key or
 * password was given that is another), ERR_SALT_MISSING (where a password would be taken), ERR_DAMAGED (the
 * section or its keyring). Deriving takes about a second. */
bool unlock_section(struct span section, const struct unlock_more *more, const struct unlock_sources *sources,
                    struct read_half **out, struct err *err) MUST_CHECK;

/* Takes every step and reports it, whichever opens; opens nothing. False as unlock_section: *err is what a
 * restore would end with. */
bool unlock_explain(struct span section, const struct unlock_more *more, const struct unlock_sources *sources,
                    struct err *err) MUST_CHECK;

/* Can an entry of this kind (kms_kind_name) be asked to open one of these wraps? */
bool unlock_wraps_fit(Sealift__KmsWrap *const *wraps, size_t count, const char *kind);
/* Is there a salt, or a further password? */
bool unlock_takes_password(const Sealift__UnlockSection *section, const struct unlock_more *more);

#endif
