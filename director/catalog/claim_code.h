/* The one-time code that proves to a new director that a claim comes from who set it up: 80 random bits as
 * four groups of four base32 characters, "ABCD-EFGH-IJKL-MNOP". Only its hash is kept; tries are counted. */
#ifndef SEALIFT_DIRECTOR_CLAIM_CODE_H
#define SEALIFT_DIRECTOR_CLAIM_CODE_H

#include "common/crypto/hash.h"

#define CLAIM_CODE_TEXT_LEN 20 /* with the NUL */

void claim_code_make(char out[static CLAIM_CODE_TEXT_LEN]);
/* Of the letters and digits alone, in upper case: however somebody types it. */
struct hash claim_code_hash(const char *code);

#endif
