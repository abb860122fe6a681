/* An inlet over a repository in this process. */
#ifndef SEALIFT_PIPELINE_INLET_REPOSITORY_H
#define SEALIFT_PIPELINE_INLET_REPOSITORY_H

#include "transporter/pipeline/inlet.h"
#include "transporter/repository/repository.h"

/* `repository` must outlive the inlet. Any thread may fetch. Cancelling ends the fetches that run, and all
 * later ones. `domain`: the id of the point's dedup domain, so that no frame that a writer of another
 * domain planted under the same id is taken; NULL in a plaintext repository. */
struct inlet_repository;
struct inlet_repository *inlet_repository_new(struct repository *repository, const struct hash *domain);
void inlet_repository_free(struct inlet_repository *inlet);
DEFINE_AUTO(inlet_repository, struct inlet_repository *, inlet_repository_free)
struct inlet inlet_repository_inlet(struct inlet_repository *inlet);

#endif
