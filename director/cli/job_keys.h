/* Which key a new job uses, for which dedup domain, and the write grant that its sealing side needs. */
#ifndef SEALIFT_CLI_JOB_KEYS_H
#define SEALIFT_CLI_JOB_KEYS_H

#include "director/cli/keys.h"

struct job_keys {
    struct keys keys;
    const struct key_entry *entry; /* NULL: the job does not encrypt */
    struct read_half *half;        /* opened when it was needed */
    char domain[IDENTITY_NAME_MAX + 3];
    struct hash domain_id;
};
void job_keys_deinit(struct job_keys *keys);

/* From --encrypt, --key and --reencrypt: sets placement, key and domain of the body (which borrows from
 * `out`). The source of a backup with an own key uses that one unless another is said, and 'none' must be
 * said; a copy without --encrypt moves points as they are stored. */
bool job_keys_placement(struct cli *cli, const struct args *args, const Sealift__Member *source,
                        Sealift__JobBody *body, struct job_keys *out, struct err *err) MUST_CHECK;
/* Grants the write half to who seals, unless it has it; and says so. */
bool job_keys_grant(struct cli *cli, const Sealift__Member *sealing, const Sealift__JobBody *body,
                    struct job_keys *keys, struct err *err) MUST_CHECK;
/* Of a copy that re-encrypts: names the keys of the points, as far as jobs tell, that `sealing` cannot open,
 * and how it can. */
void job_keys_warn_unreadable(const struct cli *cli, const Sealift__Member *sealing,
                              const Sealift__JobBody *copy, const struct statements *jobs,
                              const struct job_keys *keys);
void job_keys_warn(const struct cli *cli, const struct job_keys *keys);

#endif
