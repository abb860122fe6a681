/* A small site for tests: admin, second operator, two transporters, and rosters of them. */
#ifndef SEALIFT_TESTS_WIRE_FIXTURE_H
#define SEALIFT_TESTS_WIRE_FIXTURE_H

#include "common/crypto/identity.h"
#include "common/wire/statement.h"

struct site {
    struct id id;
    struct identity *admin, *helper, *source, *target;
    uint8_t director_curve[32];
};

void site_init(struct site *site);
void site_deinit(struct site *site);

/* What a roster says besides the members of the site. */
struct roster_draft {
    uint64_t version;
    const struct hash *previous;           /* NULL in version 1 */
    const struct identity *signer;         /* NULL: the admin */
    Sealift__Role admin_role;              /* 0: admin */
    Sealift__Zone target_zone;             /* 0: untrusted */
    const struct identity_public *instead; /* replaces the target's public half */
    const struct identity *revoked;        /* listed as revoked */
    uint64_t since_ns;                     /* since when; 0: 5 */
    bool without_helper;                   /* the second operator has left */
};
struct statement *site_roster(const struct site *site, const struct roster_draft *draft);
/* A chain of one. */
struct roster *site_first_roster(const struct site *site);

void member_of(const struct identity_public *known, Sealift__Member *out);

/* A valid job (encryption on the source, into repository `to`), signed by `signer`. */
struct statement *site_job(const struct site *site, const struct identity *signer, const struct id *job,
                           uint64_t version, const char *name);
void site_job_body(const struct site *site, Sealift__JobBody *out, Sealift__SealedCopy *copy,
                   Sealift__SealedCopy **copies, const char *name);

#endif
