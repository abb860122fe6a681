/* Sealing and opening frames (docs/format.md section 4). The nonce is made inside. A frame_sealer and
 * a frame_opener hold cipher state and belong to one thread each; a run_key may be shared. */
#ifndef SEALIFT_CRYPTO_SEAL_FRAME_KEY_H
#define SEALIFT_CRYPTO_SEAL_FRAME_KEY_H

#include "common/crypto/frame.h"
#include "common/crypto/seal/envelope_key.h"

enum padding { PADDING_NONE, PADDING_PADME };

struct frame_sealer;

/* run may be NULL with CIPHER_NONE only; it must outlive the sealer. */
bool frame_sealer_new(const struct run_key *run, enum cipher cipher, enum padding padding,
                      struct frame_sealer **out, struct err *err) MUST_CHECK;
void frame_sealer_free(struct frame_sealer *sealer);
DEFINE_AUTO(frame_sealer, struct frame_sealer *, frame_sealer_free)

/* What is sealed. `stored` is already compressed. The clear lists are sorted and without repeats. */
struct frame_input {
    enum frame_type type;
    struct hash chunk;
    uint32_t raw_len;
    uint8_t compression;
    struct span stored;
    const struct hash *nodes; /* clear list, node ids */
    size_t node_count;
    const struct hash *datas;
    size_t data_count;
};
/* Exact length of the frame. */
size_t frame_sealed_len(const struct frame_sealer *sealer, const struct frame_input *input);
/* Writes exactly frame_sealed_len bytes to `out`. `stored` may not overlap `out`. */
bool frame_seal(struct frame_sealer *sealer, const struct frame_input *input, uint8_t *out,
                struct err *err) MUST_CHECK;

struct frame_opener;
struct frame_opener *frame_opener_new(void);
void frame_opener_free(struct frame_opener *opener);
DEFINE_AUTO(frame_opener, struct frame_opener *, frame_opener_free)

struct frame_content {
    uint32_t raw_len;
    uint8_t compression;
    struct span stored; /* compressed bytes, borrowed from the scratch buffer (or the frame) */
};
/* Verifies the tag and opens into `scratch` (cleared and grown as needed). `run` is the seal of the
 * frame; NULL for cipher none. ERR_DAMAGED. Decompressing and checking the chunk id is the next
 * layer's part (common/chunk/content.h). */
bool frame_open(struct frame_opener *opener, const struct run_key *run, const struct frame_view *frame,
                struct buf *scratch, struct frame_content *out, struct err *err) MUST_CHECK;

#endif
