/* What is to be on the agenda, by what operators have signed. */
#ifndef SEALIFT_DIRECTOR_AGENDA_WANTED_H
#define SEALIFT_DIRECTOR_AGENDA_WANTED_H

#include "director/core/agenda.h"
#include "director/core/registry.h"

/* Plans all of it anew: jobs with a schedule, and of each repository the sweep, the check, and the pruning of
 * each job that writes to it and has a retention. */
void agenda_plan_registry(struct agenda *agenda, const struct moment *now, const struct registry *registry);

#endif
