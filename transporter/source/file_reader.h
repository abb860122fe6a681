/* Reads the content of one regular file of a walk: opened without following links or blocking, its
 * holes told apart from data, and asked afterwards whether it changed meanwhile. One thread at a time. */
#ifndef SEALIFT_SOURCE_FILE_READER_H
#define SEALIFT_SOURCE_FILE_READER_H

#include "transporter/source/walk.h"

struct file_reader {
    int fd;
    /* What the entry to be stored should say: of the file as the walk saw it or as it was when opened. Spans
     * and directory are the walk entry's. `cacheable` is false if the file is no longer as the walk saw it.
     */
    struct walk_entry entry;
};

/* Whether to ask what was opened. READER_TRUSTS spares a system call for each file of those that stand still:
 * the walk has asked, and file_reader_state tells afterwards whether it was this file, and unchanged all the
 * time. Until then it may be anything: reading may fail, and what was read is to be dropped unless it is
 * FILE_SAME. */
enum reader_trust { READER_ASKS, READER_TRUSTS };

/* *out is to be initialised by {.fd = -1} when it is AUTO. READER_ASKS: a file that was replaced by another
 * regular file since the walk saw it is read as it now is, unless it had more links (ERR_FAILED).
 * ERR_NOT_FOUND if it vanished, ERR_FAILED if something else stands in its place, ERR_SYSTEM. */
bool file_reader_open(const struct walk_entry *entry, enum reader_trust trust, struct file_reader *out,
                      struct err *err) MUST_CHECK;
void file_reader_close(struct file_reader *reader);
DEFINE_AUTO_IN_PLACE(file_reader, struct file_reader, file_reader_close)

struct extent {
    uint64_t offset;
    uint64_t length; /* above 0 */
    enum { EXTENT_DATA, EXTENT_HOLE } kind;
};
/* The extent that starts at `from`, up to the size that the file had when opened; *found = false there.
 * A file without holes is one extent and costs no system call. */
bool file_reader_extent(const struct file_reader *reader, uint64_t from, struct extent *out, bool *found,
                        struct err *err) MUST_CHECK;
/* Fills `out` from `offset`; *got < len only where the file ends earlier now than when it was opened. */
bool file_reader_read(const struct file_reader *reader, uint64_t offset, void *out, size_t len, size_t *got,
                      struct err *err) MUST_CHECK;

enum file_state { FILE_SAME, FILE_CHANGED };
/* After reading: whether it is another file than the entry tells of, or size, mtime or ctime are others. */
bool file_reader_state(const struct file_reader *reader, enum file_state *state, struct err *err) MUST_CHECK;

#endif
