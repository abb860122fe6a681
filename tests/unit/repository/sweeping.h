/* What the tests of sweeps share: prunes, sweeps, and what is left after them. */
#ifndef SEALIFT_TESTS_SWEEPING_H
#define SEALIFT_TESTS_SWEEPING_H

#include "builder.h"
#include "transporter/repository/sweep.h"

uint64_t findings_of(struct repository *repository);

void prune(struct place *place, uint32_t last, uint64_t removed);

struct sweep_result sweep(struct place *place);

uint64_t pack_bytes(struct place *place);

/* After every start, with the index as it is and with one built from nothing. */
void reopen(struct place *place, int rebuilt);

/* A point that shares `shared` chunks with the one before. */
struct hash back_up_sharing(struct place *place, enum repository_kind kind, uint8_t seed, uint32_t content,
                            size_t own, uint32_t from, size_t shared);

/* How many packs have the state. */
size_t packs_in(struct place *place, enum index_state state);

#endif
