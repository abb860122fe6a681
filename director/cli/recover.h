/* What restore, cat and point files share: the order, signed with what opens the point, and the run that
 * the director makes of it. */
#ifndef SEALIFT_CLI_RECOVER_H
#define SEALIFT_CLI_RECOVER_H

#include "director/cli/args.h"
#include "director/cli/order.h"
#include "director/cli/put.h"

/* --password-file, --password-fd: for points whose key nobody has a copy of */
#define RECOVER_OPTIONS                                                                                      \
    {"accept-revoked", NULL, "though the point was made after its writer had been revoked"},                 \
        {"password-file", "FILE",                                                                            \
         "where no copy of the key is known: its password is the first line of FILE"},                       \
    {                                                                                                        \
        "password-fd", "N", "the same, read from an open descriptor"                                         \
    }

/* Puts the order: with a grant or this operator's own copy (step 1 of the unlock order), else by the
 * key's password (step 3), which is asked for. Each step is said. `request->secret` must be NULL.
 * ERR_NOT_AUTHENTIC: the point's writer had been revoked before it was made, and nobody accepts that. */
bool recover_order(struct cli *cli, const struct args *args, struct order_request *request, struct order *out,
                   struct err *err) MUST_CHECK;

/* The transporter that opens for a browse: `--at`, else the point's writer if it is trusted, else the
 * repository's owner if that is. ERR_POLICY says what to do. */
bool recover_opener(struct cli *cli, const struct point *point, const char *at, const Sealift__Member **out,
                    struct err *err) MUST_CHECK;

#endif
