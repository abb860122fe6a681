/* Sealing on behalf of a source: raw batches in, sealed batches out. One resealer belongs to one thread;
 * they share a sealing. */
#ifndef SEALIFT_PIPELINE_RESEAL_H
#define SEALIFT_PIPELINE_RESEAL_H

#include "transporter/pipeline/packer.h"

struct resealer;

/* The sealing (SEAL_HERE) and the pool must outlive it. */
bool resealer_new(struct sealing *sealing, struct chunk_pool *pool, struct resealer **out,
                  struct err *err) MUST_CHECK;
void resealer_free(struct resealer *resealer);
DEFINE_AUTO(resealer, struct resealer *, resealer_free)

/* Every chunk is decompressed and must hash to what the source said (ERR_PROTOCOL otherwise: nothing of a
 * source's word is taken over), then sealed as it is and sent. *last is the number of the newest sealed
 * batch of this resealer, which holds the end of the raw batch; 0 if there never was one. */
bool reseal_batch(struct resealer *resealer, struct span raw, uint64_t *last, struct err *err) MUST_CHECK;

#endif
