/* Reads a block device or the file of a disk image, wherever holes and data lie in it. A device is opened as
 * it is, in use or not: what is written to it meanwhile may be read half. Several threads may read at once.
 */
#ifndef SEALIFT_SOURCE_IMAGE_READER_H
#define SEALIFT_SOURCE_IMAGE_READER_H

#include "transporter/source/file_reader.h"

enum image_kind { IMAGE_FILE, IMAGE_DEVICE };
/* Whether the path may lead through symbolic links: for paths that the configuration lists as they are, as
 * the names of devices often are links. */
enum image_links { IMAGE_LINKS_REFUSED, IMAGE_LINKS_FOLLOWED };

struct image_reader {
    int fd;
    enum image_kind kind;
    uint64_t size;
    bool in_use;      /* a device: mounted, swapped to, or part of another, when it was opened */
    const char *path; /* borrowed, for errors */
    /* The entry to be stored, as of the opening: a regular file of depth 1 by the path's last name. Spans
     * are borrowed from the path; there is no directory. `cacheable` is never true of a device. */
    struct walk_entry entry;
};

/* `path` is absolute and outlives the reader; `now_ns` tells which files are old enough for a cache to know
 * them again. *out is to be initialised by {.fd = -1} when it is AUTO. ERR_NOT_FOUND, ERR_POLICY for a
 * symbolic link, ERR_USAGE for anything but a block device or a regular file, ERR_SYSTEM. */
bool image_reader_open(const char *path, enum image_links links, uint64_t now_ns, struct image_reader *out,
                       struct err *err) MUST_CHECK;
void image_reader_close(struct image_reader *reader);
DEFINE_AUTO_IN_PLACE(image_reader, struct image_reader, image_reader_close)

/* The extent that starts at `from`, which is below the size. What is no hole may be zeros all the same; of a
 * device everything is data. */
bool image_reader_extent(const struct image_reader *reader, uint64_t from, struct extent *out,
                         struct err *err) MUST_CHECK;
/* Exactly `len` bytes, or an error that names the offset where it failed: ERR_SYSTEM, or ERR_FAILED where the
 * image ends earlier than when it was opened. Nothing that could not be read is taken for zeros. */
bool image_reader_read(const struct image_reader *reader, uint64_t offset, void *out, size_t len,
                       struct err *err) MUST_CHECK;
/* After reading: whether a file is no longer what it was when opened, by size, mtime and ctime; a device
 * tells its size only. Renews `in_use`, if it was not. */
bool image_reader_state(struct image_reader *reader, enum file_state *state, struct err *err) MUST_CHECK;

#endif
