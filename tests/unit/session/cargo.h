/* A recovery point of one file, packed chunk by chunk into an outlet. */
#ifndef SEALIFT_TEST_SESSION_CARGO_H
#define SEALIFT_TEST_SESSION_CARGO_H

#include "tests/unit/pipeline/keys.h"
#include "transporter/pipeline/packer.h"
#include "transporter/repository/repository.h"

enum { CARGO_CHUNKS = 60, CARGO_CHUNK_LEN = 150000 };

struct cargo {
    struct sealing *sealing;
    struct chunk_pool *pool;
    struct packer *data, *nodes;
    uint64_t skip; /* this chunk is left out; UINT64_MAX: none */
    struct err err;
};

void cargo_open(struct cargo *cargo, const struct sealing_options *options);
void cargo_close(struct cargo *cargo);
DEFINE_AUTO_IN_PLACE(cargo, struct cargo, cargo_close)

/* Chunks 0 to CARGO_CHUNKS - 1 and the manifest of "file"; true with the root's content hash. */
bool cargo_pack(struct cargo *cargo, struct hash *root);
/* Commits as `point`. */
bool cargo_commit(struct cargo *cargo, const struct keys *keys, const struct id *point,
                  const struct hash *root, struct commit_receipt *receipt, struct buf *missing);
/* Every chunk of it is in the repository and opens; each frame stands there once. */
void cargo_assert_stored(const struct cargo *cargo, const struct keys *keys, struct repository *repository,
                         const struct hash *root);

#endif
