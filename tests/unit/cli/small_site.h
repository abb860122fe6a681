/* A site as an operator's machine knows it: identity, pinned line, roster 1 with two transporters, and a
 * client of a scripted director. */
#ifndef SEALIFT_TEST_SMALL_SITE_H
#define SEALIFT_TEST_SMALL_SITE_H

#include "director/cli/access.h"
#include "tests/unit/base/scratch.h"
#include "tests/unit/cli/scripted_director.h"

struct small_site {
    struct scratch scratch;
    struct identity *anna, *web, *vault, *stranger; /* admin, trusted, untrusted, nobody */
    struct id id;
    struct buf roster; /* 1 */
    struct script script;
    struct cli cli;
};

/* With the client connected to a director that answers so. */
void small_site_init(struct small_site *site, script_fn *answer);
void small_site_deinit(struct small_site *site);
DEFINE_AUTO_IN_PLACE(small_site, struct small_site, small_site_deinit)

/* The next roster, with the same members; signed by `signer`. */
void small_site_roster(const struct small_site *site, uint64_t version, const struct hash *previous,
                       const struct identity *signer, struct buf *out);
/* A repository statement of this site. */
void small_site_repository(const struct small_site *site, const struct identity *signer, uint8_t id,
                           uint64_t version, const char *name, struct buf *out);
/* Done{Blobs} with these */
void small_site_answer_blobs(const struct request *request, const struct buf *blobs, size_t count);

#endif
