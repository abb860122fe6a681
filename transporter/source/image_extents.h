/* Where data and holes of an image lie, for several threads that read it beside each other: to tell where
 * data ends, a file system may have to look at all of it, so one of them asks for all. Any thread. */
#ifndef SEALIFT_SOURCE_IMAGE_EXTENTS_H
#define SEALIFT_SOURCE_IMAGE_EXTENTS_H

#include "transporter/source/image_reader.h"

#include <pthread.h>

struct image_extents {
    const struct image_reader *reader;
    pthread_mutex_t lock;
    struct extent data; /* found last; holes are not kept: they may be written to */
};

/* The reader must outlive it. */
void image_extents_init(struct image_extents *extents, const struct image_reader *reader);
void image_extents_deinit(struct image_extents *extents);
DEFINE_AUTO_IN_PLACE(image_extents, struct image_extents, image_extents_deinit)

/* The extent that `at` lies in, which is below the size; it may start before. Errors of image_reader_extent.
 * Waits for whoever is asking. */
bool image_extents_find(struct image_extents *extents, uint64_t at, struct extent *out,
                        struct err *err) MUST_CHECK;

#endif
