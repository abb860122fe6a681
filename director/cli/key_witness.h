/* What hosts in the trusted zone know of keys, asked by an order of the moment and signed by each for it.
 *
 * Grants say which generation and which unlock section of a key is the newest. This machine remembers those
 * that it has seen; of others it has the director's word alone, which may be older. So before something is
 * signed that goes by them, the hosts that were granted halves are asked: whatever a host has been given, the
 * director has, and must show. It says nothing of what no host that answers was given. */
#ifndef SEALIFT_CLI_KEY_WITNESS_H
#define SEALIFT_CLI_KEY_WITNESS_H

#include "director/cli/args.h"
#include "director/cli/keys.h"

/* For the options of a verb that calls keys_get_newest. */
#define UNWITNESSED_OPTION                                                                                   \
    {                                                                                                        \
        "unwitnessed", NULL,                                                                                 \
            "go by the director's word for which grants are the newest, where no trusted host can be asked"  \
    }

/* keys_get, and the director withholds nothing that trusted hosts have. Nobody is asked on the one machine of
 * the one operator that the site has ever had, which has seen every grant. ERR_NOT_AUTHENTIC names host and
 * key; ERR_UNREACHABLE: there are hosts to be asked, and none answers (--unwitnessed goes on, and so does
 * `args` NULL, where a person has no choice). */
bool keys_get_newest(struct cli *cli, const struct args *args, struct keys *out, struct err *err) MUST_CHECK;

/* The own key of a source, as the source itself says. ERR_NOT_FOUND: it has none. */
bool key_witness_own(struct cli *cli, const Sealift__Member *source, struct hash *key_id, struct hash *domain,
                     struct err *err) MUST_CHECK;

#endif
