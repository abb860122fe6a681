/* Orders: one signed act. */
#ifndef SEALIFT_CLI_ORDER_H
#define SEALIFT_CLI_ORDER_H

#include "director/cli/point.h"

struct order_request {
    Sealift__OrderKind kind; /* ORDER_RESTORE, ORDER_BROWSE */
    const struct point *point;
    const Sealift__Member *target; /* restore: who writes; browse: who opens */
    Sealift__OpenAt open_at;
    const void *plan;        /* RestorePlan or BrowsePlan, sealed to who needs it and to the operators */
    uint32_t accept_revoked; /* 1: though it was written after its writer was revoked */
    struct secret *secret;   /* S when the caller has it (password, kit); NULL: found as below */
};

struct order {
    struct id id;
    struct id run;
};

/* Checks the placement table, gives the opener S where it has no read grant (from this operator's own copy),
 * signs, puts, and returns the run that the director made of it. ERR_POLICY, ERR_NO_KEY, ERR_WRONG_KEY.
 * Expires after an hour. */
bool order_put(struct cli *cli, const struct order_request *request, struct order *out,
               struct err *err) MUST_CHECK;

/* Opens one answer of a browse (docs/protocol.md): sealed to this operator. */
bool order_answer_open(struct cli *cli, const struct order *order, uint64_t number, bool last,
                       struct span sealed, struct secret **out, struct err *err) MUST_CHECK;

#endif
