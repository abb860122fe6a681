#include "transporter/repository/reserve.h"

bool reserve_make(const struct storage *storage, struct err *err)
{
    if (!storage->ops->allocate) return true;
    return storage->ops->allocate(storage->self, RESERVE_NAME, RESERVE_BYTES, err) ||
           err_wrap(err, "the reserve of %llu MiB", (unsigned long long)(RESERVE_BYTES >> 20));
}

static bool is_free(const struct storage *storage, uint64_t wanted)
{
    struct err ignored;
    uint64_t free_bytes = 0, total_bytes = 0;
    return storage->ops->free_space(storage->self, &free_bytes, &total_bytes, &ignored) &&
           free_bytes >= wanted;
}

void reserve_spend(struct repository *repository, uint64_t wanted)
{
    const struct storage *storage = &repository->storage;
    struct err ignored; /* it may be gone already */
    if (!storage->ops->allocate || is_free(storage, wanted)) return;
    (void)!storage->ops->remove(storage->self, RESERVE_NAME, &ignored);
}

void reserve_renew(struct repository *repository)
{
    const struct storage *storage = &repository->storage;
    struct err ignored; /* without it things go on until the disk is full */
    uint64_t size = 0;
    if (!storage->ops->allocate) return;
    if (storage->ops->size(storage->self, RESERVE_NAME, &size, &ignored) && size == RESERVE_BYTES) return;
    if (is_free(storage, RESERVE_BYTES + RESERVE_MARGIN)) (void)!reserve_make(storage, &ignored);
}
