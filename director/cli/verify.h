/* sealift repository check and point verify with a key: points are opened, or restored into nothing, by a
 * trusted transporter, by orders that carry what it needs; what is found comes back sealed. */
#ifndef SEALIFT_CLI_VERIFY_H
#define SEALIFT_CLI_VERIFY_H

#include "director/cli/args.h"
#include "director/cli/point.h"

struct verify_request {
    Sealift__VerifyLevel level;
    uint32_t sample_ppm; /* of the points; 0: all */
    uint32_t names;      /* 1: name the files of points that are not whole */
    uint32_t afresh;     /* 1: rely on nothing that an interrupted check found good */
    const char *at;      /* who opens; NULL: the writer of each, else the repository's owner, if trusted */
    unsigned stats_s;
};

/* All points of a repository: one order for those of a key, a dedup domain and an opener. Points whose key
 * nobody has are said as not checked, and end it with the code for that unless something worse was found. */
bool verify_repository(struct cli *cli, const struct args *args, const struct verify_request *request,
                       const struct statement *repository, struct err *err) MUST_CHECK;
/* One point. */
bool verify_point(struct cli *cli, const struct args *args, const struct verify_request *request,
                  const struct point *point, struct err *err) MUST_CHECK;

#endif
