/* What an image or a stream is restored to: a file that takes its place when it is whole, or a block device.
 * Nothing of what was there before shows through. Private to the restore. */
#ifndef SEALIFT_PIPELINE_IMAGE_TARGET_H
#define SEALIFT_PIPELINE_IMAGE_TARGET_H

#include "transporter/pipeline/destination.h"
#include "transporter/pipeline/restore.h"

#define IMAGE_TARGET_PART ".sealift-part" /* behind the name of a file that is not whole yet */

struct image_target;

/* As options->destination and ->overwrite say, for the content that `entry` describes. *out is NULL when what
 * is there stays, as under `never` or when it is the same by size and time. The error codes are those of
 * restore_object. */
bool image_target_open(const struct restore_options *options, const struct entry *entry,
                       struct image_target **out, struct err *err) MUST_CHECK;
/* A file that was not finished stays as a part, for the next restore to go on with. */
void image_target_free(struct image_target *target);
DEFINE_AUTO(image_target, struct image_target *, image_target_free)

/* Bytes of a device beyond the content. */
uint64_t image_target_excess(const struct image_target *target);

/* Whether to compare before writing: there may be bytes that are right already. */
bool image_target_compares(const struct image_target *target);
/* Whether the `length` bytes at `offset` hash to `content`; false also if they cannot be read. `scratch` is
 * overwritten. */
bool image_target_holds(const struct image_target *target, uint64_t offset, uint64_t length,
                        const struct hash *content, struct buf *scratch);

/* Any thread. */
bool image_target_write(struct image_target *target, struct span bytes, uint64_t offset,
                        struct err *err) MUST_CHECK;
bool image_target_zero(struct image_target *target, uint64_t offset, uint64_t length,
                       struct err *err) MUST_CHECK;
/* makes what was written durable */
bool image_target_sync(struct image_target *target, struct err *err) MUST_CHECK;

/* Everything is written: durable, and a file gets its attributes and its place. *losses: enum metadata_loss,
 * which *loss explains. */
bool image_target_finish(struct image_target *target, const struct entry *entry, unsigned *losses,
                         struct err *loss, struct err *err) MUST_CHECK;

#endif
