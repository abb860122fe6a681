/* Chunks that a check with a key has looked at, so that of many points each chunk is opened once. Memory:
 * about 24 bytes for each distinct node, and at most 64 MiB for the data: of more than two million chunks one
 * that occurs again may be looked at again. One thread. */
#ifndef SEALIFT_PIPELINE_CHECKED_SET_H
#define SEALIFT_PIPELINE_CHECKED_SET_H

#include "common/base/auto.h"
#include "common/crypto/hash.h"

struct checked_set;
struct checked_set *checked_set_new(void);
void checked_set_free(struct checked_set *set);
DEFINE_AUTO(checked_set, struct checked_set *, checked_set_free)

/* True if the chunk was not in the set. */
bool checked_set_add_node(struct checked_set *set, const struct hash *id) __attribute__((warn_unused_result));
bool checked_set_add_data(struct checked_set *set, const struct hash *id) __attribute__((warn_unused_result));
void checked_set_empty(struct checked_set *set);

#endif
