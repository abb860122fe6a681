/* Orders: one signed act. */
#ifndef SEALIFT_CLI_ORDER_H
#define SEALIFT_CLI_ORDER_H

#include "director/cli/point.h"

/* Where S is looked for, the first step of the unlock order: with a read grant of the opener, else in this
 * operator's own copy; or not at all. */
enum order_from { ORDER_FROM_GRANT, ORDER_FROM_COPY, ORDER_FROM_NOWHERE };
/* Whether an order without S is worth a run: the opener may get it by a KMS. */
enum order_kms { ORDER_KMS_NONE, ORDER_KMS_MAY };

struct order_request {
    Sealift__OrderKind kind; /* ORDER_RESTORE, ORDER_BROWSE */
    const struct point *point;
    const Sealift__Member *target; /* restore: who writes; browse: who opens */
    Sealift__OpenAt open_at;
    const void *plan;        /* RestorePlan or BrowsePlan, sealed to who needs it and to the operators */
    uint32_t accept_revoked; /* 1: though it was written after its writer was revoked */
    struct secret *secret;   /* S when the caller has it (password, kit); NULL: found as below */
    enum order_from from;
    enum order_kms kms;
    Sealift__KmsWrap *const *wraps; /* of the key: they go along where S does not */
    size_t wrap_count;
};

/* What gives the opener the key. */
enum order_by { ORDER_BY_NOTHING, ORDER_BY_GRANT, ORDER_BY_COPY, ORDER_BY_KMS, ORDER_BY_SECRET };

struct order {
    struct id id;
    struct id run;
    enum order_by by; /* ORDER_BY_NOTHING: it needs none, or ORDER_FROM_NOWHERE */
};

/* Checks the placement table, gives the opener S where it has no read grant (from this operator's own copy),
 * signs, puts, and returns the run that the director made of it. ERR_POLICY, ERR_NO_KEY, ERR_WRONG_KEY.
 * Expires after an hour. */
bool order_put(struct cli *cli, const struct order_request *request, struct order *out,
               struct err *err) MUST_CHECK;

/* Who needs the key for this request, and who has the repository; borrowed from the roster. ERR_NOT_FOUND. */
bool order_opener(struct cli *cli, const struct order_request *request, const Sealift__Member **opener,
                  const Sealift__Member **owner, struct err *err) MUST_CHECK;

/* Opens one answer of a browse (docs/protocol.md): sealed to this operator. */
bool order_answer_open(struct cli *cli, const struct order *order, uint64_t number, bool last,
                       struct span sealed, struct secret **out, struct err *err) MUST_CHECK;

#endif
