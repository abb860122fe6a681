/* Sealing and opening frames (docs/format.md section 4): AES-256-GCM (NIST SP 800-38D) and
 * ChaCha20-Poly1305 (RFC 8439), under a key of the frame's own. The nonce is random and made inside:
 * no counter to lose, safe with threads, crashes and cloned machines. A frame_sealer and a
 * frame_opener hold cipher state and belong to one thread each; a run_key may be shared. */
#ifndef SEALIFT_CRYPTO_SEAL_FRAME_KEY_H
#define SEALIFT_CRYPTO_SEAL_FRAME_KEY_H

#include "common/crypto/frame.h"
#include "common/crypto/seal/envelope_key.h"

enum padding { PADDING_NONE, PADDING_PADME };

struct frame_sealer;

/* `run` is NULL with CIPHER_NONE, and only then; it must outlive the sealer. ERR_FAILED otherwise, or when
 * the cipher is not known or libcrypto has it not. */
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
/* Writes exactly frame_sealed_len bytes to `out`, which may not overlap `stored`. ERR_LIMIT for what the
 * format has no room for, ERR_FAILED for an input that breaks its rules (clear lists out of order, a
 * stored length over the raw length): neither reaches a disk. */
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
/* Verifies the tag and opens into `scratch` (cleared and grown as needed; empty after a failure).
 * `run` is the seal of the frame, or NULL where plain frames are expected: a sealed frame without `run`
 * is ERR_NO_KEY, a plain one where a seal is expected ERR_NOT_ENCRYPTED, another seal's ERR_WRONG_KEY.
 * ERR_DAMAGED: the tag, or what is inside. Decompressing and checking the chunk id is the next layer's
 * part (common/chunk/content.h). */
bool frame_open(struct frame_opener *opener, const struct run_key *run, const struct frame_view *frame,
                struct buf *scratch, struct frame_content *out, struct err *err) MUST_CHECK;

#endif
