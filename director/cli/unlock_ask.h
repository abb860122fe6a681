/* Asking a transporter what each step of the unlock order that is its own comes to for a recovery point: its
 * grants, and every KMS entry of its configuration that fits a wrap. Nothing is opened for anybody. */
#ifndef SEALIFT_CLI_UNLOCK_ASK_H
#define SEALIFT_CLI_UNLOCK_ASK_H

#include "director/cli/key_material.h"

/* By the point's own section and the wraps of `material`. Waits for the answer, as long as it takes. The
 * report is the caller's (payload_unlock_free). ERR_UNREACHABLE, ERR_CANCELLED (interrupted), … */
bool unlock_ask(struct cli *cli, const struct point *point, const Sealift__Member *opener,
                const struct key_material *material, Sealift__UnlockReport **out, struct err *err) MUST_CHECK;

#endif
