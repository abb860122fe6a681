/* Inside the core: what the registry's two halves share. */
#ifndef SEALIFT_DIRECTOR_REGISTRY_RULES_H
#define SEALIFT_DIRECTOR_REGISTRY_RULES_H

#include "director/core/registry.h"

enum { SHELVES = 3 };

struct shelf {
    struct statement **items;
    size_t count, cap;
};

struct unlock_fact {
    struct hash hash;
    struct hash key_id;
};

struct registry {
    uint8_t director_pk[32];
    struct roster *roster;
    struct version_memory *memory;
    struct shelf shelves[SHELVES]; /* repositories, jobs, grants */
    size_t bytes;
    struct unlock_fact *unlocks;
    size_t unlock_count, unlock_cap;
};

/* The rules of each type beyond authority. `old`: the version that is known, or NULL. */
bool registry_rules_check(const struct registry *registry, const struct statement *statement,
                          const struct statement *old, struct err *err) MUST_CHECK;
const struct unlock_fact *registry_unlock(const struct registry *registry, const uint8_t hash[HASH_LEN]);

#endif
