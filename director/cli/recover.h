/* What restore, cat, point files and checks with a key share: the order, signed with what opens the point,
 * and the run that the director makes of it. Together with the opener it is the unlock order
 * (transporter/kms/unlock.h). */
#ifndef SEALIFT_CLI_RECOVER_H
#define SEALIFT_CLI_RECOVER_H

#include "director/cli/kit_take.h"
#include "director/cli/order.h"
#include "director/cli/put.h"

/* --kit, --password-file, --password-fd: for points whose key nobody has a copy of */
#define RECOVER_OPTIONS                                                                                      \
    KIT_OPTIONS, {"accept-revoked", NULL, "though the point was made after its writer had been revoked"},    \
        {"password-file", "FILE",                                                                            \
         "where no copy of the key is known: its password is the first line of FILE"},                       \
    {                                                                                                        \
        "password-fd", "N", "the same, read from an open descriptor"                                         \
    }

/* Whether somebody stays to see what comes of the order. */
enum recover_stay { RECOVER_STAYS, RECOVER_LEAVES };

/* Puts the order: with a grant or this operator's own copy (step 1 of the unlock order); else without S,
 * where the opener may get it by a KMS (step 2); else by the key's password (step 3), which is asked for. Who
 * leaves cannot take step 3 after step 2: a password that is given is taken at once. Each step is said.
 * `request->secret` must be NULL. ERR_NO_KEY, ERR_WRONG_KEY, ERR_SALT_MISSING; ERR_NOT_AUTHENTIC: the point's
 * writer had been revoked before it was made, and nobody accepts that. */
bool recover_order(struct cli *cli, const struct args *args, enum recover_stay stay,
                   struct order_request *request, struct order *out, struct err *err) MUST_CHECK;

/* Would recover_again take another step after a run of `order` that ended with this code? */
bool recover_goes_on(const struct order *order, enum err_code code);
/* After such a run: puts another order, by the next step. *order is the newest. False: there is no next step,
 * or it did not help; *err, which holds why the run failed, then says what is left. */
bool recover_again(struct cli *cli, const struct args *args, struct order_request *request,
                   struct order *order, struct err *err) MUST_CHECK;

/* The transporter that opens for a browse: `--at`, else the point's writer if it is trusted, else the
 * repository's owner if that is. ERR_POLICY says what to do. */
bool recover_opener(struct cli *cli, const struct point *point, const char *at, const Sealift__Member **out,
                    struct err *err) MUST_CHECK;

#endif
