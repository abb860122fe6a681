/* Statements of the small site that a transporter can really carry out: repositories with a directory, jobs
 * with a plan, orders, and grants of keys. Free each with statement_free. */
#ifndef SEALIFT_TEST_SESSION_SITE_STATEMENTS_H
#define SEALIFT_TEST_SESSION_SITE_STATEMENTS_H

#include "common/crypto/seal/key.h"
#include "tests/unit/wire/fixture.h"

struct repository_draft {
    struct id id;
    const char *name, *path;
    const struct identity *owner;
    Sealift__StoreKind kind; /* 0: encrypted */
    uint32_t deleted;
};
struct statement *site_repository(const struct site *site, const struct repository_draft *draft);

struct backup_draft {
    struct id id, repository;
    uint64_t version;
    const struct identity *source;
    const struct write_half *half;  /* sealed by the source; NULL: plain */
    const char *path;               /* what is backed up */
    Sealift__Connection connection; /* 0: direct */
    uint32_t deleted;
    uint32_t keep_last; /* 0: no retention */
};
struct statement *site_backup(const struct site *site, const struct backup_draft *draft);

struct copy_draft {
    struct id id, repository, from;
    const struct identity *source;
    const struct write_half *half;
    Sealift__Placement placement;
};
struct statement *site_copy(const struct site *site, const struct copy_draft *draft);

struct restore_draft {
    struct id id, repository, point;
    struct hash point_hash;
    uint64_t expiry_s; /* 0: never */
    const struct identity *target;
    Sealift__OrderKind kind;   /* 0: restore */
    const struct hash *key_id; /* NULL: plain */
    const uint8_t *secret;     /* KEY_SECRET_LEN bytes for the target, or NULL */
    const char *destination;
    Sealift__KmsWrap **kms; /* of the key */
    size_t kms_count;
    uint32_t accept_revoked;
};
struct statement *site_restore(const struct site *site, const struct restore_draft *draft);

/* An order to wrap: S as a box to `sealed_to`. */
struct wrap_draft {
    struct id id;
    const struct identity *target, *sealed_to;
    const struct hash *key_id;
    const uint8_t *secret; /* KEY_SECRET_LEN bytes */
    const char *entry;
};
struct statement *site_wrap(const struct site *site, const struct wrap_draft *draft);

/* An order to witness, answered to the admin. */
struct statement *site_witness(const struct site *site, const struct id *id, const struct identity *target);

/* The write half of a key for `domain`, to `recipient`. */
struct statement *site_write_grant(const struct site *site, const struct identity *recipient,
                                   const struct write_half *half, const char *domain,
                                   const struct hash *unlock_hash);

#endif
