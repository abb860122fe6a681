/* What the tests of the registry share: one that is claimed, with three repositories, and what signs for it.
 */
#ifndef SEALIFT_TEST_DIRECTOR_REGISTERING_H
#define SEALIFT_TEST_DIRECTOR_REGISTERING_H

#include "director/core/registry.h"
#include "signing.h"

static const uint64_t now_s = 1000;

extern struct signing signing;
extern struct registry *registry;
extern const struct id store, plain, second; /* of the nas; of the lab, in plaintext; of the lab */

void registering_begin(void);
void registering_end(void);

/* Hands over a signed statement and empties the bytes: what it comes to; ERR_EXISTS: it was known. NULL:
 * whatever the text. */
void expect(struct buf *bytes, enum err_code code, const char *text);
void put_repository(const struct id *id, uint64_t version, const char *name, enum signing_member owner,
                    Sealift__StoreKind kind, enum err_code code, const char *text);
void put_job(const struct job_draft *draft, enum err_code code, const char *text);

#endif
