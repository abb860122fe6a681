/* Who gets keys: the one table of allowed combinations, asked by the command line, by the director and
 * by each transporter. Pure. */
#ifndef SEALIFT_WIRE_PLACEMENT_H
#define SEALIFT_WIRE_PLACEMENT_H

#include "common/wire/statement.h"

struct placement_facts {
    Sealift__JobKind kind;        /* JOB_NONE for a recovery or a browse */
    Sealift__Placement placement; /* jobs */
    Sealift__OpenAt open_at;      /* recovery */
    Sealift__Zone source;         /* of the run's source transporter */
    Sealift__Zone target;
    Sealift__StoreKind from_store; /* copy, recovery: the repository read from */
    Sealift__StoreKind to_store;   /* backup, copy: the repository written to */
    uint32_t reencrypt;            /* copy, 1: what is sealed is opened and sealed anew */
};

/* ERR_POLICY with one sentence that names the rule. */
bool placement_check(const struct placement_facts *facts, struct err *err) MUST_CHECK;

/* The facts of a job or an order, looked up in the roster and the repository statements: ERR_NOT_FOUND
 * names what is unknown. */
bool placement_of_job(const Sealift__JobBody *job, const struct roster *roster,
                      const Sealift__RepositoryBody *to, const Sealift__RepositoryBody *from,
                      struct placement_facts *out, struct err *err) MUST_CHECK;
bool placement_of_order(const Sealift__OrderBody *order, const struct roster *roster,
                        const Sealift__RepositoryBody *repository, struct placement_facts *out,
                        struct err *err) MUST_CHECK;

/* An order to one host alone, to wrap a key or to witness: S goes to transporters in the trusted zone only,
 * and only their word counts. ERR_POLICY, ERR_NOT_FOUND. */
bool placement_check_alone(const Sealift__OrderBody *order, const struct roster *roster,
                           struct err *err) MUST_CHECK;
/* Is it an order of that kind? */
static inline bool placement_is_alone(Sealift__OrderKind kind)
{
    return kind == SEALIFT__ORDER_KIND__ORDER_WRAP || kind == SEALIFT__ORDER_KIND__ORDER_WITNESS;
}

#endif
