/* Questions to the director whose answers are not signed: what it sees of transporters, runs and
 * repositories. */
#ifndef SEALIFT_CLI_CATALOG_ASK_H
#define SEALIFT_CLI_CATALOG_ASK_H

#include "director/cli/access.h"

bool ask_status(struct cli *cli, Sealift__StatusAnswer **out, struct err *err) MUST_CHECK;
/* Public identities that wait to be admitted; what does not decode is left out. */
struct pending_list {
    struct identity_public *items;
    size_t count;
};
bool ask_pending(struct cli *cli, struct pending_list *out, struct err *err) MUST_CHECK;
static inline void auto_pending_list(struct pending_list *owned)
{
    free(owned->items);
}
/* Newest first, at most `limit`; `job` NULL: of all. */
bool ask_runs(struct cli *cli, const struct id *job, unsigned limit, Sealift__RunListAnswer **out,
              struct err *err) MUST_CHECK;
bool ask_links(struct cli *cli, Sealift__LinkListAnswer **out, struct err *err) MUST_CHECK;

/* NULL where the answer has none */
const Sealift__TransporterStatus *status_of_transporter(const Sealift__StatusAnswer *status,
                                                        const uint8_t sign_pk[SIGN_PK_LEN]);
const Sealift__RepositoryState *status_of_repository(const Sealift__StatusAnswer *status,
                                                     const struct id *repository);
/* Remembers the heads of all repositories that are open. Each that stepped back or forked is said as a
 * warning; then false with the first, ERR_NOT_AUTHENTIC. `names` may be NULL. */
struct statements;
bool witness_heads(struct cli *cli, const Sealift__StatusAnswer *status,
                   const struct statements *repositories, struct err *err) MUST_CHECK;

#endif
