#include "common/net/net_tally.h"

#include "common/base/lock.h"

#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list */
static struct net_tally *first;

void net_tally_open(struct net_tally *tally, const char *name)
{
    LOCK_HERE(&lock);
    (void)snprintf(tally->name, sizeof(tally->name), "%s", name);
    atomic_init(&tally->bytes, 0);
    tally->next = first;
    first = tally;
}

void net_tally_close(struct net_tally *tally)
{
    LOCK_HERE(&lock);
    struct net_tally **place = &first;
    while (*place != tally)
        place = &(*place)->next;
    *place = tally->next;
}

bool net_tally_read(const char *name, uint64_t *out)
{
    LOCK_HERE(&lock);
    for (const struct net_tally *tally = first; tally; tally = tally->next) {
        if (strcmp(tally->name, name) != 0) continue;
        *out = atomic_load(&tally->bytes);
        return true;
    }
    return false;
}
