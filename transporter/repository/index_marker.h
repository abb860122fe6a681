/* What is known of an index's files by the process that used them last: whether they can be believed. Private
 * to index*.c. One thread.
 *
 * The file `marker` has two lines. After an orderly end they are `clean` and what data.mdb was then (size and
 * time of change): who cut it, changed it or put another in its place is seen. Otherwise they are the boot in
 * which it was last written (within it the kernel holds what a killed process had written) and how many
 * processes in a row ended without an orderly end: an index that kills who reads it is not read for ever. */
#ifndef SEALIFT_REPOSITORY_INDEX_MARKER_H
#define SEALIFT_REPOSITORY_INDEX_MARKER_H

#include "common/base/err.h"

enum { INDEX_MOST_DEATHS = 3 };

struct index_marker {
    const char *distrust; /* why the files are not to be read, in words; NULL: they can be believed */
    unsigned deaths;      /* of processes that used it, one after another */
};

void index_marker_read(const char *dir, struct index_marker *out);
/* Says that the index is in use from now on. */
bool index_marker_begin(const char *dir, unsigned deaths, struct err *err) MUST_CHECK;
/* Says that data.mdb is whole and synced. */
bool index_marker_end(const char *dir, struct err *err) MUST_CHECK;

#endif
