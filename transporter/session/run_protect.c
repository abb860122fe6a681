/* An order to keep an unlock section beside the points of its key: unlock/<key id>/<n> in the repository.
 * Nothing is opened, and no zone matters: what is kept is sealed, and the order is kept with its signature.
 */
#include "transporter/repository/unlocks.h"
#include "transporter/session/run_inside.h"

#include <stdio.h>

bool run_protect(struct run *run, struct err *err)
{
    struct repository *repository = NULL;
    if (!run_repository(run, run->repository, &repository, err) ||
        !authority_execute_once(run->environment.authority, &run->subject, err) ||
        !repository_unlock_add(repository, run->statement, err))
        return false;
    (void)snprintf(run->summary, sizeof(run->summary), "the unlock section is kept in the repository");
    return true;
}
