/* An order to keep an unlock section beside the points of its key: unlock/<key id>/<n> in the repository.
 * Nothing is opened, and no zone matters: what is kept is sealed, and the order is kept with its signature.
 */
#include "common/wire/stored.h"
#include "transporter/repository/unlocks.h"
#include "transporter/session/run_inside.h"

#include <stdio.h>

struct search {
    const struct run *run;
    struct hash key_id;
    bool found;
};

/* Kept already, by an earlier order of somebody whom we believe. */
static bool compare(void *arg, struct span object, struct err *err)
{
    struct search *search = arg;
    struct err ignored;
    AUTO(statement) struct statement *order = NULL;
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    (void)err;
    if (!unlock_object_decode(object, &search->key_id, &order, &section, &ignored)) return true;
    search->found = search->found || (roster_ever_operator(search->run->roster, order->signer) &&
                                      span_eq(stored_span(&order->body.order->section),
                                              stored_span(&run_order(search->run)->section)));
    return true;
}

bool run_protect(struct run *run, struct err *err)
{
    struct repository *repository = NULL;
    struct search search = {.run = run, .key_id = stored_hash(&run_order(run)->key_id)};
    if (!run_repository(run, run->repository, &repository, err) ||
        !authority_execute_once(run->environment.authority, &run->subject, err) ||
        !repository_unlock_read(repository, &search.key_id, compare, &search, err) ||
        (!search.found && !repository_unlock_add(repository, run->statement, err)))
        return false;
    (void)snprintf(run->summary, sizeof(run->summary), "the unlock section is kept in the repository");
    return true;
}
