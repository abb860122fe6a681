/* Signing statements and handing them to the director. */
#ifndef SEALIFT_CLI_PUT_H
#define SEALIFT_CLI_PUT_H

#include "director/cli/access.h"

struct put_request {
    Sealift__StatementType type;
    const uint8_t *audience; /* signing key, or NULL: everybody */
    struct id id;
    uint64_t expiry_s;
    const void *body; /* RosterBody, GrantBody, … */
};

/* One request to the director. `run`: the run that the answer must name; NULL: none is expected. */
bool put_request(struct cli *cli, Sealift__Head *head, struct span payload, enum client_repeat repeat,
                 struct id *run, struct err *err) MUST_CHECK;

/* Signs with this operator's key under a version above all that were seen, and puts it. Remembered only when
 * the director has taken it. `run` (for orders) and `out` may be NULL. */
bool put_statement(struct cli *cli, const struct put_request *request, struct id *run, struct statement **out,
                   struct err *err) MUST_CHECK;

/* The next roster of the chain: one version up, naming the hash of the current one. */
bool put_roster(struct cli *cli, const Sealift__RosterBody *body, struct err *err) MUST_CHECK;

bool put_unlock_section(struct cli *cli, struct span section, struct err *err) MUST_CHECK;

/* Bytes sealed to some transporters and to every operator of the roster: what statements carry of paths.
 * {0} is empty. */
struct sealed_copies {
    Sealift__SealedCopy **list;
    size_t count;
};
void sealed_copies_deinit(struct sealed_copies *copies);
DEFINE_AUTO_IN_PLACE(sealed_copies, struct sealed_copies, sealed_copies_deinit)

/* `purpose`: "repository", "job", "order". A transporter that is named twice gets one copy. */
bool sealed_copies_make(const struct roster *roster, const char *purpose, const struct id *id,
                        const Sealift__Member *const *hosts, size_t host_count, struct span plain,
                        struct sealed_copies *out, struct err *err) MUST_CHECK;

/* This operator's own copy, opened. As sealed_copy_open. */
bool sealed_copies_open(struct cli *cli, Sealift__SealedCopy *const *copies, size_t count,
                        const char *purpose, const struct id *id, struct secret **out,
                        struct err *err) MUST_CHECK;

#endif
