/* Marking: what all points of a repository refer to, by the clear lists of their nodes, without any key. */
#ifndef SEALIFT_REPOSITORY_MARK_H
#define SEALIFT_REPOSITORY_MARK_H

#include "transporter/repository/inside.h"
#include "transporter/repository/live_set.h"

struct mark {
    struct live_set live; /* nodes and data */
    uint64_t head;        /* every point up to this log entry has been walked */
};
void mark_deinit(struct mark *mark);
DEFINE_AUTO_IN_PLACE(mark, struct mark, mark_deinit)

/* Walks every point that is there. A node of which no copy can be read is an error that names the point
 * (ERR_DAMAGED, ERR_NOT_FOUND): what lies below it is not known, so nothing may be taken away. Of a node with
 * several copies all count, so that who plants a false one takes nothing from the true one. One that is
 * nowhere is passed over while no pack is lost or damaged, for only a planted copy names it; an error if some
 * are. */
bool mark_points(struct repository *repository, struct mark *out, struct err *err) MUST_CHECK;
/* Which packs have something that one point refers to: sets wanted[no] of those with a number below `count`.
 * Costs what the point is large, whatever else is in the repository. Fails as mark_points does. */
bool mark_point_packs(struct repository *repository, const struct repository_point *point, bool *wanted,
                      uint32_t count, struct err *err) MUST_CHECK;

#endif
