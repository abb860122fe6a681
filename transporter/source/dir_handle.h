/* Directories of a walk, held by descriptor. A handle is opened below its parent's descriptor, name by
 * name from '/', never through a symbolic link, and must be the directory that was listed: whatever is
 * renamed or swapped meanwhile, nothing outside is ever reached. Any number of handles may live; at most
 * a thousand descriptors stay open, the others are opened again when they are asked for. Asking for one
 * that is in use takes no lock.
 * Any thread. */
#ifndef SEALIFT_SOURCE_DIR_HANDLE_H
#define SEALIFT_SOURCE_DIR_HANDLE_H

#include "common/base/bytes.h"
#include "common/base/err.h"

struct dir_pool; /* bounds the open descriptors of its handles; must outlive them */
struct dir_handle;

/* `open_max`: descriptors that are kept although nobody uses them; 0: 1,024, or an eighth of those that the
 * process may have if that is less */
struct dir_pool *dir_pool_new(unsigned open_max);
void dir_pool_free(struct dir_pool *pool);
DEFINE_AUTO(dir_pool, struct dir_pool *, dir_pool_free)

/* The handle of '/'; or of another directory, which tests may use as their root. */
bool dir_handle_root(struct dir_pool *pool, const char *path, struct dir_handle **out,
                     struct err *err) MUST_CHECK;
/* A directory in `parent`, which is kept. Nothing is opened yet. `device` and `inode` are what stat said. */
struct dir_handle *dir_handle_child(struct dir_handle *parent, struct span name, uint64_t device,
                                    uint64_t inode);
struct dir_handle *dir_handle_ref(struct dir_handle *dir);
void dir_handle_unref(struct dir_handle *dir);
DEFINE_AUTO(dir_handle, struct dir_handle *, dir_handle_unref)

/* A descriptor that stays open until it is given back; opened for reading. ERR_NOT_FOUND if the
 * directory vanished, ERR_FAILED if another took its place, ERR_SYSTEM. */
bool dir_handle_get(struct dir_handle *dir, int *fd, struct err *err) MUST_CHECK;
void dir_handle_put(struct dir_handle *dir);

#endif
