/* sealift key explain: each step of the unlock order for one recovery point, what it comes to and why. */
#ifndef SEALIFT_CLI_KEY_EXPLAIN_H
#define SEALIFT_CLI_KEY_EXPLAIN_H

#include "director/cli/args.h"
#include "director/cli/cli.h"

/* Succeeds if a step that was tried opens the point; else ERR_NO_KEY, ERR_WRONG_KEY, ERR_SALT_MISSING. */
bool key_explain(struct cli *cli, const struct args *args, struct err *err) MUST_CHECK;
extern const struct option_spec key_explain_options[];

#endif
