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
/* Reads all that can be read; *warning tells the first that cannot (untouched else). A file system without
 * attributes is no fault. Ends when they have more than ENTRY_MAX_LEN bytes: no entry can have them. Any
 * thread. */
void xattrs_read(int fd, enum xattrs_fd how, struct xattrs *out, struct err *warning);

#endif
