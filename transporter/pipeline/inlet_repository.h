/* An inlet over a repository in this process. */
#ifndef SEALIFT_PIPELINE_INLET_REPOSITORY_H
#define SEALIFT_PIPELINE_INLET_REPOSITORY_H

#include "transporter/pipeline/inlet.h"
#include "transporter/repository/repository.h"

/* `repository` must outlive the inlet. Any thread may fetch. Cancelling ends the fetches that run, and all
 * later ones. */
struct inlet_repository;
struct inlet_repository *inlet_repository_new(struct repository *repository);
void inlet_repository_free(struct inlet_repository *inlet);
DEFINE_AUTO(inlet_repository, struct inlet_repository *, inlet_repository_free)
/* From now on only frames of the point's dedup domain (its id) are taken: none that a writer of another
 * domain planted under the same chunk id. Not for plaintext repositories. Before the first fetch. */
void inlet_repository_restrict(struct inlet_repository *inlet, const struct hash *domain);
struct inlet inlet_repository_inlet(struct inlet_repository *inlet);

#endif
