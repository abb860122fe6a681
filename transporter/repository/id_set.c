#include "transporter/repository/id_set.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"

#include <string.h>

enum { FIRST_CAP = 64 };

void id_set_deinit(struct id_set *set)
{
    free(set->slots);
    *set = (struct id_set){0};
}

void id_set_clear(struct id_set *set)
{
    if (set->count) memset(set->slots, 0, set->cap * sizeof(*set->slots));
    set->count = 0;
    set->has_zero = false;
}

size_t id_place(const struct id *id, const uint64_t secret[static 2])
{
    __extension__ unsigned __int128 product = le64_get(id->bytes) ^ secret[0];
    product *= le64_get(id->bytes + 8) ^ secret[1];
    return (size_t)product ^ (size_t)(product >> 64);
}

static size_t slot_of(const struct id_set *set, const uint8_t *bytes)
{
    struct id id;
    memcpy(id.bytes, bytes, ID_LEN);
    return id_place(&id, set->secret) & (set->cap - 1);
}

static bool is_zero(const uint8_t *id)
{
    return le64_get(id) == 0 && le64_get(id + 8) == 0;
}

/* The slot that holds the id, or the empty one where it would go. */
static struct id *find(const struct id_set *set, const uint8_t *id)
{
    size_t at = slot_of(set, id);
    while (!is_zero(set->slots[at].bytes) && memcmp(set->slots[at].bytes, id, ID_LEN) != 0)
        at = (at + 1) & (set->cap - 1);
    return &set->slots[at];
}

static void grow(struct id_set *set)
{
    struct id_set larger = {.cap = set->cap ? 2 * set->cap : FIRST_CAP, .count = set->count};
    larger.has_zero = set->has_zero;
    random_bytes(larger.secret, sizeof(larger.secret));
    larger.slots = xcalloc(larger.cap, sizeof(*larger.slots));
    for (size_t i = 0; i < set->cap; i++)
        if (!is_zero(set->slots[i].bytes)) *find(&larger, set->slots[i].bytes) = set->slots[i];
    free(set->slots);
    *set = larger;
}

bool id_set_add(struct id_set *set, const uint8_t id[static ID_LEN])
{
    if (is_zero(id)) {
        bool fresh = !set->has_zero;
        set->has_zero = true;
        return fresh;
    }
    if (set->count + 1 > set->cap / 2) grow(set);
    struct id *slot = find(set, id);
    if (!is_zero(slot->bytes)) return false;
    memcpy(slot->bytes, id, ID_LEN);
    set->count++;
    return true;
}

bool id_set_has(const struct id_set *set, const uint8_t id[static ID_LEN])
{
    if (is_zero(id)) return set->has_zero;
    return set->cap && !is_zero(find(set, id)->bytes);
}
