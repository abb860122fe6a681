/* One bundle of the director's state in the making: a copy of the catalog as of one moment, then that copy
 * with the director's key and configuration, sealed to a lock (common/crypto/bundle.h) into a file. A step at
 * a time, in bounded memory, on the loop's thread; what is half done is removed. */
#ifndef SEALIFT_DIRECTOR_BUNDLE_FILE_H
#define SEALIFT_DIRECTOR_BUNDLE_FILE_H

#include "common/crypto/bundle.h"
#include "director/catalog/catalog.h"

struct bundle_file;

struct bundle_source {
    struct catalog *catalog;
    const char *state_dir;
    const char *config_file; /* NULL: it is left out, as it is when it cannot be read */
    struct id site;
    uint64_t time_ns;
};

/* `path` must not exist; mode 0600. Meanwhile a copy of the catalog lies in the state directory. What
 * `source` points to must stay, but for `time_ns`. */
bool bundle_file_begin(const struct bundle_source *source, const struct bundle_lock *lock, const char *path,
                       struct bundle_file **out, struct err *err) MUST_CHECK;
/* Some milliseconds of work. *done: the file is complete and durable (its name is the caller's to sync). */
bool bundle_file_step(struct bundle_file *file, bool *done, struct err *err) MUST_CHECK;
uint64_t bundle_file_size(const struct bundle_file *file); /* when done */
/* Removes a file that is not complete. */
void bundle_file_free(struct bundle_file *file);
DEFINE_AUTO(bundle_file, struct bundle_file *, bundle_file_free)

/* Removes what a process that died has left in the state directory. */
void bundle_file_clean(const char *state_dir);

#endif
