#include "director/core/host_table.h"

#include "common/base/alloc.h"

#include <string.h>

void host_table_deinit(struct host_table *hosts)
{
    free(hosts->items);
    *hosts = (struct host_table){0};
}

struct host *host_table_get(struct host_table *hosts, const uint8_t key[SIGN_PK_LEN],
                            const struct moment *now)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (memcmp(hosts->items[i].key, key, SIGN_PK_LEN) == 0) return &hosts->items[i];
    if (hosts->count == hosts->cap) {
        hosts->cap = hosts->cap ? hosts->cap * 2 : 8;
        hosts->items = xreallocarray(hosts->items, hosts->cap, sizeof(*hosts->items));
    }
    struct host *host = &hosts->items[hosts->count++];
    *host = (struct host){.gone_since_ms = now->mono_ms};
    memcpy(host->key, key, SIGN_PK_LEN);
    return host;
}

bool host_gone(const struct host *host, const struct moment *now, uint64_t lease_ms)
{
    return !host->connected && now->mono_ms - host->gone_since_ms >= lease_ms;
}
