/* sealift repository repair: what a repository has lost comes back from one that holds a copy. */
#ifndef SEALIFT_CLI_MEND_H
#define SEALIFT_CLI_MEND_H

#include "common/wire/stored.h"
#include "director/cli/args.h"
#include "director/cli/command.h"

/* Runs the copy job that operators have signed from the one repository to the other: frames travel nowhere
 * that no statement names. ERR_NOT_FOUND: there is no such job. */
bool mend_repository(struct cli *cli, const struct args *args, struct err *err) MUST_CHECK;
extern const struct option_spec mend_options[];

/* A note behind a failure that comes of damage in a repository: where else it can be read from, and what
 * brings it back. Of other failures nothing. */
void mend_advise(struct cli *cli, const struct id *repository, const struct err *why);

#endif
