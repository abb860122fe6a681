/* The run keys of the seals that a point's frames are under, by seal id. A point may need those of every run
 * of its job, and each guarded allocation takes several of the mappings that a process may have (65,530 on
 * Linux): many keys share one. Keys stay where they are. Private to the opener; any thread. */
#ifndef SEALIFT_PIPELINE_SEAL_KEYS_H
#define SEALIFT_PIPELINE_SEAL_KEYS_H

#include "common/crypto/seal/envelope_key.h"

#define SEAL_KEYS_MAX (1u << 20)

struct seal_keys;

struct seal_keys *seal_keys_new(void);
void seal_keys_free(struct seal_keys *keys); /* wipes them */
DEFINE_AUTO(seal_keys, struct seal_keys *, seal_keys_free)

/* Good as long as `keys`, for opening frames (run->key is NULL); NULL if the seal is not known. */
const struct run_key *seal_keys_find(struct seal_keys *keys, const struct id *seal);
/* Copies what opens frames; a seal that is known already stays as it is. ERR_LIMIT. */
bool seal_keys_add(struct seal_keys *keys, const struct run_key *run, struct err *err) MUST_CHECK;

#endif
