#include "transporter/pipeline/seal_keys.h"

#include "common/base/alloc.h"

#include <pthread.h>
#include <string.h>

enum { SUBKEY_LEN = 32, KEYS_A_SLAB = 128 /* 4 KiB of subkeys */ };

struct slab {
    struct secret *bytes;
    struct secret subkeys[KEYS_A_SLAB]; /* parts of `bytes` */
    struct run_key runs[KEYS_A_SLAB];
};

struct seal_keys {
    pthread_rwlock_t lock;
    struct run_key **runs; /* ascending by seal id */
    size_t count, cap;
    struct slab **slabs;
    size_t slab_count;
};

struct seal_keys *seal_keys_new(void)
{
    struct seal_keys *keys = xcalloc(1, sizeof(*keys));
    (void)pthread_rwlock_init(&keys->lock, NULL);
    return keys;
}

void seal_keys_free(struct seal_keys *keys)
{
    if (!keys) return;
    for (size_t i = 0; i < keys->slab_count; i++) {
        secret_free(keys->slabs[i]->bytes);
        free(keys->slabs[i]);
    }
    free(keys->slabs);
    free(keys->runs);
    (void)pthread_rwlock_destroy(&keys->lock);
    free(keys);
}

/* index of the seal, or of the place where it belongs */
static size_t place_of(const struct seal_keys *keys, const struct id *seal, bool *found)
{
    size_t low = 0, high = keys->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(keys->runs[middle]->seal.bytes, seal->bytes, ID_LEN);
        *found = order == 0;
        if (*found) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct run_key *seal_keys_find(struct seal_keys *keys, const struct id *seal)
{
    bool found;
    (void)pthread_rwlock_rdlock(&keys->lock);
    size_t at = place_of(keys, seal, &found);
    const struct run_key *run = found ? keys->runs[at] : NULL;
    (void)pthread_rwlock_unlock(&keys->lock);
    return run;
}

/* The next free place in the last slab, or in a new one. */
static struct run_key *copy_of(struct seal_keys *keys, const struct run_key *run)
{
    size_t at = keys->count % KEYS_A_SLAB;
    if (at == 0) {
        keys->slabs = xreallocarray(keys->slabs, keys->slab_count + 1, sizeof(struct slab *));
        struct slab *fresh = xcalloc(1, sizeof(*fresh));
        fresh->bytes = secret_new((size_t)KEYS_A_SLAB * SUBKEY_LEN);
        keys->slabs[keys->slab_count++] = fresh;
    }
    struct slab *slab = keys->slabs[keys->slab_count - 1];
    slab->subkeys[at] = (struct secret){.data = slab->bytes->data + at * SUBKEY_LEN, .len = SUBKEY_LEN};
    memcpy(slab->subkeys[at].data, run->frames->data, SUBKEY_LEN);
    slab->runs[at] = (struct run_key){.seal = run->seal, .frames = &slab->subkeys[at]};
    return &slab->runs[at];
}

static void insert(struct seal_keys *keys, size_t at, const struct run_key *run)
{
    if (keys->count == keys->cap) {
        keys->cap = keys->cap ? keys->cap * 2 : 16;
        keys->runs = xreallocarray(keys->runs, keys->cap, sizeof(struct run_key *));
    }
    struct run_key *copy = copy_of(keys, run);
    memmove(&keys->runs[at + 1], &keys->runs[at], (keys->count - at) * sizeof(struct run_key *));
    keys->runs[at] = copy;
    keys->count++;
}

bool seal_keys_add(struct seal_keys *keys, const struct run_key *run, struct err *err)
{
    bool found;
    (void)pthread_rwlock_wrlock(&keys->lock);
    size_t at = place_of(keys, &run->seal, &found);
    bool full = !found && keys->count >= SEAL_KEYS_MAX;
    if (!found && !full) insert(keys, at, run);
    (void)pthread_rwlock_unlock(&keys->lock);
    return !full || err_set(err, ERR_LIMIT, "more than %u seals", SEAL_KEYS_MAX);
}
