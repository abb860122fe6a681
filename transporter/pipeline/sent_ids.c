#include "transporter/pipeline/sent_ids.h"

#include "common/base/alloc.h"

#include <pthread.h>
#include <string.h>

/* Sets of WAYS ids, found by the id's first bytes, guarded by one of STRIPES locks. In a full set the
 * oldest id makes room: `next` turns round. */
enum { WAYS = 8, STRIPES = 64 };

struct set {
    struct hash ids[WAYS];
};

struct sent_ids {
    struct set *sets;
    uint8_t *next; /* of each set: where the next id goes */
    size_t mask;   /* number of sets, less 1 */
    pthread_mutex_t stripes[STRIPES];
};

struct sent_ids *sent_ids_new(size_t capacity)
{
    size_t sets = 1;
    while (sets * WAYS < capacity)
        sets *= 2;
    struct sent_ids *sent = xcalloc(1, sizeof(*sent));
    sent->sets = xcalloc(sets, sizeof(*sent->sets));
    sent->next = xcalloc(sets, 1);
    sent->mask = sets - 1;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&sent->stripes[i], NULL);
    return sent;
}

void sent_ids_free(struct sent_ids *sent)
{
    if (!sent) return;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&sent->stripes[i]);
    free(sent->next);
    free(sent->sets);
    free(sent);
}

/* Free places hold zeros, which no hash of anything is. */
static bool set_claim(struct set *set, uint8_t *next, const struct hash *id)
{
    for (size_t i = 0; i < WAYS; i++)
        if (hash_eq(&set->ids[i], id)) return false;
    set->ids[*next] = *id;
    *next = (uint8_t)((*next + 1) % WAYS);
    return true;
}

bool sent_ids_claim(struct sent_ids *sent, const struct hash *id)
{
    size_t index = (size_t)le64_get(id->bytes) & sent->mask;
    pthread_mutex_t *lock = &sent->stripes[index % STRIPES];
    pthread_mutex_lock(lock);
    bool first = set_claim(&sent->sets[index], &sent->next[index], id);
    pthread_mutex_unlock(lock);
    return first;
}
