/* Cuts a region of an image into chunks and holes (docs/format.md section 9). Regions are cut independently,
 * so that several threads can, and what the cuts are depends on the bytes alone: neither on where a file has
 * holes nor on the number of threads. Private to the backup engine; one thread at a time. */
#ifndef SEALIFT_PIPELINE_IMAGE_CUTTER_H
#define SEALIFT_PIPELINE_IMAGE_CUTTER_H

#include "transporter/pipeline/attempt.h"
#include "transporter/source/image_extents.h"

/* Part of the format: a change makes every repository store images anew. */
enum {
    IMAGE_GRANULE = 64 * 1024, /* aligned pieces of so many bytes are a hole if they are all zeros */
    /* A cut is forced at every multiple of it. Few chunks are cut short, and at the image's end no thread is
     * long at work alone. */
    IMAGE_REGION = 16 * 1024 * 1024,
};

struct image_cutter;

/* Cuts the image of these extents' reader. They and the attempt must outlive it. */
bool image_cutter_new(struct attempt *attempt, struct image_extents *extents, struct image_cutter **out,
                      struct err *err) MUST_CHECK;
void image_cutter_free(struct image_cutter *cutter);
DEFINE_AUTO(image_cutter, struct image_cutter *, image_cutter_free)

/* Appends a struct ref each for what lies from `offset`, a multiple of IMAGE_REGION, to the region's or the
 * image's end. Data chunks are packed. ERR_CANCELLED when the attempt was stopped. */
bool image_cutter_region(struct image_cutter *cutter, uint64_t offset, struct buf *refs,
                         struct err *err) MUST_CHECK;
/* Sends what the packer still holds. */
bool image_cutter_flush(struct image_cutter *cutter, struct err *err) MUST_CHECK;

#endif
