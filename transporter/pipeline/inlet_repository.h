/* An inlet over a repository in this process. */
#ifndef SEALIFT_PIPELINE_INLET_REPOSITORY_H
#define SEALIFT_PIPELINE_INLET_REPOSITORY_H

#include "transporter/pipeline/inlet.h"
#include "transporter/repository/repository.h"

/* `repository` must outlive the inlet. Any thread may fetch. Cancelling ends the fetches that run. */
struct inlet_repository;
struct inlet_repository *inlet_repository_new(struct repository *repository);
void inlet_repository_free(struct inlet_repository *inlet);
DEFINE_AUTO(inlet_repository, struct inlet_repository *, inlet_repository_free)
struct inlet inlet_repository_inlet(struct inlet_repository *inlet);

#endif
