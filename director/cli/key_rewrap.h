/* sealift key rewrap: old seals under the newest generation of a key, so that the earlier secrets are needed
 * no more for them. */
#ifndef SEALIFT_CLI_KEY_REWRAP_H
#define SEALIFT_CLI_KEY_REWRAP_H

#include "director/cli/args.h"
#include "director/cli/keys.h"

#define KEY_REWRAP_OPTIONS                                                                                   \
    {                                                                                                        \
        "at", "TRANSPORTER",                                                                                 \
            "the trusted transporter that does it (default: one that has the repository, or wrote the "      \
            "points)"                                                                                        \
    }

extern const struct option_spec key_rewrap_options[];
command_fn key_rewrap;

/* In each repository that has points of earlier generations of the key; waits for each run. `half` is that of
 * the key. *rows, also on failure: repository, at, run, state, text for each (docs/cli.md). ERR_POLICY: no
 * trusted transporter is known to do it. */
bool key_rewrap_all(struct cli *cli, const struct args *args, const struct key_entry *key,
                    const struct read_half *half, json_t **rows, struct err *err) MUST_CHECK;

#endif
