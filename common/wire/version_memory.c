#include "common/wire/version_memory.h"

#include "common/base/alloc.h"

#include <string.h>

struct remembered {
    Sealift__StatementType type;
    struct id id;
    uint64_t version;
    struct hash hash;
};

/* Few thousand at most: a sorted array. */
struct version_memory {
    struct remembered *items;
    size_t count, cap;
};

struct version_memory *version_memory_new(void)
{
    return xcalloc(1, sizeof(struct version_memory));
}

void version_memory_free(struct version_memory *memory)
{
    if (!memory) return;
    free(memory->items);
    free(memory);
}

static int compare(const struct remembered *item, Sealift__StatementType type, const struct id *id)
{
    if (item->type != type) return item->type < type ? -1 : 1;
    return memcmp(item->id.bytes, id->bytes, ID_LEN);
}

/* index of the item, or of the place where it belongs */
static size_t place_of(const struct version_memory *memory, Sealift__StatementType type, const struct id *id,
                       bool *found)
{
    size_t low = 0, high = memory->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(&memory->items[middle], type, id);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

bool version_memory_get(const struct version_memory *memory, Sealift__StatementType type, const struct id *id,
                        uint64_t *version, struct hash *hash)
{
    bool found = false;
    size_t at = place_of(memory, type, id, &found);
    if (!found) return false;
    *version = memory->items[at].version;
    *hash = memory->items[at].hash;
    return true;
}

void version_memory_put(struct version_memory *memory, Sealift__StatementType type, const struct id *id,
                        uint64_t version, const struct hash *hash)
{
    bool found = false;
    size_t at = place_of(memory, type, id, &found);
    if (!found) {
        if (memory->count == memory->cap) {
            memory->cap = memory->cap ? memory->cap * 2 : 16;
            memory->items = xreallocarray(memory->items, memory->cap, sizeof(*memory->items));
        }
        memmove(&memory->items[at + 1], &memory->items[at], (memory->count - at) * sizeof(*memory->items));
        memory->count++;
    }
    memory->items[at] = (struct remembered){.type = type, .id = *id, .version = version, .hash = *hash};
}

void version_memory_each(const struct version_memory *memory, version_memory_fn *each, void *arg)
{
    for (size_t i = 0; i < memory->count; i++)
        each(arg, memory->items[i].type, &memory->items[i].id, memory->items[i].version,
             &memory->items[i].hash);
}
