/* What a verifier of statements remembers: the highest version and its hash of each (type, id), so that an
 * older one, or another one under the same version, is refused. The owner persists it. One thread. */
#ifndef SEALIFT_WIRE_VERSION_MEMORY_H
#define SEALIFT_WIRE_VERSION_MEMORY_H

#include "common/base/auto.h"
#include "common/crypto/hash.h"

#include "proto/statement.pb-c.h"

struct version_memory;
struct version_memory *version_memory_new(void);
void version_memory_free(struct version_memory *memory);
DEFINE_AUTO(version_memory, struct version_memory *, version_memory_free)

/* false: nothing is remembered of it */
bool version_memory_get(const struct version_memory *memory, Sealift__StatementType type, const struct id *id,
                        uint64_t *version, struct hash *hash);
/* Takes the place of what is remembered of it, whatever that was. */
void version_memory_put(struct version_memory *memory, Sealift__StatementType type, const struct id *id,
                        uint64_t version, const struct hash *hash);
/* By type and id: for storing. */
typedef void version_memory_fn(void *arg, Sealift__StatementType type, const struct id *id, uint64_t version,
                               const struct hash *hash);
void version_memory_each(const struct version_memory *memory, version_memory_fn *each, void *arg);

#endif
