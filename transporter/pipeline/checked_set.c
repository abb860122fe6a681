#include "transporter/pipeline/checked_set.h"

#include "common/base/alloc.h"
#include "common/base/bytes.h"
#include "transporter/pipeline/sent_ids.h"

#include <string.h>

enum { DATA_REMEMBERED = 2 * 1024 * 1024 };

/* Nodes by open addressing over uniformly random ids. */
struct checked_set {
    uint8_t (*slots)[16]; /* zeros: free */
    size_t cap, count;
    struct sent_ids *datas;
};

struct checked_set *checked_set_new(void)
{
    struct checked_set *set = xcalloc(1, sizeof(*set));
    set->cap = 4096;
    set->slots = xcalloc(set->cap, 16);
    set->datas = sent_ids_new(DATA_REMEMBERED);
    return set;
}

void checked_set_free(struct checked_set *set)
{
    if (!set) return;
    sent_ids_free(set->datas);
    free(set->slots);
    free(set);
}

static uint8_t *slot_of(const struct checked_set *set, const uint8_t id[16])
{
    static const uint8_t none[16];
    size_t at = (size_t)(le64_get(id) % set->cap);
    while (memcmp(set->slots[at], none, 16) != 0 && memcmp(set->slots[at], id, 16) != 0)
        at = (at + 1) % set->cap;
    return set->slots[at];
}

static void grow(struct checked_set *set)
{
    struct checked_set larger = {.cap = 2 * set->cap};
    static const uint8_t none[16];
    larger.slots = xcalloc(larger.cap, 16);
    for (size_t i = 0; i < set->cap; i++)
        if (memcmp(set->slots[i], none, 16) != 0) memcpy(slot_of(&larger, set->slots[i]), set->slots[i], 16);
    free(set->slots);
    set->slots = larger.slots;
    set->cap = larger.cap;
}

void checked_set_empty(struct checked_set *set)
{
    memset(set->slots, 0, 16 * set->cap);
    set->count = 0;
    sent_ids_free(set->datas);
    set->datas = sent_ids_new(DATA_REMEMBERED);
}

bool checked_set_add_node(struct checked_set *set, const struct hash *id)
{
    uint8_t *slot = slot_of(set, id->bytes);
    if (memcmp(slot, id->bytes, 16) == 0) return false;
    memcpy(slot, id->bytes, 16);
    if (++set->count * 3 > set->cap * 2) grow(set);
    return true;
}

bool checked_set_add_data(struct checked_set *set, const struct hash *id)
{
    return sent_ids_claim(set->datas, id);
}
