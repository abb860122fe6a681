/* sealift repository check, point verify: what is asked for, a check by the repository's owner, and what it
 * found. Levels that need a key are verify.h. */
#ifndef SEALIFT_CLI_INSPECT_H
#define SEALIFT_CLI_INSPECT_H

#include "director/cli/args.h"
#include "director/cli/follow.h"

bool inspect_repository(struct cli *cli, const struct args *args, struct err *err) MUST_CHECK;
extern const struct option_spec inspect_options[];
bool inspect_point(struct cli *cli, const struct args *args, struct err *err) MUST_CHECK;
extern const struct option_spec inspect_point_options[];

/* One row for each finding. */
void inspect_add_findings(const Sealift__Warnings *found, json_t *rows);
/* As a table where there are people, else into `object`. `rows` is taken. */
void inspect_put_findings(struct cli *cli, json_t *rows, json_t *object);

/* Adds to `object` what the run has checked and found, and shows the findings as a table where there are
 * people. Nothing happens for a run that was no check. */
void inspect_show(struct cli *cli, const struct follow_result *result, json_t *object);
/* When the last check of each level and the last sweep of a repository ended well: "check_presence",
 * "check_hash", "swept", each a time, or null. `runs` are those of the repository, the newest first. */
void inspect_ages(const Sealift__RunListAnswer *runs, json_t *object);
/* What a check of a repository has found, as long as no later one of all packs, at its level or a deeper one,
 * found nothing: "damage_found", a time, "damage_level" and "damage_text"; or null. `runs` as above. */
void inspect_damage(const Sealift__RunListAnswer *runs, json_t *object);

/* Millionths out of "5%", "0.25 %"; ERR_USAGE unless more than nothing and at most all. */
bool inspect_parse_sample(const char *text, uint32_t *out, struct err *err) MUST_CHECK;

/* What people read of a check that came to its end. */
const char *inspect_verdict(uint64_t findings);
/* What is said of an object: the name of the code, or "note". */
const char *inspect_kind(enum err_code code);

#endif
