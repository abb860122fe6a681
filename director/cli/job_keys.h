/* Which key a new job uses, for which dedup domain, and the write grant that its sealing side needs. */
#ifndef SEALIFT_CLI_JOB_KEYS_H
#define SEALIFT_CLI_JOB_KEYS_H

#include "director/cli/key_subset.h"

struct job_keys {
    struct keys keys;
    const struct key_entry *entry; /* NULL: the job does not encrypt */
    struct read_half *half;        /* opened when it was needed */
    char domain[IDENTITY_NAME_MAX + 3];
    struct hash domain_id;
    struct key_subset subset; /* of the key's protectors, which the points carry */
};
void job_keys_deinit(struct job_keys *keys);

/* From --encrypt, --key and --reencrypt: sets placement, key and domain of the body (which borrows from
 * `out`). The source of a backup with an own key uses that one unless another is said, and 'none' must be
 * said; a copy without --encrypt moves points as they are stored. */
bool job_keys_placement(struct cli *cli, const struct args *args, const Sealift__Member *source,
                        Sealift__JobBody *body, struct job_keys *out, struct err *err) MUST_CHECK;
/* From --kms, behind the key. */
bool job_keys_subset(const struct args *args, struct job_keys *out, struct err *err) MUST_CHECK;
/* What there is besides the new job. */
struct job_neighbours {
    const struct statements *jobs, *repositories;
};
/* Grants the write half to who seals, unless it has it; and says so. A writer has one unlock section for a
 * key and a domain: ERR_POLICY where another job needs another subset of the protectors than this one. Where
 * no other job uses the grant, this one's subset takes the place of what it had. */
bool job_keys_grant(struct cli *cli, const Sealift__Member *sealing, const Sealift__JobBody *body,
                    const struct job_neighbours *others, struct job_keys *keys, struct err *err) MUST_CHECK;
/* The subset that the points of a job carry, as key_subset_json; null too where there is no key. */
json_t *job_keys_subset_json(const struct keys *keys, const Sealift__JobBody *job,
                             const struct statements *repositories);
/* Of a copy that re-encrypts: names the keys of the points, as far as jobs tell, that `sealing` cannot open,
 * and how it can. */
void job_keys_warn_unreadable(const struct cli *cli, const Sealift__Member *sealing,
                              const Sealift__JobBody *copy, const struct statements *jobs,
                              const struct job_keys *keys);
void job_keys_warn(const struct cli *cli, const struct job_keys *keys);

#endif
