#include "transporter/pipeline/backup_stream.h"

#include "transporter/pipeline/closing.h"
#include "transporter/pipeline/cutting.h"
#include "transporter/pipeline/engine.h"

#include <unistd.h>

enum { FILE_MODE = 0600 }; /* of what it is restored to */

static bool read_all(struct engine *engine, const struct stream_source *source, struct cutting *cutting,
                     struct err *err)
{
    const _Atomic bool *stopped = &engine->attempt.stopped;
    for (;;) {
        size_t room, got = 0;
        uint8_t *out = cutting_room(cutting, &room);
        if (!source->read(source->arg, stopped, out, room, &got, err)) return false;
        if (got == 0) return source->finish(source->arg, stopped, err);
        if (!cutting_take(cutting, got, err) || !cutting_may_go_on(cutting, err)) return false;
        engine->attempt.progress->content_bytes += got;
        attempt_publish(&engine->attempt);
    }
}

static bool read_content(struct engine *engine, const struct stream_source *source, struct buf *refs,
                         struct metadata_content *content, struct err *err)
{
    AUTO(cutting) struct cutting cutting = {0};
    return cutting_init(&cutting, &engine->own, CUTTING_SIZE_UNKNOWN, err) &&
           read_all(engine, source, &cutting, err) && cutting_finish(&cutting, refs, content, err);
}

static bool encode(const struct engine *engine, const struct stream_source *source,
                   const struct metadata_content *content, struct span refs, struct buf *out, struct err *err)
{
    const struct entry entry = {
        .type = ENTRY_FILE,
        .flags = content->flags,
        .depth = 1,
        .mode = FILE_MODE,
        .uid = geteuid(),
        .gid = getegid(),
        .mtime_ns = (int64_t)engine->started_ns,
        .size = content->size,
        .name = span_str(source->name),
        .file_hash = content->file_hash,
        .ref_count = content->ref_count,
        .refs = refs,
    };
    return entry_encode(&entry, out, err);
}

static bool run(struct engine *engine, const struct stream_source *source, struct backup_result *result,
                struct err *err)
{
    AUTO(buf) struct buf refs = {0};
    AUTO(buf) struct buf entry = {0};
    struct metadata_content content = {0};
    struct closing closing = {.object = OBJECT_STREAM, .started_ns = engine->started_ns};
    engine->attempt.progress->entries = 1;
    engine->attempt.progress->files = 1;
    if (!engine_start(engine, err) || !read_content(engine, source, &refs, &content, err) ||
        !encode(engine, source, &content, buf_span(&refs), &entry, err) ||
        !closing_describe(&engine->attempt, &chunker_files, span_str(source->name), buf_span(&entry),
                          &closing, err) ||
        !engine_drain(engine, err))
        return false;
    closing.counts = (struct point_counts){.entries = 1, .files = 1, .content_bytes = content.size};
    return closing_commit(&engine->attempt, &closing, result, err);
}

bool backup_stream(const struct backup_options *options, const struct stream_source *source,
                   struct backup_result *result, struct err *err)
{
    AUTO(engine) struct engine engine = {0};
    struct backup_options own = *options;
    own.cache = NULL;
    if (!engine_init(&engine, &own, 1, err)) return false;
    return run(&engine, source, result, err) || engine_fail(&engine, err);
}
