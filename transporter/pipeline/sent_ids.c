#include "transporter/pipeline/sent_ids.h"

#include "common/base/alloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Sets of WAYS ids, found by the id's first bytes, guarded by one of STRIPES locks. In a full set the
 * oldest id makes room: `next` turns round. A quarter full, the sets become four times as many, until there
 * are as many as there may be; an id's lock stays the same, as the number of sets is always a multiple of
 * that of locks in use. */
enum { WAYS = 8, STRIPES = 64, FIRST_SETS = 1024, GROWTH = 4 };

struct set {
    struct hash ids[WAYS];
};

struct table {
    struct set *sets;
    uint8_t *next; /* of each set: where the next id goes */
    size_t mask;   /* number of sets, less 1 */
};

struct sent_ids {
    struct table table; /* read under one lock, changed under all */
    size_t sets_most;
    _Atomic size_t count; /* ids that were added */
    size_t stripe_mask;   /* number of locks in use, less 1 */
    pthread_mutex_t stripes[STRIPES];
};

static struct table table_new(size_t sets)
{
    return (struct table){
        .sets = xcalloc(sets, sizeof(struct set)), .next = xcalloc(sets, 1), .mask = sets - 1};
}

static void table_deinit(struct table *table)
{
    free(table->next);
    free(table->sets);
}

struct sent_ids *sent_ids_new(size_t capacity)
{
    size_t sets = 1;
    while (sets * WAYS < capacity)
        sets *= 2;
    struct sent_ids *sent = xcalloc(1, sizeof(*sent));
    sent->sets_most = sets;
    sent->table = table_new(sets < FIRST_SETS ? sets : FIRST_SETS);
    sent->stripe_mask = sent->table.mask < STRIPES ? sent->table.mask : STRIPES - 1;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&sent->stripes[i], NULL);
    return sent;
}

void sent_ids_free(struct sent_ids *sent)
{
    if (!sent) return;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&sent->stripes[i]);
    table_deinit(&sent->table);
    free(sent);
}

/* Free places hold zeros, which no hash of anything is. */
static bool table_claim(struct table *table, const struct hash *id)
{
    size_t index = (size_t)le64_get(id->bytes) & table->mask;
    struct set *set = &table->sets[index];
    uint8_t *next = &table->next[index];
    for (size_t i = 0; i < WAYS; i++)
        if (hash_eq(&set->ids[i], id)) return false;
    set->ids[*next] = *id;
    *next = (uint8_t)((*next + 1) % WAYS);
    return true;
}

static void move_ids(const struct table *from, struct table *to)
{
    for (size_t set = 0; set <= from->mask; set++)
        for (size_t i = 0; i < WAYS; i++) {
            const struct hash *id = &from->sets[set].ids[(from->next[set] + i) % WAYS]; /* the oldest first */
            if (!hash_is_zero(id)) (void)!table_claim(to, id);
        }
}

static bool is_crowded(const struct sent_ids *sent)
{
    size_t sets = sent->table.mask + 1;
    return sets < sent->sets_most && atomic_load(&sent->count) > sets * WAYS / 4;
}

static void grow(struct sent_ids *sent)
{
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_lock(&sent->stripes[i]);
    if (is_crowded(sent)) {
        size_t sets = (sent->table.mask + 1) * GROWTH;
        struct table larger = table_new(sets < sent->sets_most ? sets : sent->sets_most);
        move_ids(&sent->table, &larger);
        table_deinit(&sent->table);
        sent->table = larger;
    }
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_unlock(&sent->stripes[i]);
}

bool sent_ids_claim(struct sent_ids *sent, const struct hash *id)
{
    pthread_mutex_t *lock = &sent->stripes[le64_get(id->bytes) & sent->stripe_mask];
    pthread_mutex_lock(lock);
    bool first = table_claim(&sent->table, id);
    if (first) atomic_fetch_add(&sent->count, 1);
    bool crowded = first && is_crowded(sent);
    pthread_mutex_unlock(lock);
    if (crowded) grow(sent);
    return first;
}
