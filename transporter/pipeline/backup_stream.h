/* The backup engine for streams: one content of unknown length, read from start to end, cut like a large
 * file. The calling thread reads and cuts; workers hash, deduplicate, compress, seal and send. Memory is
 * bounded as for trees (backup.h). */
#ifndef SEALIFT_PIPELINE_BACKUP_STREAM_H
#define SEALIFT_PIPELINE_BACKUP_STREAM_H

#include "transporter/pipeline/backup.h"

/* Where the bytes come from; called by one thread. */
struct stream_source {
    const char *name; /* one component of a path: what the content is called in the point */
    /* Fills up to `room` bytes; *got = 0 at the end. Ends early, with an error, once *stopped is set. */
    bool (*read)(void *arg, const _Atomic bool *stopped, uint8_t *out, size_t room, size_t *got,
                 struct err *err);
    /* After the end: whether all went well, so that the content is whole. Nothing is committed before. */
    bool (*finish)(void *arg, const _Atomic bool *stopped, struct err *err);
    void *arg;
};

/* Runs to the commit receipt; `options->walk` and `cache` are not used. ERR_CANCELLED. */
bool backup_stream(const struct backup_options *options, const struct stream_source *source,
                   struct backup_result *result, struct err *err) MUST_CHECK;

#endif
