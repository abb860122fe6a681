/* Hands the regions of an image out to threads, and takes their references back in order. Only so many may
 * be ahead of the one that is awaited: that bounds the memory. Private to the backup engine. Any thread. */
#ifndef SEALIFT_PIPELINE_IMAGE_REGIONS_H
#define SEALIFT_PIPELINE_IMAGE_REGIONS_H

#include "common/base/bytes.h"

struct image_regions;

struct image_regions *image_regions_new(uint64_t count, size_t ahead);
void image_regions_free(struct image_regions *regions);
DEFINE_AUTO(image_regions, struct image_regions *, image_regions_free)

/* The next region to be cut. Blocks while too many are ahead; false when there are no more, or all is
 * stopped. */
bool image_regions_take(struct image_regions *regions, uint64_t *index) __attribute__((warn_unused_result));
/* `refs` is left empty. */
void image_regions_done(struct image_regions *regions, uint64_t index, struct buf *refs);
/* The references of the next region in order, in place of what `refs` held. false when all is stopped. One
 * thread calls it, once for every region. */
bool image_regions_await(struct image_regions *regions, struct buf *refs) __attribute__((warn_unused_result));
/* Wakes everybody. */
void image_regions_stop(struct image_regions *regions);

#endif
