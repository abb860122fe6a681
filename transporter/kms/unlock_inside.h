/* One unlocking from the inside. Private to unlock*.c: unlock.c goes through the steps, unlock_kms.c asks KMS
 * entries, unlock_password.c derives. */
#ifndef SEALIFT_KMS_UNLOCK_INSIDE_H
#define SEALIFT_KMS_UNLOCK_INSIDE_H

#include "transporter/kms/unlock.h"

enum unlock_until { UNLOCK_UNTIL_OPEN, UNLOCK_ALL_STEPS };

struct unlock {
    const Sealift__UnlockSection *section; /* the point's */
    const struct unlock_more *more;        /* never NULL */
    struct hash key_id;
    const struct unlock_sources *sources;
    enum unlock_until until;
    struct secret *s;   /* found; NULL: not yet */
    struct err wrong;   /* of a key or password that was given and is another */
    struct err stopped; /* it was ended from outside */
    struct buf reasons; /* for people, of all steps that had something to try */
};

/* The i-th section of this key, the point's first; NULL behind the last. */
const Sealift__UnlockSection *unlock_section_at(const struct unlock *unlock, size_t index);
/* Is nothing left to do? */
bool unlock_is_over(const struct unlock *unlock);
/* Takes the candidate if it has the key id, and reports. */
void unlock_take(struct unlock *unlock, const struct unlock_result *result, struct secret **candidate);
/* Reports what did not help. */
void unlock_go_on(struct unlock *unlock, const struct unlock_result *result);
bool unlock_fits(const struct unlock *unlock, const struct secret *s, struct err *err);

void unlock_by_kms(struct unlock *unlock);
void unlock_by_password(struct unlock *unlock);
bool unlock_salt_is_gone(const struct unlock *unlock);

#endif
