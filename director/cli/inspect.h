/* sealift repository check: a check of a repository by its owner, and what it found. */
#ifndef SEALIFT_CLI_INSPECT_H
#define SEALIFT_CLI_INSPECT_H

#include "director/cli/args.h"
#include "director/cli/follow.h"

bool inspect_repository(struct cli *cli, const struct args *args, struct err *err) MUST_CHECK;
extern const struct option_spec inspect_options[];

/* Adds to `object` what the run has checked and found, and shows the findings as a table where there are
 * people. Nothing happens for a run that was no check. */
void inspect_show(struct cli *cli, const struct follow_result *result, json_t *object);
/* When the last check of each level and the last sweep of a repository ended well: "check_presence",
 * "check_hash", "swept", each a time, or null. `runs` are those of the repository, the newest first. */
void inspect_ages(const Sealift__RunListAnswer *runs, json_t *object);

/* Millionths out of "5%", "0.25 %"; ERR_USAGE unless more than nothing and at most all. */
bool inspect_parse_sample(const char *text, uint32_t *out, struct err *err) MUST_CHECK;

#endif
