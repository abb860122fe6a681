#include "transporter/source/image_extents.h"

#include "common/base/lock.h"

void image_extents_init(struct image_extents *extents, const struct image_reader *reader)
{
    *extents = (struct image_extents){.reader = reader};
    (void)pthread_mutex_init(&extents->lock, NULL);
}

void image_extents_deinit(struct image_extents *extents)
{
    if (extents->reader) (void)pthread_mutex_destroy(&extents->lock);
    extents->reader = NULL;
}

bool image_extents_find(struct image_extents *extents, uint64_t at, struct extent *out, struct err *err)
{
    LOCK_HERE(&extents->lock); /* also while asking: the others would ask for the same */
    struct extent *data = &extents->data;
    struct extent found;
    if (data->offset <= at && at - data->offset < data->length) {
        *out = *data;
        return true;
    }
    if (!image_reader_extent(extents->reader, at, &found, err)) return false;
    if (found.kind == EXTENT_DATA) *data = found;
    *out = found;
    return true;
}
