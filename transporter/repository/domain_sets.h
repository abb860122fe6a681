/* A set of ids for each dedup domain. An id says nothing across domains: who writes in one could otherwise
 * name a node of another and have it passed over. One thread. */
#ifndef SEALIFT_REPOSITORY_DOMAIN_SETS_H
#define SEALIFT_REPOSITORY_DOMAIN_SETS_H

#include "transporter/repository/id_set.h"

struct domain_set {
    uint32_t domain;
    struct id_set ids;
};

/* {0} is empty. */
struct domain_sets {
    struct domain_set *sets;
    size_t count;
};

void domain_sets_deinit(struct domain_sets *sets);
DEFINE_AUTO_IN_PLACE(domain_sets, struct domain_sets, domain_sets_deinit)
/* The set of that domain (its number in the index), made if it is new; good until the next call. */
struct id_set *domain_sets_in(struct domain_sets *sets, uint32_t domain);

#endif
