/* A repository on this machine, read without a director, a transporter or a network: what the `offline` verbs
 * share. Nothing is written to the repository. Main thread unless said. */
#ifndef SEALIFT_CLI_OFFLINE_H
#define SEALIFT_CLI_OFFLINE_H

#include "common/wire/site_line.h"
#include "common/wire/statement.h"
#include "common/wire/stored.h"
#include "director/cli/cli.h"
#include "director/cli/kit.h"
#include "transporter/repository/repository.h"

/* As the log lists it; `doubt` says why the rest is missing if the point file cannot be read or believed. */
struct offline_point {
    struct id id;
    uint64_t number;
    uint64_t time_ns;
    struct err doubt;
    Sealift__PointFile *file; /* NULL with a doubt */
    Sealift__PointBody *body; /* NULL with a doubt */
    struct statement *roster; /* the writer's; NULL if the point carries none */
    const char *writer;       /* by the roster, or else as it calls itself. Borrowed from either */
};

struct offline {
    struct cli *cli;
    char *path;
    bool pinned; /* by --site */
    struct site_line site;
    uint8_t (*known)[SIGN_PK_LEN]; /* operators that a kit of this site knows; without --site */
    size_t known_count;            /* 0: there is no such kit */
    struct repository *repository;
    struct repository_info info;
    struct offline_point *points; /* in the order of their numbers */
    size_t count;
    struct err log_doubt; /* an entry of the log is missing or not to be believed; ERR_NONE: none is */
    bool witnessed;       /* a kit remembers an entry of this log, and it is still there */
};

/* Opens the repository that the first operand names and reads its points. ERR_NOT_FOUND: there is none. Of a
 * damaged log the entries that are good count, and a warning says so; as of one that is not the one that the
 * kit (NULL: none, else borrowed for the call) remembers. */
bool offline_open(struct cli *cli, const struct args *args, const struct kit *kit, struct offline *out,
                  struct err *err) MUST_CHECK;
void offline_deinit(struct offline *offline);
DEFINE_AUTO_IN_PLACE(offline, struct offline, offline_deinit)

/* A unique prefix of an id, `latest`, JOB@latest, JOB@TIME. ERR_NOT_FOUND, ERR_USAGE; and the point's doubt.
 */
bool offline_resolve(const struct offline *offline, const char *text, const struct offline_point **out,
                     struct err *err) MUST_CHECK;

/* Was this signing key a transporter of the pinned site, by a roster that one of the points carries? */
bool offline_admitted(const struct offline *offline, const uint8_t writer[SIGN_PK_LEN]);
/* Did somebody whom the pinned site or a kit vouches for sign the roster that the point carries? Without
 * either every point counts: nobody can tell. */
bool offline_is_vouched(const struct offline *offline, const struct offline_point *point);
/* Was it an operator, by such a roster (of a site that nobody pinned: by what the points themselves say)? */
bool offline_is_operator(const struct offline *offline, const uint8_t signer[SIGN_PK_LEN]);
/* Says once how far the writer of the point can be believed. */
void offline_tell_pin(const struct offline *offline, const struct offline_point *point);

static inline bool offline_is_sealed(const struct offline_point *point)
{
    return point->body->key_id.len == HASH_LEN;
}

#define OFFLINE_SITE_OPTION                                                                                  \
    {                                                                                                        \
        "site", "LINE", "the site line: points must be by writers that its first admin admitted"             \
    }

#endif
