/* Reading the content of regular files for a backup, small ones into the worker's bundle, large ones cut
 * into chunks. A file that changes meanwhile is read once more if it is not too large; if it changes
 * again it is kept as read, marked ENTRY_INEXACT, with a warning. Private to the backup engine. */
#ifndef SEALIFT_PIPELINE_FILE_CONTENT_H
#define SEALIFT_PIPELINE_FILE_CONTENT_H

#include "transporter/pipeline/worker.h"
#include "transporter/source/file_reader.h"

enum { FILE_READ_AGAIN_MOST = 64 * 1024 * 1024 };

/* Reads and encodes one item of ENTRY_FILE. false only for errors that end the run. */
bool file_content_read(struct worker *worker, struct segment *segment, struct item *item,
                       struct err *err) MUST_CHECK;

/* What became of one reading. */
enum reading { READING_DONE, READING_LOST, READING_FAILED };

/* Cuts an opened file into chunks, holes apart. Appends the references to `refs` and fills `content` but
 * for its state. LOST: *err says why the file cannot be read; FAILED: why the run must end. */
enum reading large_file_read(struct worker *worker, const struct file_reader *reader, struct buf *refs,
                             struct metadata_content *content, struct err *err) MUST_CHECK;

/* Reads an opened file just to see whether its content is what `previous` says, an entry of the last
 * committed run or nothing: then it needs no cutting, and `content` is filled but for its state, with
 * references that are good as long as `previous`. *known = false: it is another, or cannot be told cheaply.
 */
enum reading known_file_read(struct worker *worker, const struct file_reader *reader, struct span previous,
                             struct metadata_content *content, bool *known, struct err *err) MUST_CHECK;

#endif
