#include "transporter/proxy/core/rendezvous.h"

#include "common/base/alloc.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { BUCKETS = 4096, PLACE_KEY_LEN = RENDEZVOUS_ID_LEN + 1 };

/* One name and stripe. Places where somebody waits are in a list, too, by deadline. */
struct place {
    uint8_t key[PLACE_KEY_LEN];
    uint64_t caller[2]; /* by side; never both RENDEZVOUS_NOBODY */
    uint64_t deadline_ms;
    bool waiting;
    struct place *next_in_bucket;
    struct place *before, *behind; /* in the list of those that wait */
};

struct rendezvous {
    uint8_t key[SIPHASH_KEY_LEN];
    size_t count;
    struct place *first, *last;
    struct place *buckets[BUCKETS];
};

struct rendezvous *rendezvous_new(const uint8_t key[static SIPHASH_KEY_LEN])
{
    struct rendezvous *table = xcalloc(1, sizeof(*table));
    memcpy(table->key, key, SIPHASH_KEY_LEN);
    return table;
}

void rendezvous_free(struct rendezvous *table)
{
    if (!table) return;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct place *place = table->buckets[i]; place;) {
            struct place *next = place->next_in_bucket;
            free(place);
            place = next;
        }
    }
    free(table);
}

static void key_of(const struct rendezvous_name *name, uint8_t out[static PLACE_KEY_LEN])
{
    memcpy(out, name->id, RENDEZVOUS_ID_LEN);
    out[RENDEZVOUS_ID_LEN] = name->stripe;
}

static bool same_key(const uint8_t *a, const uint8_t *b)
{
    uint8_t differs = 0;
    for (size_t i = 0; i < PLACE_KEY_LEN; i++)
        differs |= a[i] ^ b[i];
    return differs == 0;
}

/* Where the pointer to the place is, or would be. */
static struct place **find(struct rendezvous *table, const uint8_t key[static PLACE_KEY_LEN])
{
    struct place **at = &table->buckets[siphash(table->key, span_of(key, PLACE_KEY_LEN)) % BUCKETS];
    while (*at && !same_key((*at)->key, key))
        at = &(*at)->next_in_bucket;
    return at;
}

/* Deadlines come nearly in order: the search from the end is short. */
static void wait_in_list(struct rendezvous *table, struct place *place)
{
    struct place *before = table->last;
    while (before && before->deadline_ms > place->deadline_ms)
        before = before->before;
    place->waiting = true;
    place->before = before;
    place->behind = before ? before->behind : table->first;
    *(before ? &before->behind : &table->first) = place;
    *(place->behind ? &place->behind->before : &table->last) = place;
}

static void leave_list(struct rendezvous *table, struct place *place)
{
    if (!place->waiting) return;
    *(place->before ? &place->before->behind : &table->first) = place->behind;
    *(place->behind ? &place->behind->before : &table->last) = place->before;
    place->waiting = false;
}

static void remove_place(struct rendezvous *table, struct place **at)
{
    struct place *place = *at;
    assert(place);
    leave_list(table, place);
    *at = place->next_in_bucket;
    table->count--;
    free(place);
}

static struct place *place_at(struct rendezvous *table, struct place **at, const uint8_t *key)
{
    if (*at) return *at;
    struct place *place = xcalloc(1, sizeof(*place));
    memcpy(place->key, key, PLACE_KEY_LEN);
    *at = place;
    table->count++;
    return place;
}

struct rendezvous_answer rendezvous_ask(struct rendezvous *table, const struct rendezvous_name *name,
                                        uint64_t caller, uint64_t deadline_ms)
{
    struct rendezvous_answer answer = {0};
    uint8_t key[PLACE_KEY_LEN];
    key_of(name, key);
    struct place *place = place_at(table, find(table, key), key);
    uint64_t *own = &place->caller[name->side], *other = &place->caller[!name->side];

    answer.replaced = *own;
    if (*own && *other) {
        answer.left_alone = *other;
        *other = RENDEZVOUS_NOBODY;
    }
    *own = caller;
    answer.partner = *other;
    leave_list(table, place);
    if (answer.partner == RENDEZVOUS_NOBODY) {
        place->deadline_ms = deadline_ms;
        wait_in_list(table, place);
    }
    return answer;
}

void rendezvous_leave(struct rendezvous *table, const struct rendezvous_name *name, uint64_t caller)
{
    uint8_t key[PLACE_KEY_LEN];
    key_of(name, key);
    struct place **at = find(table, key);
    struct place *place = *at;
    if (!place || place->caller[name->side] != caller) return;
    place->caller[name->side] = RENDEZVOUS_NOBODY;
    if (place->caller[!name->side] == RENDEZVOUS_NOBODY) remove_place(table, at);
}

uint64_t rendezvous_expire(struct rendezvous *table, uint64_t now_ms)
{
    struct place *place = table->first;
    if (!place || place->deadline_ms > now_ms) return RENDEZVOUS_NOBODY;
    uint64_t caller = place->caller[place->caller[0] ? 0 : 1];
    remove_place(table, find(table, place->key));
    return caller;
}

void rendezvous_tag(const struct rendezvous *table, const struct rendezvous_name *name,
                    char out[static RENDEZVOUS_TAG_LEN + 1])
{
    uint32_t tag = (uint32_t)siphash(table->key, span_of(name->id, RENDEZVOUS_ID_LEN));
    (void)snprintf(out, RENDEZVOUS_TAG_LEN + 1, "%08" PRIx32, tag);
}
