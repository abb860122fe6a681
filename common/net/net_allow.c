#include "common/net/net_allow.h"

#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

#define uthash_malloc(size) xmalloc(size)
#define HASH_FUNCTION HASH_FNV /* the default one falls through in a switch, which clang warns of */
#include <uthash.h>

/* Admissions in the current window. It keeps one peer from wearing the server down, and from
 * trying out routing ids at any speed that matters. */
struct rate {
    uint64_t since_s;
    unsigned count;
};

struct allowed {
    uint8_t key[NET_KEY_LEN];
    struct rate rate;
    UT_hash_handle hh;
};

struct domain {
    char name[NET_DOMAIN_MAX + 1];
    enum net_unknown unknown;
    struct rate unknown_rate;
    struct allowed *keys;
    UT_hash_handle hh;
};

struct net_allow {
    struct domain *domains;
};

struct net_allow *net_allow_new(void)
{
    return xcalloc(1, sizeof(struct net_allow));
}

static void clear_keys(struct domain *domain)
{
    struct allowed *entry;
    struct allowed *next;
    HASH_ITER(hh, domain->keys, entry, next)
    {
        HASH_DEL(domain->keys, entry);
        free(entry);
    }
}

static void remove_domain(struct net_allow *allow, struct domain *domain)
{
    clear_keys(domain);
    HASH_DEL(allow->domains, domain);
    free(domain);
}

void net_allow_free(struct net_allow *allow)
{
    if (!allow) return;
    struct domain *domain;
    struct domain *next;
    HASH_ITER(hh, allow->domains, domain, next)
    {
        remove_domain(allow, domain);
    }
    free(allow);
}

static struct domain *find_domain(const struct net_allow *allow, const char *name)
{
    struct domain *domain = NULL;
    HASH_FIND_STR(allow->domains, name, domain);
    return domain;
}

static struct allowed *find_key(const struct domain *domain, const uint8_t *key)
{
    struct allowed *entry = NULL;
    HASH_FIND(hh, domain->keys, key, NET_KEY_LEN, entry);
    return entry;
}

static struct domain *declared(const struct net_allow *allow, const char *name)
{
    struct domain *domain = find_domain(allow, name);
    assert(domain);
    return domain;
}

static void add_key(struct domain *domain, const uint8_t *key)
{
    if (find_key(domain, key)) return;
    struct allowed *entry = xcalloc(1, sizeof(*entry));
    memcpy(entry->key, key, NET_KEY_LEN);
    HASH_ADD(hh, domain->keys, key, NET_KEY_LEN, entry);
}

void net_allow_set_domain(struct net_allow *allow, const char *name, enum net_unknown unknown)
{
    size_t len = strlen(name);
    assert(len >= 1 && len <= NET_DOMAIN_MAX);
    struct domain *domain = find_domain(allow, name);
    if (!domain) {
        domain = xcalloc(1, sizeof(*domain));
        memcpy(domain->name, name, len);
        HASH_ADD_STR(allow->domains, name, domain);
    }
    domain->unknown = unknown;
}

void net_allow_add(struct net_allow *allow, const char *name, const uint8_t *key)
{
    add_key(declared(allow, name), key);
}

void net_allow_remove(struct net_allow *allow, const char *name, const uint8_t *key)
{
    struct domain *domain = declared(allow, name);
    struct allowed *entry = find_key(domain, key);
    if (!entry) return;
    HASH_DEL(domain->keys, entry);
    free(entry);
}

void net_allow_replace_all(struct net_allow *allow, const char *name, const uint8_t (*keys)[NET_KEY_LEN],
                           size_t count)
{
    struct domain *domain = declared(allow, name);
    clear_keys(domain);
    for (size_t i = 0; i < count; i++)
        add_key(domain, keys[i]);
}

enum net_standing net_allow_standing(const struct net_allow *allow, const char *name, const uint8_t *key)
{
    const struct domain *domain = find_domain(allow, name);
    if (!domain) return NET_STANDING_NONE;
    if (find_key(domain, key)) return NET_STANDING_ALLOWED;
    return domain->unknown == NET_UNKNOWN_PENDING ? NET_STANDING_PENDING : NET_STANDING_NONE;
}

static bool within_rate(struct rate *rate, unsigned burst, uint64_t now_s)
{
    if (now_s - rate->since_s >= NET_ZAP_WINDOW_S) *rate = (struct rate){.since_s = now_s};
    if (rate->count >= burst) return false;
    rate->count++;
    return true;
}

enum net_admission net_allow_admit(struct net_allow *allow, const char *name, const uint8_t *key,
                                   uint64_t now_s, enum net_denial_reason *reason)
{
    struct domain *domain = find_domain(allow, name);
    if (!domain) {
        *reason = NET_DENIED_DOMAIN;
        return NET_DENY_FINAL;
    }
    struct allowed *entry = find_key(domain, key);
    if (!entry && domain->unknown != NET_UNKNOWN_PENDING) {
        *reason = NET_DENIED_KEY;
        return domain->unknown == NET_UNKNOWN_RETRY ? NET_DENY_FOR_NOW : NET_DENY_FINAL;
    }
    if (entry ? within_rate(&entry->rate, NET_ZAP_BURST_KNOWN, now_s)
              : within_rate(&domain->unknown_rate, NET_ZAP_BURST, now_s))
        return NET_ADMIT;
    *reason = NET_DENIED_RATE;
    return NET_DENY_FOR_NOW;
}
