/* What operators sign, for tests: a site with two operators (the first an admin) and three transporters,
 * `web` (trusted), `nas` (untrusted), `lab` (trusted), and statements of every type by them. */
#ifndef SEALIFT_TEST_SIGNING_H
#define SEALIFT_TEST_SIGNING_H

#include "common/crypto/identity.h"
#include "common/wire/statement.h"

enum signing_member { ANNA, BEN, WEB, NAS, LAB, EVE, SIGNING_MEMBERS }; /* eve belongs to nothing */

struct signing {
    struct id site;
    struct identity *member[SIGNING_MEMBERS];
    uint8_t director_pk[32];
    /* of the newest roster that was signed */
    uint64_t roster_version;
    struct hash roster_hash;
    /* the next rosters leave out transporters whose bit is not set */
    unsigned transporters;
    bool without_ben;
    bool nas_trusted;
};

void signing_init(struct signing *signing);
void signing_deinit(struct signing *signing);

const uint8_t *signing_key(const struct signing *signing, enum signing_member member);
const struct identity_public *signing_public(const struct signing *signing, enum signing_member member);

/* Each appends the SignedStatement to `out`. */
void signing_roster(struct signing *signing, enum signing_member signer, struct buf *out);
void signing_repository(const struct signing *signing, const struct id *id, uint64_t version,
                        const char *name, enum signing_member owner, Sealift__StoreKind kind,
                        struct buf *out);

/* Detached: not in anybody's care. */
void signing_detached(const struct signing *signing, const struct id *id, uint64_t version, const char *name,
                      enum signing_member owner, struct buf *out);

struct job_draft {
    struct id id;
    uint64_t version; /* 0: 1 */
    const char *name;
    enum signing_member signer; /* ANNA */
    enum signing_member source; /* 0: WEB */
    struct id repository;
    Sealift__Placement placement;   /* 0: source */
    Sealift__Connection connection; /* 0: as the link says */
    const char *proxy;
    const char *schedule;
    const struct id *from; /* a copy */
    bool deleted;
};
void signing_job(const struct signing *signing, const struct job_draft *job, struct buf *out);

struct order_draft {
    struct id id;
    uint64_t version;        /* 0: 1 */
    Sealift__OrderKind kind; /* 0: restore */
    struct id repository;
    enum signing_member target; /* 0: WEB */
    uint64_t expiry_s;
    enum signing_member signer; /* ANNA */
    enum signing_member answer_to;
};
void signing_order(const struct signing *signing, const struct order_draft *order, struct buf *out);

/* An unlock section of the key whose id is 32 times `key`. */
void signing_unlock(uint8_t key, struct buf *out);
void signing_grant(const struct signing *signing, const struct id *id, uint64_t version, uint8_t key,
                   struct span unlock, enum signing_member recipient, struct buf *out);
/* A point of a backup by web, as a point file. */
void signing_point(const struct signing *signing, enum signing_member writer, const struct id *run,
                   const char *job, const struct id *point, struct buf *out);
/* One of `key`, with its unlock section. */
void signing_sealed_point(const struct signing *signing, enum signing_member writer, const struct id *run,
                          const struct id *point, uint8_t key, struct span unlock, struct buf *out);

struct statement *signing_decode(const struct buf *bytes);

#endif
