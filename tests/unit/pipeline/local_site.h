/* A repository in a directory of its own, with an ingest session and the outlet into it. */
#ifndef SEALIFT_TEST_LOCAL_SITE_H
#define SEALIFT_TEST_LOCAL_SITE_H

#include "keys.h"
#include "transporter/pipeline/outlet_repository.h"

struct local_site {
    struct keys keys;
    char dir[64];
    struct sign_pair *owner;
    struct repository *repository;
    struct ingest *ingest;
    struct outlet_repository *outlet;
};

/* Creates the repository and opens it. */
struct local_site *local_site_make(enum repository_kind kind);
void local_site_free(struct local_site *site);
DEFINE_AUTO(local_site, struct local_site *, local_site_free)

/* As the end of the process that has it open, and the start of the next. */
void local_site_close(struct local_site *site);
void local_site_open(struct local_site *site);

/* A session and an outlet for one run of the keys' writer; closed by the next, or in the end. `run` names
 * the session. */
struct outlet local_site_begin(struct local_site *site, uint8_t run);
void local_site_end(struct local_site *site);
/* The frame with that id is in the repository and opens to its chunk. */
bool local_site_holds(struct local_site *site, const struct hash *id);

#endif
