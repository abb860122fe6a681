#include "transporter/pipeline/image_regions.h"

#include "common/base/alloc.h"

#include <pthread.h>

struct place {
    struct buf refs;
    bool done;
};

struct image_regions {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t count;
    uint64_t given;   /* handed out so far */
    uint64_t awaited; /* the next to be taken back */
    bool stopped;
    size_t ahead;
    struct place *places; /* a ring: of region i at i % ahead */
};

struct image_regions *image_regions_new(uint64_t count, size_t ahead)
{
    struct image_regions *regions = xcalloc(1, sizeof(*regions));
    (void)pthread_mutex_init(&regions->lock, NULL);
    (void)pthread_cond_init(&regions->changed, NULL);
    regions->count = count;
    regions->ahead = ahead;
    regions->places = xcalloc(ahead, sizeof(*regions->places));
    return regions;
}

void image_regions_free(struct image_regions *regions)
{
    if (!regions) return;
    for (size_t i = 0; i < regions->ahead; i++)
        buf_deinit(&regions->places[i].refs);
    free(regions->places);
    (void)pthread_cond_destroy(&regions->changed);
    (void)pthread_mutex_destroy(&regions->lock);
    free(regions);
}

bool image_regions_take(struct image_regions *regions, uint64_t *index)
{
    (void)pthread_mutex_lock(&regions->lock);
    while (!regions->stopped && regions->given < regions->count &&
           regions->given - regions->awaited >= regions->ahead)
        (void)pthread_cond_wait(&regions->changed, &regions->lock);
    bool taken = !regions->stopped && regions->given < regions->count;
    if (taken) *index = regions->given++;
    (void)pthread_mutex_unlock(&regions->lock);
    return taken;
}

void image_regions_done(struct image_regions *regions, uint64_t index, struct buf *refs)
{
    (void)pthread_mutex_lock(&regions->lock);
    struct place *place = &regions->places[index % regions->ahead];
    struct buf spare = place->refs;
    place->refs = *refs;
    place->done = true;
    *refs = spare;
    buf_clear(refs);
    (void)pthread_cond_broadcast(&regions->changed);
    (void)pthread_mutex_unlock(&regions->lock);
}

bool image_regions_await(struct image_regions *regions, struct buf *refs)
{
    (void)pthread_mutex_lock(&regions->lock);
    struct place *place = &regions->places[regions->awaited % regions->ahead];
    while (!regions->stopped && !place->done)
        (void)pthread_cond_wait(&regions->changed, &regions->lock);
    bool there = !regions->stopped;
    if (there) {
        struct buf spare = *refs;
        *refs = place->refs;
        place->refs = spare;
        place->done = false;
        regions->awaited++;
        (void)pthread_cond_broadcast(&regions->changed);
    }
    (void)pthread_mutex_unlock(&regions->lock);
    return there;
}

void image_regions_stop(struct image_regions *regions)
{
    (void)pthread_mutex_lock(&regions->lock);
    regions->stopped = true;
    (void)pthread_cond_broadcast(&regions->changed);
    (void)pthread_mutex_unlock(&regions->lock);
}
