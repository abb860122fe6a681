/* Protectors outside: having S wrapped by a KMS entry of a trusted transporter. The CLI never talks to a KMS.
 */
#ifndef SEALIFT_CLI_PROTECT_H
#define SEALIFT_CLI_PROTECT_H

#include "common/wire/stored.h"
#include "director/cli/access.h"
#include "director/cli/args.h"

/* A KMS entry of a transporter. */
struct protect_place {
    const Sealift__Member *host; /* borrowed from the roster */
    char entry[IDENTITY_NAME_MAX + 1];
};

/* What `word` means: ENTRY@TRANSPORTER, or ENTRY at the transporter `at`; with neither, the one trusted
 * transporter that says it has such an entry, which is the director's word: who is trusted is not. ERR_USAGE:
 * several have it; ERR_NOT_FOUND names what there is; ERR_POLICY: not in the trusted zone. */
bool protect_find(struct cli *cli, const char *word, const char *at, struct protect_place *out,
                  struct err *err) MUST_CHECK;

/* S, wrapped by the entry of this transporter and unwrapped there once; that the wrap comes from who was
 * given S is checked. S crosses in a box to the transporter, in an order that is carried out once. Errors
 * name entry, transporter and reason: ERR_UNREACHABLE where it is not connected or has no free slot,
 * ERR_NOT_FOUND where it has no such entry. Free with stored_kms_free. */
bool protect_wrap(struct cli *cli, const Sealift__Member *host, const char *entry, const struct hash *key_id,
                  const struct secret *s, Sealift__KmsWrap **out, struct err *err) MUST_CHECK;

/* Wraps that were made. {0} is empty. */
struct protect_wraps {
    Sealift__KmsWrap **list;
    size_t count;
};
void protect_wraps_deinit(struct protect_wraps *wraps);
DEFINE_AUTO_IN_PLACE(protect_wraps, struct protect_wraps, protect_wraps_deinit)
/* One wrap for each --kms WORD of a verb, `at` as above: all of them or none. ERR_USAGE: an entry twice. */
bool protect_wrap_all(struct cli *cli, const struct args *args, const char *at, const struct hash *key_id,
                      const struct secret *s, struct protect_wraps *out, struct err *err) MUST_CHECK;

#endif
