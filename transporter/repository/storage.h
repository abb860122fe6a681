/* Where a repository's objects lie: a driver is a struct of functions. Published objects are written
 * once by put_if_absent or by publishing a journal, later perhaps removed, never changed.
 * Names are relative paths as in docs/format.md section 10 ("log/0000000001", "packs/ab/…").
 * All functions may be called from any thread. Everything that returns true from a writing function
 * is durable: file and directory are synced. */
#ifndef SEALIFT_REPOSITORY_STORAGE_H
#define SEALIFT_REPOSITORY_STORAGE_H

#include "common/base/bytes.h"
#include "common/base/err.h"

struct journal; /* an open, appendable file that is not published yet */

/* For each object below a directory ("" for all), in no order, unfinished temporary names (FILE_TEMP_PREFIX)
 * among them; false from the callback stops the listing, which then still succeeds. */
typedef bool storage_each_fn(void *arg, const char *name, uint64_t size);

struct storage_ops {
    /* ERR_EXISTS if the name is taken, durably */
    bool (*put_if_absent)(void *self, const char *name, struct span bytes, struct err *err);
    /* whole object, ERR_NOT_FOUND, ERR_LIMIT over `limit` */
    bool (*get)(void *self, const char *name, size_t limit, struct buf *out, struct err *err);
    /* exactly len bytes at offset; ERR_TRUNCATED if the object is shorter */
    bool (*get_range)(void *self, const char *name, uint64_t offset, void *out, size_t len, struct err *err);
    bool (*size)(void *self, const char *name, uint64_t *out, struct err *err);
    /* files below it; of the whole repository ("") also directories that are closed to us, with size 0 */
    bool (*list)(void *self, const char *directory, storage_each_fn *each, void *arg, struct err *err);
    bool (*remove)(void *self, const char *name, struct err *err);
    /* free bytes for backups below which they stop are the caller's rule */
    bool (*free_space)(void *self, uint64_t *free_bytes, uint64_t *total_bytes, struct err *err);
    /* Keeps other owners out while the storage is open, where the driver can: ERR_BUSY. */
    bool (*claim)(void *self, struct err *err);
    /* Whether the storage still lies where it was opened. What is read goes on where it does not; NULL where
     * it cannot be moved. */
    bool (*in_place)(void *self, struct err *err);
    /* Makes durable whatever a process that is gone had done and not synced. An owner calls it before it
     * relies on anything that it sees: names that are only in memory would vanish with the next power cut,
     * after more has been built on them. NULL where everything that is seen is durable. */
    bool (*settle)(void *self, struct err *err);
    /* An object of that many bytes which the disk has really set aside; one of this name is brought to that
     * size. It is no published object. ERR_NO_SPACE: none is left. NULL where no disk can fill up. */
    bool (*allocate)(void *self, const char *name, uint64_t bytes, struct err *err);
    /* A hint that the range will be read soon. NULL where the driver has none. */
    void (*will_read)(void *self, const char *name, uint64_t offset, uint64_t len);

    /* Journals, named "open/<session>/<n>". create: ERR_EXISTS if taken. open: ERR_EXISTS if the
     * journal has been published already and only its own name is left to be removed; otherwise what is
     * read from it is what a later sync makes durable, whatever became of earlier ones. append goes to the
     * end; sync makes everything appended before it durable and may run beside append in another thread.
     * After a failed append or sync nothing more may be expected of the journal but truncating to a length
     * that was synced. */
    bool (*journal_create)(void *self, const char *name, struct journal **out, struct err *err);
    bool (*journal_open)(void *self, const char *name, struct journal **out, struct err *err);
    bool (*journal_append)(void *self, struct journal *journal, struct span bytes, struct err *err);
    bool (*journal_sync)(void *self, struct journal *journal, struct err *err);
    bool (*journal_truncate)(void *self, struct journal *journal, uint64_t size, struct err *err);
    /* syncs, links to `name`, removes the journal's own name; an existing `name` of the same
     * content is success. The journal handle stays to be closed. */
    bool (*journal_publish)(void *self, struct journal *journal, const char *name, struct err *err);
    void (*journal_close)(void *self, struct journal *journal);
    void (*close)(void *self);
};

struct storage {
    const struct storage_ops *ops;
    void *self;
};

/* A directory of a local file system. It must exist; subdirectories are made as needed. */
bool storage_directory_open(const char *path, struct storage *out, struct err *err) MUST_CHECK;

#endif
