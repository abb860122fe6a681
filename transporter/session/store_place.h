/* Whether local policy allows a repository in a directory, after all symbolic links on the way: those below
 * a root may be others' to make, or a restore's. */
#ifndef SEALIFT_SESSION_STORE_PLACE_H
#define SEALIFT_SESSION_STORE_PLACE_H

#include "transporter/core/policy.h"

/* The directory, and some of those above it, may not be there yet. A root may itself be reached through
 * links: it is who wrote the configuration that says where it is. ERR_POLICY names where a path leads. */
bool store_place_check(const struct policy *policy, const char *path, struct err *err) MUST_CHECK;

#endif
