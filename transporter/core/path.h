/* Paths of a manifest (docs/format.md section 9): relative to '/', of any bytes but NUL, components
 * joined by '/', never empty, "." or "..". Path order is depth first: a directory before what it holds,
 * siblings bytewise. Pure. */
#ifndef SEALIFT_TCORE_PATH_H
#define SEALIFT_TCORE_PATH_H

#include "common/base/bytes.h"

#define PATH_LEN_MAX 65535u
#define DEPTH_MAX 2048u

/* one component */
bool name_valid(struct span name);
/* one component or more, within the limits */
bool path_valid(struct span path);
/* number of components; 0 of the empty path */
unsigned path_depth(struct span path);
/* Path order of two full paths: '/' before every other byte. <0, 0, >0 */
int path_cmp(struct span a, struct span b);
/* whether `path` is `dir` or lies below it; everything lies below the empty path */
bool path_within(struct span path, struct span dir);

/* Where a stream of entries stands: the path of the last one. An entry is given by its depth and name;
 * the components before come from its predecessor. */
struct trail {
    struct buf path;
    unsigned depth;
    bool in_directory;        /* the last component may have entries below it */
    uint16_t ends[DEPTH_MAX]; /* of each component within the path */
};
void trail_deinit(struct trail *trail);
DEFINE_AUTO_IN_PLACE(trail, struct trail, trail_deinit)
/* Stands at the directory `parent` (empty: the root). False if it is not a valid path. */
bool trail_begin(struct trail *trail, struct span parent) __attribute__((warn_unused_result));
/* Whether `parent` is the directory where the trail stands, or one of those above it. */
bool trail_inside(const struct trail *trail, struct span parent);
/* The next entry. NULL, or what is wrong with it, and the trail is as it was. `name` must be valid. */
const char *trail_step(struct trail *trail, unsigned depth, struct span name, bool is_directory)
    __attribute__((warn_unused_result));
/* the directory of the last entry; empty at depth 1 */
struct span trail_parent(const struct trail *trail);

#endif
