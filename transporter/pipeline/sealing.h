/* One attempt's sealing, shared by the threads that pack: the envelope of the single-use run key, chunk
 * ids, which chunks are asked for, and the order in which batches get their numbers. With SEAL_THERE it
 * holds no key at all: chunks are known by content hash and batches are raw (raw_batch.h).
 *
 * Locking: numbering, signing and handing a batch to the outlet are one step under one mutex, so numbers
 * reach the outlet in order; an outlet without credit blocks every packer there, which is the
 * back-pressure. All functions may be called from any thread unless said. */
#ifndef SEALIFT_PIPELINE_SEALING_H
#define SEALIFT_PIPELINE_SEALING_H

#include "common/chunk/compress.h"
#include "common/crypto/seal/envelope_key.h"
#include "common/crypto/seal/frame_key.h"
#include "transporter/pipeline/outlet.h"

/* Everything is borrowed and must outlive the sealing. */
struct sealing_options {
    enum seal_place place;
    const struct sign_pair *writer; /* SEAL_HERE */
    const struct run_key *run;      /* SEAL_HERE: this attempt's, used for nothing else before or after; where
                                       there is no half only its seal id counts */
    const struct write_half *half;  /* SEAL_HERE; NULL exactly for CIPHER_NONE (a plaintext repository) */
    enum cipher cipher;
    enum padding padding;
    struct compress_spec compress;
    struct outlet outlet;
};

struct sealing;

/* Seals the run key into the envelope. ERR_POLICY when cipher and key do not go together:
 * nothing is ever written in clear for want of a key. */
bool sealing_new(const struct sealing_options *options, struct sealing **out, struct err *err) MUST_CHECK;
void sealing_free(struct sealing *sealing);
DEFINE_AUTO(sealing, struct sealing *, sealing_free)

const struct sealing_options *sealing_options(const struct sealing *sealing);
/* The attempt's seal id; the lists of plaintext repositories carry one too. SEAL_THERE: zero. */
const struct id *sealing_seal(const struct sealing *sealing);
/* The public id of the dedup domain. SEAL_THERE: zero. */
const struct hash *sealing_domain(const struct sealing *sealing);
/* What a chunk is asked for and named by: its chunk id, or with SEAL_THERE the content hash. */
struct hash sealing_id(const struct sealing *sealing, enum frame_type type, const struct hash *content);

/* The id of the point that is made from another one by sealing it anew (SEAL_HERE): the same one each time,
 * in the same dedup domain, so that it is made once, and nobody without the domain's key can take its place.
 */
struct id sealing_point_of(const struct sealing *sealing, const struct id *origin);

/* A sealer for one thread (SEAL_HERE). The sealing must outlive it. */
bool sealing_sealer(const struct sealing *sealing, struct frame_sealer **out, struct err *err) MUST_CHECK;

/* true for the first caller in this run: the chunk is then his to ask for and to deliver */
bool sealing_claim(struct sealing *sealing, enum frame_type type, const struct hash *id) MUST_CHECK;

enum {
    SEALING_PATIENCE = 256, /* misses in a row, per type, after which chunks go unasked */
    SEALING_PROBE = 16,     /* of which one in so many is asked for all the same; a hit ends the mode */
};
/* Whether the next chunk of this type should be asked for. */
bool sealing_should_ask(struct sealing *sealing, enum frame_type type);
/* Whether chunks of this type mostly go unasked now. */
bool sealing_is_unasked(const struct sealing *sealing, enum frame_type type);
/* Asks the outlet, and learns from the answers. */
bool sealing_ask(struct sealing *sealing, const enum frame_type *types, const struct hash *ids, size_t count,
                 uint8_t *have, struct err *err) MUST_CHECK;

/* Appends the signed list of `hashes` to the records in `batch` (SEAL_HERE), gives the batch its number
 * and hands it to the outlet, which leaves `batch` empty. `number` may be NULL. What the outlet took of a
 * batch that failed is not known: nothing goes behind it, and every later call fails with the same error. */
bool sealing_send(struct sealing *sealing, enum pack_class class_, struct buf *batch,
                  const struct hash *hashes, size_t count, uint64_t *number, struct err *err) MUST_CHECK;

/* Bytes of all batches so far. */
uint64_t sealing_sent_bytes(const struct sealing *sealing);
/* Bytes of data chunks that did not have to be sent: seen before in this run, or "have". */
void sealing_note_deduplicated(struct sealing *sealing, uint64_t bytes);
uint64_t sealing_deduplicated_bytes(const struct sealing *sealing);

#endif
