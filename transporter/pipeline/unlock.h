/* The unlock order: the steps by which S comes back for a recovery point, each reported, each candidate
 * checked against the key id; a step that does not help goes on to the next.
 *
 *   1 known      a grant, the operator's own copy, or a key file that was given
 *   2 KMS        a wrap that the unlock section carries
 *   3 password   from the salt in the unlock section
 *   4 kit        a recovery kit file
 *   5            a password key whose salt is nowhere is corrupted
 *
 * Steps 2 and 4 need parts that this version does not have: they are reported as what is missing. */
#ifndef SEALIFT_PIPELINE_UNLOCK_H
#define SEALIFT_PIPELINE_UNLOCK_H

#include "common/base/err.h"
#include "common/crypto/seal/key.h"

enum unlock_step { UNLOCK_KNOWN = 1, UNLOCK_KMS = 2, UNLOCK_PASSWORD = 3, UNLOCK_KIT = 4 };
const char *unlock_step_name(enum unlock_step step);

/* Where candidates come from. A callback that is NULL has nothing to offer. Each gives a new secret of 32
 * bytes (known) or a normalised password, or fails: ERR_NO_KEY means nothing here, go on; anything else is
 * reported and the next step is tried. */
struct unlock_sources {
    bool (*known)(void *arg, const struct hash *key_id, struct secret **s, struct err *err);
    bool (*password)(void *arg, const char *label, struct secret **password, struct err *err);
    /* what each step came to; `why` is NULL when it succeeded */
    void (*report)(void *arg, enum unlock_step step, const struct err *why);
    void *arg;
};

/* `section` is the exact unlock section whose hash the signed body names (checked by whoever decoded the
 * point). On success *out is the opened read half. ERR_NO_KEY (nothing was offered; the text names the
 * key's label and fingerprint), ERR_WRONG_KEY (what was offered does not fit), ERR_SALT_MISSING,
 * ERR_DAMAGED (the section or its keyring). Deriving takes about a second. */
bool unlock_section(struct span section, const struct unlock_sources *sources, struct read_half **out,
                    struct err *err) MUST_CHECK;

#define UNLOCK_FINGERPRINT_LEN 40 /* with the NUL */
/* What people compare: the first 160 bits of a key id in eight groups of base32, as everywhere on the
 * command line. */
void unlock_fingerprint(const struct hash *key_id, char out[static UNLOCK_FINGERPRINT_LEN]);

#endif
