#include "transporter/repository/domain_sets.h"

#include "common/base/alloc.h"

void domain_sets_deinit(struct domain_sets *sets)
{
    for (size_t i = 0; i < sets->count; i++)
        id_set_deinit(&sets->sets[i].ids);
    free(sets->sets);
    *sets = (struct domain_sets){0};
}

struct id_set *domain_sets_in(struct domain_sets *sets, uint32_t domain)
{
    for (size_t i = 0; i < sets->count; i++)
        if (sets->sets[i].domain == domain) return &sets->sets[i].ids;
    sets->sets = xreallocarray(sets->sets, sets->count + 1, sizeof(*sets->sets));
    sets->sets[sets->count] = (struct domain_set){.domain = domain};
    return &sets->sets[sets->count++].ids;
}
