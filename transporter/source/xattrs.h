/* Extended attributes of an open file, encoded in name order. */
#ifndef SEALIFT_SOURCE_XATTRS_H
#define SEALIFT_SOURCE_XATTRS_H

#include "common/base/bytes.h"
#include "common/base/err.h"

/* {0} is none. */
struct xattrs {
    uint16_t count;
    struct buf encoded; /* as xattr_encode does */
};
void xattrs_deinit(struct xattrs *xattrs);
DEFINE_AUTO_IN_PLACE(xattrs, struct xattrs, xattrs_deinit)

/* How the descriptor was opened. One of O_PATH refuses attributes; it is asked through /proc/self/fd. */
enum xattrs_fd { XATTRS_OPEN, XATTRS_PATH };
/* Reads what can be read and has room: at most `room` encoded bytes. In the order of their names those that
 * still fit are taken, so capabilities, labels and ACLs before users' own; values without room are not read,
 * of which there may be hundreds of megabytes. *warning (untouched else) has ERR_LIMIT and names of those
 * that were left out for room, or tells the first that cannot be read. A file system without attributes is no
 * fault. Any thread. */
void xattrs_read(int fd, enum xattrs_fd how, size_t room, struct xattrs *out, struct err *warning);

#endif
