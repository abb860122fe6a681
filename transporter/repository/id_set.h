/* A set of ids in memory, by their first 16 bytes; it hashes with secret numbers, so that nobody can
 * choose ids that collide. One thread, or the caller's lock. */
#ifndef SEALIFT_REPOSITORY_ID_SET_H
#define SEALIFT_REPOSITORY_ID_SET_H

#include "common/crypto/hash.h"

/* A number that follows from the id and two secret ones. */
size_t id_place(const struct id *id, const uint64_t secret[static 2]);

/* {0} is an empty set. */
struct id_set {
    struct id *slots; /* zero: empty */
    size_t cap;       /* a power of two */
    size_t count;
    bool has_zero;
    uint64_t secret[2];
};

void id_set_deinit(struct id_set *set);
DEFINE_AUTO_IN_PLACE(id_set, struct id_set, id_set_deinit)
/* Forgets the members, keeps the memory. */
void id_set_clear(struct id_set *set);
/* false: it was in already */
bool id_set_add(struct id_set *set, const uint8_t id[static ID_LEN]);
bool id_set_has(const struct id_set *set, const uint8_t id[static ID_LEN]);

#endif
