/* The files with several names that a walk has met: which name came first. Holds only files of which
 * names are still to come; beyond a few megabytes it lives in unlinked temporary files. One thread. */
#ifndef SEALIFT_SOURCE_HARD_LINKS_H
#define SEALIFT_SOURCE_HARD_LINKS_H

#include "common/base/bytes.h"
#include "common/base/err.h"

struct hard_links;
/* spill_dir: see spill.h; must stay valid */
struct hard_links *hard_links_new(const char *spill_dir);
void hard_links_free(struct hard_links *links);
DEFINE_AUTO(hard_links, struct hard_links *, hard_links_free)

struct linked {
    uint64_t device, inode;
    int64_t born_ns; /* 0: not known. Another file may have the inode of one that is gone. */
    uint32_t count;  /* names that it has, > 1 */
};
/* A name of the file. *first is empty if it is the first that was met: `path` is kept. Else the path of the
 * first, good until the next call. ERR_NO_SPACE. */
bool hard_links_meet(struct hard_links *links, const struct linked *file, struct span path,
                     struct span *first, struct err *err) MUST_CHECK;

#endif
