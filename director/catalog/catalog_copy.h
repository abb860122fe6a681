/* A copy of the whole catalog as it stands at one moment, made a few pages at a time while the catalog goes
 * on being changed (SQLite's online backup: what changes meanwhile is brought up to date in the copy). Its
 * own file; a copy that is not finished is removed. On the catalog's thread. */
#ifndef SEALIFT_DIRECTOR_CATALOG_COPY_H
#define SEALIFT_DIRECTOR_CATALOG_COPY_H

#include "director/catalog/catalog.h"

struct catalog_copy;

/* `path` must not exist; mode 0600. ERR_EXISTS and the errors of files. The catalog must outlive the copy. */
bool catalog_copy_begin(struct catalog *catalog, const char *path, struct catalog_copy **out,
                        struct err *err) MUST_CHECK;
/* About 2 MiB more. *done: the file is complete, and nothing of the copy is left to be closed but by
 * catalog_copy_free. ERR_NO_SPACE, ERR_SYSTEM, ERR_DAMAGED. */
bool catalog_copy_step(struct catalog_copy *copy, bool *done, struct err *err) MUST_CHECK;
void catalog_copy_free(struct catalog_copy *copy);
DEFINE_AUTO(catalog_copy, struct catalog_copy *, catalog_copy_free)

#endif
