/* Moving frames from a repository into an outlet, with the envelopes and lists that belong to them, in
 * batches of one class (docs/format.md section 5). Private to copy*.c. */
#ifndef SEALIFT_SESSION_COPY_FRAMES_H
#define SEALIFT_SESSION_COPY_FRAMES_H

#include "common/crypto/frame.h"
#include "transporter/pipeline/outlet.h"
#include "transporter/repository/repository.h"

#include <stdatomic.h>

struct copy_frames;

/* Both are borrowed. */
struct copy_frames *copy_frames_new(struct repository *from, const struct outlet *outlet,
                                    _Atomic uint64_t *sent_bytes, const _Atomic bool *cancelled);
void copy_frames_free(struct copy_frames *frames);
DEFINE_AUTO(copy_frames, struct copy_frames *, copy_frames_free)

/* A point begins: its dedup domain, NULL in a plaintext repository. */
void copy_frames_begin(struct copy_frames *frames, const struct hash *domain);
/* Whether something of this point could not be read here. */
bool copy_frames_lost(const struct copy_frames *frames);

/* Shows frames without sending them; at most 4,096, in any order. Each is borrowed for the call. */
typedef bool copy_frame_fn(void *arg, const struct frame_view *frame, struct err *err);
bool copy_frames_see(struct copy_frames *frames, const struct hash *ids, size_t count, copy_frame_fn *each,
                     void *arg, struct err *err) MUST_CHECK;
/* Sends these frames, all of one type. ERR_DAMAGED names the first that cannot be read here. */
bool copy_frames_send(struct copy_frames *frames, enum frame_type type, const struct hash *ids, size_t count,
                      struct err *err) MUST_CHECK;
bool copy_frames_flush(struct copy_frames *frames, struct err *err) MUST_CHECK;

#endif
