/* Opening what a recovery point refers to and sealing it anew under another key, for copies. Manifest nodes
 * name what they refer to by content hash (docs/format.md section 9), so their bytes stay what they are; ids,
 * frames, clear lists and lists are new. Which id a chunk will have follows from its content hash alone: what
 * the other side has already is found by asking, from the root down, and is neither read nor opened.
 *
 * Chunks reach the outlet before the nodes that name them. So a run that was interrupted goes on at the nodes
 * that are there, and what they turn out to lack is told by the commit. One thread; it starts others. */
#ifndef SEALIFT_PIPELINE_REENCRYPT_H
#define SEALIFT_PIPELINE_REENCRYPT_H

#include "transporter/pipeline/opener.h"
#include "transporter/pipeline/sealing.h"

#include <stdatomic.h>

struct reencrypt_options {
    struct sealing_options sealing; /* SEAL_HERE, with a half */
    unsigned threads;               /* 0: the number of cores */
    _Atomic uint64_t *opened_bytes; /* of frames, as they were stored */
    const _Atomic bool *cancelled;
};

struct reencrypt;

/* Everything in the options is borrowed. ERR_POLICY as sealing_new. */
bool reencrypt_new(const struct reencrypt_options *options, struct reencrypt **out,
                   struct err *err) MUST_CHECK;
void reencrypt_free(struct reencrypt *reencrypt);
DEFINE_AUTO(reencrypt, struct reencrypt *, reencrypt_free)

const struct sealing *reencrypt_sealing(const struct reencrypt *reencrypt);

/* Where one point's contents come from. */
struct reencrypt_from {
    struct opener *opener; /* must outlive the reencrypt */
    struct inlet inlet;
    struct hash root; /* chunk id there */
};

/* Sends what the other side lacks of the point; *root is the content hash of its root node. `missing` is NULL
 * at first. A commit that found something missing hands in these ids (struct hash each): then every node is
 * looked at, and they are sent whatever the other side answers.
 * ERR_DAMAGED, ERR_WRONG_KEY and the like when something cannot be read: reencrypt_lost tells. */
bool reencrypt_point(struct reencrypt *reencrypt, const struct reencrypt_from *from,
                     const struct buf *missing, struct hash *root, struct err *err) MUST_CHECK;
/* Whether the failure was of this point's contents: others may be gone on with. */
bool reencrypt_lost(const struct reencrypt *reencrypt);

#endif
