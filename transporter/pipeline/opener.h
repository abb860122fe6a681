/* Opening: from content hashes to plaintext. Keeps the run keys of the seals it has met; derives chunk
 * ids from content hashes; opens, decompresses and verifies each frame. In a plaintext repository the
 * same without keys. Shared by restore, browse, cat and check `decrypt`. */
#ifndef SEALIFT_PIPELINE_OPENER_H
#define SEALIFT_PIPELINE_OPENER_H

#include "common/crypto/seal/envelope_key.h"
#include "common/crypto/seal/frame_key.h"
#include "transporter/pipeline/inlet.h"

struct opener; /* thread-safe; per-thread state is in opener_thread */
struct opener_thread;

/* half: NULL for a plaintext repository. domain: the point's dedup domain name. Both outlive it. */
struct opener *opener_new(const struct read_half *half, const char *domain);
/* For contents that the repository side opens and sends inside the connection: ids are the content hashes
 * themselves, and the root node's is zero, because only the other side knows its hash. */
struct opener *opener_new_opened(void);
void opener_free(struct opener *opener);
DEFINE_AUTO(opener, struct opener *, opener_free)
bool opener_thread_new(struct opener *opener, struct opener_thread **out, struct err *err) MUST_CHECK;
void opener_thread_free(struct opener_thread *thread);
DEFINE_AUTO(opener_thread, struct opener_thread *, opener_thread_free)

struct hash opener_chunk_id(const struct opener *opener, enum frame_type type, const struct hash *content);
/* Envelopes may repeat. ERR_NOT_AUTHENTIC, ERR_WRONG_KEY, ERR_DAMAGED. */
bool opener_envelope(struct opener *opener, struct span envelope, struct err *err) MUST_CHECK;
/* The same for one of many: one that does not open, which anybody who writes may have stored, is passed over,
 * and the frames of its seal say that it is missing. */
bool opener_take_envelope(struct opener *opener, struct span envelope, struct err *err) MUST_CHECK;
/* A rewrap of the envelope's seal as it is stored: taken where the envelope itself does not open with our
 * key. One that leads to nothing is passed over. ERR_LIMIT. */
bool opener_rewrap(struct opener *opener, struct span envelope, struct span object,
                   struct err *err) MUST_CHECK;
/* Opens a frame to its plaintext; checks that it is the frame of `id`. ERR_DAMAGED, ERR_TRUNCATED. */
bool opener_frame(struct opener_thread *thread, const struct hash *id, struct span frame, struct buf *plain,
                  struct err *err) MUST_CHECK;
/* The same; *content shows the bytes as they were compressed, for who seals them again: they stay good until
 * the thread's next call. */
bool opener_frame_content(struct opener_thread *thread, const struct hash *id, struct span frame,
                          struct buf *plain, struct frame_content *content, struct err *err) MUST_CHECK;
/* What a chunk that the repository side lacks is to who must read it: damage, not "no such thing". False. */
bool opener_missing(const struct err *why, struct err *err) MUST_CHECK;
/* Of a chunk whose first copy did not open: asks for one copy after the other until one does. false only when
 * the asking failed. */
bool opener_other_copy(struct opener_thread *thread, const struct inlet *inlet, const struct hash *id,
                       struct buf *plain, bool *found, struct err *err) MUST_CHECK;
/* One node by chunk id, such as the root of a point: fetched and opened, from whichever copy opens. */
bool opener_root(struct opener_thread *thread, const struct inlet *inlet, const struct hash *chunk,
                 struct buf *node, struct err *err) MUST_CHECK;

#endif
