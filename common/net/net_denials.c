#include "common/net/net_denials.h"

#include <string.h>

static bool same(const struct net_denial *a, const struct net_denial *b)
{
    return a->reason == b->reason && memcmp(a->key, b->key, NET_KEY_LEN) == 0 &&
           strcmp(a->address, b->address) == 0 && strcmp(a->domain, b->domain) == 0;
}

bool net_denials_add(struct net_denials *denials, const struct net_denial *denial)
{
    for (size_t i = 0; i < NET_DENIALS_MAX; i++) {
        struct net_denial_slot *slot = &denials->slots[i];
        if (!slot->used || !same(&slot->denial, denial)) continue;
        slot->denial.count++;
        return false;
    }
    struct net_denial_slot *slot = &denials->slots[denials->next];
    denials->next = (denials->next + 1) % NET_DENIALS_MAX;
    *slot = (struct net_denial_slot){.denial = *denial, .used = true};
    slot->denial.count = 1;
    return true;
}

bool net_denials_has(const struct net_denials *denials, const char *domain, const char *address)
{
    for (size_t i = 0; i < NET_DENIALS_MAX; i++) {
        const struct net_denial_slot *slot = &denials->slots[i];
        if (slot->used && strcmp(slot->denial.address, address) == 0 &&
            strcmp(slot->denial.domain, domain) == 0)
            return true;
    }
    return false;
}

bool net_denials_take(struct net_denials *denials, struct net_denial *out)
{
    for (size_t i = 0; i < NET_DENIALS_MAX; i++) {
        struct net_denial_slot *slot = &denials->slots[(denials->next + i) % NET_DENIALS_MAX];
        if (!slot->used || slot->taken) continue;
        slot->taken = true;
        *out = slot->denial;
        return true;
    }
    return false;
}
